"""The threads of all polls of one event loop, and how many of them each client may use.

A poll of an endpoint that sends no answer occupies its thread until its time-outs are over, which takes minutes. Other
polls do not wait for that:

- A client uses at most a quarter as many threads as are free. So it takes about 15 silent clients to use all.
- Of the polls that follow a failed one, few run at the same time for a client, and for all clients together at most
  half as many as there are threads. So vaults whose polls succeed always find a thread once the time-outs are over.
- Of the polls that wait for a thread, those come first that follow the fewest failed ones. So a vault whose poll failed
  once does not wait for those that never succeed.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, TypeVar

#: How many threads there are for all polls of an event loop.
POLL_THREADS = 64

#: For each thread that a client uses, so many are free when it takes another.
_FREE_PER_USED_THREAD = 4

#: How many threads one client uses at most.
MOST_THREADS_PER_CLIENT = -(-POLL_THREADS // (_FREE_PER_USED_THREAD + 1))

#: How many threads are used at most by polls of vaults whose previous poll failed: for one client, and for all.
RETRY_THREADS_PER_CLIENT = 4
RETRY_THREADS = POLL_THREADS // 2

_T = TypeVar("_T")


class PollThreads:
    """The threads of one event loop, shared by clients."""

    def __init__(self) -> None:
        self.free = POLL_THREADS
        self.free_for_retries = RETRY_THREADS
        self._executor = ThreadPoolExecutor(POLL_THREADS, thread_name_prefix="glacier-poll")
        self._shares: dict[Hashable, ThreadShare] = {}

    def share_of(self, client: Hashable) -> ThreadShare:
        """Return the share of a client, always the same one: its calls may outlast whoever submitted them."""
        return self._shares.setdefault(client, ThreadShare(self))

    def run(self, call: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run a call in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._executor, call)

    def start_waiting_calls(self) -> None:
        """Start the calls that may start, first those of the client that uses the fewest threads."""
        while startable := [share for share in self._shares.values() if share.can_start()]:
            min(startable, key=lambda share: share.used).start()


class ThreadShare:
    """The calls of one client: those that run, and those that wait for a thread."""

    def __init__(self, threads: PollThreads) -> None:
        self.used = 0
        self._used_by_retries = 0
        self._threads = threads
        # A heap of (failures, number, call, result). The numbers increase: no two entries are equal up to the call.
        self._waiting: list[tuple[int, int, Callable[[], Any], asyncio.Future[Any]]] = []
        self._numbers = count()

    def submit(self, call: Callable[[], _T], *, failures: int = 0) -> asyncio.Future[_T]:
        """Run a call in a thread, as soon as one is available to this client.

        :param failures: how often the same call failed since it last succeeded.
        :return: its result. If this is cancelled, the call is not started; one that runs continues to its end.
        """
        result: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (failures, next(self._numbers), call, result))
        self._threads.start_waiting_calls()
        return result

    def can_start(self) -> bool:
        """Tell whether a call waits that may start now."""
        if not self._waiting or self.used * _FREE_PER_USED_THREAD >= self._threads.free:
            return False
        failures, *_ = self._waiting[0]
        return not failures or (self._used_by_retries < RETRY_THREADS_PER_CLIENT and self._threads.free_for_retries > 0)

    def start(self) -> None:
        """Start the next call, or drop it if nobody waits for its result any more."""
        failures, _, call, result = heapq.heappop(self._waiting)
        if result.cancelled():
            return
        is_retry = failures > 0
        self._count(1, is_retry=is_retry)
        self._threads.run(call).add_done_callback(partial(self._ended, result, is_retry))

    def _ended(self, result: asyncio.Future[_T], is_retry: bool, call: asyncio.Future[_T]) -> None:
        self._count(-1, is_retry=is_retry)
        error = call.exception()
        if not result.cancelled():
            if error is None:
                result.set_result(call.result())
            else:
                result.set_exception(error)
        self._threads.start_waiting_calls()

    def _count(self, threads: int, *, is_retry: bool) -> None:
        self.used += threads
        self._threads.free -= threads
        if is_retry:
            self._used_by_retries += threads
            self._threads.free_for_retries -= threads
