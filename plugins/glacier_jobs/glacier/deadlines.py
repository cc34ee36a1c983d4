"""Ends requests: each whose answer is not complete in time, and those of threads that are cancelled.

botocore has time-outs for a connection and for each read, and none for a whole answer: a body that arrives byte by byte
has no end. So the sockets of a client's connections are shown to this module. Where an answer takes too long, or its
thread is cancelled, another thread shuts down the socket, and the read that waits for it ends.

That relies on parts of botocore that are not documented. They are used in this module and in
:mod:`glacier_jobs.glacier.transport` only. Where one of them is not as expected, one warning is logged, and requests
have botocore's time-outs only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import botocore
from botocore.exceptions import ReadTimeoutError

from glacier_jobs.aws_errors.proxies import send_through_proxy

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection as _Connection
else:
    _Connection = object

#: How often the thread that ends requests looks for them.
_TICK_SECONDS = 0.5

_warned = threading.Event()
_warned_of_threads = threading.Event()

log = logging.getLogger(__name__)


class AnswerTimeoutError(ReadTimeoutError):
    """An answer was not complete in time. botocore repeats the request, as after its own time-outs."""

    fmt = 'The answer from "{endpoint_url}" was not complete after {seconds:g} s'


class Cancelled(Exception):
    """The request was cancelled. Neither botocore nor the hook repeats it."""


class Cancellation:
    """Ends the requests of the threads that it applies to, both those under way and all later ones.

    Example::

        cancellation = Cancellation()

        def work():
            with cancellation.applied():
                hook.list_vaults()

        cancellation.cancel()  # from another thread
    """

    def __init__(self) -> None:
        self._requested = threading.Event()

    @property
    def is_requested(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._requested.is_set()

    def cancel(self) -> None:
        """End the requests. They raise :class:`Cancelled`."""
        self._requested.set()
        _watchdog.end_requests()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let this cancellation apply to the requests and the pauses of this thread inside the block."""
        token = _cancellation.set(self)
        try:
            yield
        finally:
            _cancellation.reset(token)

    def wait(self, seconds: float) -> None:
        """Wait for some seconds.

        :raises Cancelled: at once, if the cancellation was or is requested.
        """
        if self._requested.wait(seconds):
            raise Cancelled


_cancellation: ContextVar[Cancellation | None] = ContextVar("glacier_jobs_cancellation", default=None)
_answer_seconds: ContextVar[float | None] = ContextVar("glacier_jobs_answer_seconds", default=None)


def pause(seconds: float) -> None:
    """Wait for some seconds, or until the cancellation that applies to this thread is requested.

    :raises Cancelled: it was requested.
    """
    if (cancellation := _cancellation.get()) is not None:
        cancellation.wait(seconds)
    else:
        time.sleep(seconds)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Give each answer to a request of this thread, inside the block, a deadline of its own."""
    token = _answer_seconds.set(seconds)
    try:
        yield
    finally:
        _answer_seconds.reset(token)


class BodyReads:
    """Gives each read of a body a deadline, where the body arrives after the call of the client has returned.

    Example::

        reads = BodyReads()
        with reads.of_next_answer():
            body = client.get_job_output(vaultName="photos", jobId=job_id)["body"]
        with reads.within(60.0):
            first = body.read(1024)
    """

    def __init__(self) -> None:
        self._socket: Any = None
        self._url = ""

    @contextmanager
    def of_next_answer(self) -> Iterator[None]:
        """Take the body of the last answer that this thread requests inside the block."""
        token = _body_reads.set(self)
        try:
            yield
        finally:
            _body_reads.reset(token)

    def take(self, url: str, shown: Any) -> None:
        """Take the socket from which the body of an answer is read."""
        self._url, self._socket = url, shown

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End a read of the body inside the block that takes longer, or whose thread is cancelled.

        :raises AnswerTimeoutError: it took longer.
        :raises Cancelled: the cancellation that applies to this thread is requested.
        """
        awaited = _Awaited(time.monotonic() + seconds, _cancellation.get(), self._socket)
        if awaited.is_cancelled:
            raise Cancelled
        try:
            with _watchdog.watching(awaited):
                yield
        except Exception as error:
            _raise_if_ended(awaited, self._url, seconds, error)
            raise
        _raise_if_ended(awaited, self._url, seconds, None)


_body_reads: ContextVar[BodyReads | None] = ContextVar("glacier_jobs_body_reads", default=None)


@dataclass(eq=False)
class _Awaited:
    """An answer that a thread waits for."""

    deadline: float | None
    cancellation: Cancellation | None
    socket: Any = None
    is_late: bool = field(default=False, init=False)

    @property
    def is_cancelled(self) -> bool:
        return self.cancellation is not None and self.cancellation.is_requested

    def end_if_due(self) -> None:
        """Shut down the socket if the answer is late or not wanted any more."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.is_late = True
        if (self.is_late or self.is_cancelled) and self.socket is not None:
            # The socket of TLS inside TLS is wrapped in another object. `SSLSocket.shutdown` would lose its TLS state,
            # which the reading thread still uses.
            with contextlib.suppress(OSError, TypeError):
                socket.socket.shutdown(getattr(self.socket, "socket", self.socket), socket.SHUT_RDWR)


class _Watchdog:
    """Ends requests that are due, in a thread that lives while answers are awaited."""

    def __init__(self) -> None:
        self.forget_all()
        # Airflow forks the processes of its tasks. Neither the thread nor the owner of the lock survives that.
        os.register_at_fork(after_in_child=self.forget_all)

    def forget_all(self) -> None:
        self._awaited: set[_Awaited] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, awaited: _Awaited) -> Iterator[None]:
        try:
            with self._lock:
                self._awaited.add(awaited)
                if self._thread is None:
                    self._thread = self._started()
            yield
        finally:
            with self._lock:
                self._awaited.discard(awaited)

    def _started(self) -> threading.Thread | None:
        """Start the thread. If the system has no thread left, the next request tries it again."""
        thread = threading.Thread(target=self._watch, name="end-requests", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not _warned_of_threads.is_set():
                _warned_of_threads.set()
                log.warning("Until a thread can be started (%s), an answer has no deadline as a whole", error)
            return None
        return thread

    def end_requests(self) -> None:
        """End the requests that are due now."""
        # With the lock: the socket of an answer that is no longer awaited may be in use for another request.
        with self._lock:
            for awaited in self._awaited:
                awaited.end_if_due()

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            with self._lock:
                if not self._awaited:
                    self._thread = None
                    return
            # Again and again: a connection may have been opened only after its request was ended.
            self.end_requests()


_watchdog = _Watchdog()
_current: ContextVar[_Awaited | None] = ContextVar("glacier_jobs_awaited", default=None)


class _ShownConnection(_Connection):
    """Mixed into botocore's connections: shows the socket of the answer that this thread waits for."""

    def connect(self) -> None:
        super().connect()
        _show(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _show(self.sock)
        super().request(*args, **kwargs)


def _show(shown: Any) -> None:
    if (awaited := _current.get()) is not None:
        awaited.socket = shown
        awaited.end_if_due()


def limit_answers(client: Any) -> None:
    """Let :func:`answers_within` and :class:`Cancellation` apply to the requests of a client."""
    try:
        session = client._endpoint.http_session
        # The client's connection pools for the endpoint and for proxies look up their classes here.
        classes = session._pool_classes_by_scheme
        shown = {scheme: _pool_of_shown_connections(pool) for scheme, pool in classes.items()}
        original = type(session)
        original.send  # noqa: B018 - raises where it is missing
    except (AttributeError, TypeError) as error:
        if not _warned.is_set():
            _warned.set()
            log.warning(
                "botocore %s is not as expected (%s: %s). An answer has no deadline as a whole, and a cancelled "
                "request ends by its time-outs only",
                botocore.__version__,
                type(error).__name__,
                error,
            )
        return
    classes.update(shown)
    session.send = partial(_sent, session, lambda request: original.send(session, request))


def limit_answers_of_clients(session: Any) -> None:
    """Do as :func:`limit_answers` does for all clients that will be built by a boto3 session."""
    session.events.register(
        "creating-client-class",
        lambda base_classes, **_: base_classes.insert(0, _LimitedClient),
        unique_id="glacier-jobs-limit-answers",
    )


class _LimitedClient:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit_answers(self)


def _pool_of_shown_connections(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (_ShownConnection, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _sent(session: Any, send: Callable[[Any], Any], request: Any) -> Any:
    """Send a request as the session does, and end it at its deadline or when it is cancelled."""
    seconds, cancellation = _answer_seconds.get(), _cancellation.get()
    if seconds is None and cancellation is None:
        return send(request)
    awaited = _Awaited(None if seconds is None else time.monotonic() + seconds, cancellation)
    if awaited.is_cancelled:
        raise Cancelled
    token = _current.set(awaited)
    try:
        with _watchdog.watching(awaited):
            answer = send_through_proxy(send, session, request)
    except Exception as error:
        _raise_if_ended(awaited, request.url, seconds, error)
        raise
    finally:
        _current.reset(token)
    try:
        # A body that was cut by the end of its socket looks like a complete one.
        _raise_if_ended(awaited, request.url, seconds, None)
    except BaseException:
        # Nobody reads it, so that its connection would stay open.
        answer.raw.close()
        raise
    if (reads := _body_reads.get()) is not None:
        reads.take(request.url, awaited.socket)
    return answer


def _raise_if_ended(awaited: _Awaited, url: str, seconds: float | None, error: Exception | None) -> None:
    if awaited.is_cancelled:
        raise Cancelled from error
    if awaited.is_late:
        raise AnswerTimeoutError(endpoint_url=url, seconds=seconds) from error
