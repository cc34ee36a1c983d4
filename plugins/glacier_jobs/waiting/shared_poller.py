"""One look at a vault, shared by all in one event loop who wait for its jobs.

Who waits takes a :class:`Seat`. The seats of one :class:`Source` are served by one poller: a task of its own that
looks once an interval, for all of them together. Everything that blocks (the connection's look-up, the client, the
calls) happens in a thread of a bounded pool, never in the event loop.

A poller belongs to nobody who waits: it runs in an empty context, so that it logs and looks connections up as
itself, and each seat is told through a slot of its own, so that one who leaves takes nothing down. What goes wrong,
cancellation included, reaches the seats as a value.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from glacier_jobs.errors import AccessDenied, ConnectionNotFound, GlacierJobsError, ServiceUnavailable
from glacier_jobs.glacier.client import POLLING_RETRY_POLICY
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.poll import Abandoned, Wanted, look
from glacier_jobs.waiting.state import Sight

#: How many vaults of one event loop are looked at side by side.
SWEEP_THREADS = 8

#: After how many seats the event loop may turn to others, where something is done for each.
_SEATS_AT_A_TIME = 50

News: TypeAlias = Sight | GlacierJobsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a sweep is shared by: one vault, through the same connection settings.

    :param botocore_config: JSON text, since it must be hashable.
    """

    vault_name: str
    account_id: str
    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: str

    @classmethod
    def of(
        cls,
        *,
        vault_name: str,
        account_id: str,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        botocore_config: Mapping[str, Any] | None,
    ) -> Source:
        """Name the source that these arguments of an operator or trigger mean."""
        return cls(
            vault_name=vault_name,
            account_id=account_id,
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            botocore_config=json.dumps(botocore_config, sort_keys=True),
        )

    def hook(self) -> GlacierJobsHook:
        """Make the hook that looks."""
        return GlacierJobsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=json.loads(self.botocore_config),
            retry_policy=POLLING_RETRY_POLICY,
        )


class Sweeps:
    """All sweeps of one event loop."""

    def __init__(self) -> None:
        self._pollers: dict[Source, _Poller] = {}
        self._threads = ThreadPoolExecutor(SWEEP_THREADS, thread_name_prefix="glacier-sweep")

    @classmethod
    def of_this_loop(cls) -> Sweeps:
        """Return those of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in _BY_LOOP:
            _BY_LOOP[loop] = cls()
        return _BY_LOOP[loop]

    def seat(
        self,
        source: Source,
        wanted: Callable[[], Wanted],
        *,
        poll_seconds: float,
        first_after_seconds: float,
    ) -> Seat:
        """Take a seat among those who wait for a source's news; leave its ``with`` block to give it up.

        :param wanted: asked before each sweep what this seat wants of it.
        :param poll_seconds: the longest interval between two sweeps that suits this seat.
        :param first_after_seconds: where nobody waits for this source yet, when the first sweep begins.
        """
        return Seat(self, source, wanted, poll_seconds=poll_seconds, first_after_seconds=first_after_seconds)

    def _join(self, seat: Seat, first_after_seconds: float) -> _Poller:
        poller = self._pollers.get(seat.source)
        if poller is None:
            poller = _Poller(seat.source, self._threads, first_after_seconds, retired=self._retire)
            self._pollers[seat.source] = poller
        poller.join(seat)
        return poller

    def _retire(self, poller: _Poller) -> None:
        if self._pollers.get(poller.source) is poller:
            del self._pollers[poller.source]


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Sweeps] = WeakKeyDictionary()


async def _is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, and tell whether it came.

    Not ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that comes together with the event, and
    who was cancelled would wait on.
    """
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiter}, timeout=seconds)
    finally:
        waiter.cancel()
    return event.is_set()


async def _in_turns(seats: Sequence[Seat]) -> AsyncIterator[Seat]:
    """Yield the seats, and let others have their turn in between."""
    for number, seat in enumerate(seats, start=1):
        yield seat
        if number % _SEATS_AT_A_TIME == 0:
            await asyncio.sleep(0)


class Seat:
    """The place of one who waits; made by :meth:`Sweeps.seat`."""

    def __init__(
        self,
        sweeps: Sweeps,
        source: Source,
        wanted: Callable[[], Wanted],
        *,
        poll_seconds: float,
        first_after_seconds: float,
    ) -> None:
        self.source = source
        self.wanted = wanted
        self.poll_seconds = poll_seconds
        self._sweeps = sweeps
        self._told = asyncio.Event()
        self._news: News | None = None
        self._poller: _Poller | None = sweeps._join(self, first_after_seconds)

    async def news(self, within_seconds: float | None = None) -> News:
        """Return what the next sweep shows, or why there is none; only of sweeps begun after this seat was taken.

        :raises asyncio.TimeoutError: nothing came within this time.
        """
        if self._poller is None:
            self._poller = self._sweeps._join(self, self.poll_seconds)
        if not await _is_set_within(self._told, within_seconds):
            raise asyncio.TimeoutError
        self._told.clear()
        news, self._news = self._news, None
        if news is None:
            raise AssertionError("told without news")
        return news

    def tell(self, news: News) -> None:
        """Hand over the news; if nobody took the last, these take their place."""
        self._news = news
        self._told.set()

    def lose_poller(self, error: GlacierJobsError) -> None:
        """Hand over why no sweep will come, unless this seat asks again."""
        self._poller = None
        self.tell(error)

    def leave(self) -> None:
        """Give up the seat."""
        if self._poller is not None:
            self._poller.leave(self)

    def __enter__(self) -> Seat:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class _Poller:
    """Looks at one source once an interval, for as long as there are seats."""

    def __init__(
        self,
        source: Source,
        threads: ThreadPoolExecutor,
        first_after_seconds: float,
        *,
        retired: Callable[[_Poller], None],
    ) -> None:
        self.source = source
        self._threads = threads
        self._retired = retired
        self._seats: set[Seat] = set()
        self._interval_seconds: float | None = None
        self._changed = asyncio.Event()
        self._abandoned = threading.Event()
        self._hook: GlacierJobsHook | None = None
        self._pages = 0
        self._bad_polls = 0
        self._jitter = 0.0
        self._loop = asyncio.get_running_loop()
        self._first_at = self._loop.time() + first_after_seconds
        self._ended_at: float | None = None
        self._task: asyncio.Task[None] = Context().run(self._loop.create_task, self._run())
        # Also when the task is cancelled before its first step, which no code within it would notice.
        self._task.add_done_callback(lambda task: self._retire())

    def join(self, seat: Seat) -> None:
        self._seats.add(seat)
        self._interval_seconds = None
        self._changed.set()

    def leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        self._interval_seconds = None
        if not self._seats:
            self._abandoned.set()
            self._changed.set()

    def _due_at(self) -> float:
        if self._ended_at is None:
            return self._first_at
        if self._interval_seconds is None:
            self._interval_seconds = min(seat.poll_seconds for seat in self._seats)
        return self._ended_at + next_delay_seconds(self._interval_seconds, self._bad_polls, self._jitter)

    async def _run(self) -> None:
        why = "were cancelled"
        try:
            while await self._is_due():
                await self._sweep()
        except Exception as error:
            log.exception("The sweeps of vault %s broke off", self.source.vault_name)
            why = f"broke off: {type(error).__name__}: {error}"
        finally:
            self._retire(why)

    def _retire(self, why: str = "were cancelled") -> None:
        """Make room for a successor, at once when this one ends: a seat taken meanwhile would wait for ever."""
        self._retired(self)
        self._abandoned.set()
        seats, self._seats = self._seats, set()
        for seat in seats:
            seat.lose_poller(ServiceUnavailable(f"the sweeps of vault {self.source.vault_name} {why}"))

    async def _is_due(self) -> bool:
        """Wait until the next sweep is due, or nobody is left."""
        while self._seats:
            self._changed.clear()
            remaining_seconds = self._due_at() - self._loop.time()
            if remaining_seconds <= 0:
                return True
            await _is_set_within(self._changed, remaining_seconds)
        return False

    async def _sweep(self) -> None:
        seats = list(self._seats)
        self._abandoned = abandoned = threading.Event()
        wanted = [seat.wanted() async for seat in _in_turns(seats)]
        news = await self._loop.run_in_executor(self._threads, self._look, Wanted.by_all(wanted), abandoned)
        self._ended_at = self._loop.time()
        if isinstance(news, Abandoned):
            return
        if isinstance(news, GlacierJobsError):
            self._bad_polls += 1
            errors: Iterable[GlacierJobsError] = [news]
        else:
            self._pages = news.pages
            self._bad_polls = 0
            errors = news.refused.values()
        if any(isinstance(error, AccessDenied | ConnectionNotFound) for error in errors):
            # Whoever mends the connection shall not have to restart the triggerer.
            self._hook = None
        self._jitter = random.random()  # noqa: S311 - not a secret
        async for seat in _in_turns(seats):
            seat.tell(news)

    def _look(self, wanted: Wanted, abandoned: threading.Event) -> News:
        """Look, in a thread."""
        try:
            self._hook = hook = self._hook or self.source.hook()
            return look(
                hook,
                self.source.vault_name,
                self.source.account_id,
                wanted,
                pages=self._pages,
                is_abandoned=abandoned.is_set,
            )
        except GlacierJobsError as error:
            return error
        except Exception as error:
            log.exception("The sweep of vault %s failed", self.source.vault_name)
            return ServiceUnavailable(
                f"the sweep of vault {self.source.vault_name} failed: {type(error).__name__}: {error}"
            )
