"""Polls of a vault that are shared by all who wait for its jobs in one event loop.

Whoever waits holds a :class:`Subscription`. The subscriptions of one :class:`PollKey` are served by one poller: a task
that polls once an interval, for all of them together. The pollers of one connection share a client
(:mod:`glacier_jobs.waiting.shared_hook`). Everything that blocks (the look-up of the connection, building the client,
the requests) runs in a thread of a bounded pool (:mod:`glacier_jobs.waiting.poll_threads`), never in the event loop.

The poller's task belongs to none of the subscribers. It runs in an empty context, so that it logs and looks connections
up under its own name, and each subscription has its own slot for results, so that one that is cancelled does not affect
the others. Errors, cancellation included, reach the subscriptions as values.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias
from weakref import ReferenceType, WeakKeyDictionary, WeakValueDictionary, ref

from glacier_jobs.errors import AccessDenied, ConnectionNotFound, GlacierJobsError, ServiceUnavailable
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.poll import PollCancelled, PollRequest, poll
from glacier_jobs.waiting.poll_threads import PollThreads
from glacier_jobs.waiting.shared_hook import ConnectionSettings, SharedHook
from glacier_jobs.waiting.state import PollResult

#: After so many subscriptions, the event loop may run other tasks, where something is done for each.
_SUBSCRIPTIONS_AT_A_TIME = 50

#: What a poll showed, or why it showed nothing.
Result: TypeAlias = PollResult | GlacierJobsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PollKey:
    """What subscriptions have in common that share their polls: one vault, and the same connection settings."""

    vault_name: str
    account_id: str
    settings: ConnectionSettings

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
    ) -> PollKey:
        """Return the key for these arguments of an operator or trigger."""
        settings = ConnectionSettings.of(
            aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config
        )
        return cls(vault_name=vault_name, account_id=account_id, settings=settings)


class PollerRegistry:
    """All shared pollers of one event loop."""

    def __init__(self) -> None:
        self._pollers: dict[PollKey, _SharedPoller] = {}
        self._threads = PollThreads()
        # Only pollers refer to the hooks: a client that no poller uses any more is dropped.
        self._hooks: WeakValueDictionary[ConnectionSettings, SharedHook] = WeakValueDictionary()

    @classmethod
    def of_running_loop(cls) -> PollerRegistry:
        """Return the registry of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in _BY_LOOP:
            _BY_LOOP[loop] = cls()
        return _BY_LOOP[loop]

    def subscribe(
        self,
        key: PollKey,
        request: Callable[[], PollRequest],
        *,
        poll_seconds: float,
        first_after_seconds: float,
    ) -> Subscription:
        """Subscribe to the results of the polls of a key.

        :param request: called before each poll; returns what it must determine for this subscription.
        :param poll_seconds: the longest interval between two polls that suits this subscription.
        :param first_after_seconds: where there is no other subscription for this key, when the first poll begins.
        :return: a context manager that cancels the subscription at its end.

        Example::

            with PollerRegistry.of_running_loop().subscribe(
                key, lambda: PollRequest(job_ids=frozenset(["HkF9p6"])), poll_seconds=600, first_after_seconds=0
            ) as subscription:
                result = await subscription.next_result()
        """
        return Subscription(self, key, request, poll_seconds=poll_seconds, first_after_seconds=first_after_seconds)

    def _add(self, subscription: Subscription, first_after_seconds: float) -> _SharedPoller:
        poller = self._pollers.get(subscription.key)
        if poller is None:
            hook = self._hook(subscription.key.settings)
            poller = _SharedPoller(subscription.key, hook, first_after_seconds, on_end=self._remove)
            self._pollers[subscription.key] = poller
        poller.add(subscription)
        return poller

    def _hook(self, settings: ConnectionSettings) -> SharedHook:
        hook = self._hooks.get(settings)
        if hook is None:
            self._hooks[settings] = hook = SharedHook(settings, self._threads.share_of(settings))
        return hook

    def _remove(self, poller: _SharedPoller) -> None:
        if self._pollers.get(poller.key) is poller:
            del self._pollers[poller.key]


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, PollerRegistry] = WeakKeyDictionary()


async def _is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, and tell whether it was set in time.

    Not ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that arrives together with the event, and
    the cancelled task would continue to wait.
    """
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiter}, timeout=seconds)
    finally:
        waiter.cancel()
    return event.is_set()


async def _interleaved(subscriptions: Sequence[Subscription]) -> AsyncIterator[Subscription]:
    """Yield the subscriptions, and let the event loop run other tasks in between."""
    for number, subscription in enumerate(subscriptions, start=1):
        yield subscription
        if number % _SUBSCRIPTIONS_AT_A_TIME == 0:
            await asyncio.sleep(0)


class Subscription:
    """A slot for the results of a key's polls; made by :meth:`PollerRegistry.subscribe`."""

    def __init__(
        self,
        registry: PollerRegistry,
        key: PollKey,
        request: Callable[[], PollRequest],
        *,
        poll_seconds: float,
        first_after_seconds: float,
    ) -> None:
        self.key = key
        self.request = request
        self.poll_seconds = poll_seconds
        self._registry = registry
        self._arrived = asyncio.Event()
        self._result: Result | None = None
        self._poller: _SharedPoller | None = registry._add(self, first_after_seconds)

    async def next_result(self, within_seconds: float | None = None) -> Result:
        """Return the result of the next poll; only of polls that began after the subscription did.

        :raises asyncio.TimeoutError: there was none within this time.
        """
        if self._poller is None:
            self._poller = self._registry._add(self, self.poll_seconds)
        if not await _is_set_within(self._arrived, within_seconds):
            raise asyncio.TimeoutError
        self._arrived.clear()
        result, self._result = self._result, None
        if result is None:
            raise AssertionError("arrived without a result")
        return result

    def deliver(self, result: Result) -> None:
        """Deliver a result; it replaces one that was not taken yet."""
        self._result = result
        self._arrived.set()

    def detach(self, error: GlacierJobsError) -> None:
        """Deliver why the poller ended; the next call of :meth:`next_result` starts another."""
        self._poller = None
        self.deliver(error)

    def cancel(self) -> None:
        """End the subscription."""
        if self._poller is not None:
            self._poller.remove(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class _SharedPoller:
    """Polls one key once an interval, as long as there are subscriptions."""

    def __init__(
        self,
        key: PollKey,
        hook: SharedHook,
        first_after_seconds: float,
        *,
        on_end: Callable[[_SharedPoller], None],
    ) -> None:
        self.key = key
        self._hook = hook
        self._refused_hook: ReferenceType[GlacierJobsHook] | None = None
        self._on_end = on_end
        self._subscriptions: set[Subscription] = set()
        self._interval_seconds: float | None = None
        self._changed = asyncio.Event()
        self._cancelled = threading.Event()
        self._pages = 0
        self._bad_polls = 0
        self._jitter = 0.0
        self._loop = asyncio.get_running_loop()
        self._first_at = self._loop.time() + first_after_seconds
        self._ended_at: float | None = None
        self._task: asyncio.Task[None] = Context().run(self._loop.create_task, self._run())
        # Also where the task is cancelled before its first step, which no code inside it would notice.
        self._task.add_done_callback(lambda task: self._end())

    def add(self, subscription: Subscription) -> None:
        self._subscriptions.add(subscription)
        self._interval_seconds = None
        self._changed.set()

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self._interval_seconds = None
        if not self._subscriptions:
            self._cancelled.set()
            self._changed.set()

    def _due_at(self) -> float:
        if self._ended_at is None:
            return self._first_at
        if self._interval_seconds is None:
            self._interval_seconds = min(subscription.poll_seconds for subscription in self._subscriptions)
        return self._ended_at + next_delay_seconds(self._interval_seconds, self._bad_polls, self._jitter)

    async def _run(self) -> None:
        reason = "was cancelled"
        try:
            while await self._is_due():
                await self._poll()
        except Exception as error:
            log.exception("The shared poller of vault %s failed", self.key.vault_name)
            reason = f"failed: {type(error).__name__}: {error}"
        finally:
            self._end(reason)

    def _end(self, reason: str = "was cancelled") -> None:
        """Leave the registry at once when this poller ends: a later subscription to it would wait for ever."""
        self._on_end(self)
        self._cancelled.set()
        subscriptions, self._subscriptions = self._subscriptions, set()
        for subscription in subscriptions:
            subscription.detach(ServiceUnavailable(f"the shared poller of vault {self.key.vault_name} {reason}"))

    async def _is_due(self) -> bool:
        """Wait until the next poll is due, or there is no subscription left."""
        while self._subscriptions:
            self._changed.clear()
            remaining_seconds = self._due_at() - self._loop.time()
            if remaining_seconds <= 0:
                return True
            await _is_set_within(self._changed, remaining_seconds)
        return False

    async def _poll(self) -> None:
        subscriptions = list(self._subscriptions)
        self._cancelled = cancelled = threading.Event()
        requests = [subscription.request() async for subscription in _interleaved(subscriptions)]
        request = PollRequest.merged(requests)
        hook = await self._hook.get(self._refused_hook() if self._refused_hook else None)
        if isinstance(hook, GlacierJobsError):
            result: Result = hook
        else:
            result = await self._hook.threads.submit(
                partial(self._poll_in_thread, hook, request, cancelled), failures=self._bad_polls
            )
        self._ended_at = self._loop.time()
        if isinstance(result, PollCancelled):
            return
        if isinstance(result, GlacierJobsError):
            self._bad_polls += 1
            errors: Iterable[GlacierJobsError] = [result]
        else:
            self._pages = result.pages
            self._bad_polls = 0
            errors = result.refused.values()
        if isinstance(hook, GlacierJobsHook):
            # A connection that is corrected must take effect without a restart of the triggerer.
            is_refused = any(isinstance(error, AccessDenied | ConnectionNotFound) for error in errors)
            self._refused_hook = ref(hook) if is_refused else None
        self._jitter = random.random()  # noqa: S311 - not a secret
        async for subscription in _interleaved(subscriptions):
            subscription.deliver(result)

    def _poll_in_thread(self, hook: GlacierJobsHook, request: PollRequest, cancelled: threading.Event) -> Result:
        try:
            return poll(
                hook,
                self.key.vault_name,
                self.key.account_id,
                request,
                pages=self._pages,
                is_cancelled=cancelled.is_set,
            )
        except GlacierJobsError as error:
            return error
        except Exception as error:
            log.exception("The poll of vault %s failed", self.key.vault_name)
            return ServiceUnavailable(
                f"the poll of vault {self.key.vault_name} failed: {type(error).__name__}: {error}"
            )
