"""Who gets a thread, shown with calls that occupy theirs until the test ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from glacier_jobs.waiting.poll_threads import (
    MOST_THREADS_PER_CLIENT,
    POLL_THREADS,
    RETRY_THREADS,
    RETRY_THREADS_PER_CLIENT,
    PollThreads,
    ThreadShare,
)

SECONDS = 30.0


class SilentEndpoint:
    """Its calls return when it is told to answer."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.started = 0
        self._counting = threading.Lock()

    def call(self) -> None:
        with self._counting:
            self.started += 1
        assert self.answers.wait(SECONDS)

    async def occupies(self, threads: int) -> None:
        """Wait until so many calls have started, and make sure that no more do."""
        while self.started < threads:  # noqa: ASYNC110 - they start in threads
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert self.started == threads


def in_a_loop(test: Callable[[PollThreads, SilentEndpoint], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop of its own. At its end, the silent endpoint answers."""

    async def run() -> None:
        silent = SilentEndpoint()
        try:
            await asyncio.wait_for(test(PollThreads(), silent), SECONDS)
        finally:
            silent.answers.set()

    asyncio.run(run())


def submit(share: ThreadShare, silent: SilentEndpoint, calls: int, **arguments: int) -> list[asyncio.Future[None]]:
    return [share.submit(silent.call, **arguments) for _ in range(calls)]


async def runs(share: ThreadShare) -> bool:
    """Whether a call of a client that does not wait for anything gets a thread."""
    return await asyncio.wait_for(share.submit(lambda: True), SECONDS)


def test_one_client_uses_a_part_of_the_threads() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        submit(threads.share_of("silent"), silent, 1_000)

        await silent.occupies(MOST_THREADS_PER_CLIENT)
        assert await runs(threads.share_of("healthy"))

    in_a_loop(test)


def test_ten_silent_clients_leave_threads_to_others() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        for number in range(10):
            submit(threads.share_of(number), silent, 1_000)

        assert await runs(threads.share_of("healthy"))
        assert threads.free >= 5

    in_a_loop(test)


def test_any_number_of_clients_uses_at_most_all_threads() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        for number in range(100):
            submit(threads.share_of(number), silent, 1_000)

        await silent.occupies(POLL_THREADS)

    in_a_loop(test)


def test_the_retries_of_any_number_of_clients_leave_threads_to_others() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        for number in range(100):
            submit(threads.share_of(number), silent, 1_000, failures=1)

        await silent.occupies(RETRY_THREADS)
        assert await runs(threads.share_of("healthy"))

    in_a_loop(test)


def test_the_next_retry_is_one_of_the_client_that_uses_the_fewest_threads() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        ending = SilentEndpoint()
        submit(threads.share_of("many"), silent, 3, failures=1)
        submit(threads.share_of("ending"), ending, 1, failures=1)
        for number in range(RETRY_THREADS - 4):
            submit(threads.share_of(number), silent, 1, failures=1)
        assert threads.free_for_retries == 0
        submit(threads.share_of("many"), silent, 1, failures=1)
        submit(threads.share_of("none"), silent, 1, failures=1)

        ending.answers.set()
        while not threads.share_of("none").used:  # noqa: ASYNC110 - the other ends in a thread
            await asyncio.sleep(0.001)

        assert threads.share_of("many").used == 3

    in_a_loop(test)


def test_few_retries_of_a_client_run_at_the_same_time_and_delay_no_other_call_of_it() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        share = threads.share_of("client")
        submit(share, silent, 100, failures=1)

        await silent.occupies(RETRY_THREADS_PER_CLIENT)
        assert await runs(share)

    in_a_loop(test)


def test_the_next_retry_is_the_one_with_the_fewest_failures() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        share = threads.share_of("client")
        ending = SilentEndpoint()
        submit(share, silent, RETRY_THREADS_PER_CLIENT - 1, failures=5)
        submit(share, ending, 1, failures=5)
        order: list[int] = []
        waiting = [share.submit(partial(order.append, failures), failures=failures) for failures in (9, 2, 1, 2)]

        ending.answers.set()
        await asyncio.gather(*waiting)

        assert order == [1, 2, 2, 9]

    in_a_loop(test)


def test_all_calls_run_in_the_end() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        share = threads.share_of("client")
        calls = submit(share, silent, 100, failures=1) + submit(share, silent, 100)
        silent.answers.set()

        await asyncio.gather(*calls)

        assert (silent.started, share.used, threads.free) == (200, 0, POLL_THREADS)

    in_a_loop(test)


def test_a_cancelled_call_that_waits_is_not_started_and_one_that_runs_keeps_its_thread() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        share = threads.share_of("client")
        calls = submit(share, silent, MOST_THREADS_PER_CLIENT + 10)
        await silent.occupies(MOST_THREADS_PER_CLIENT)

        for call in calls:
            call.cancel()

        assert share.used == MOST_THREADS_PER_CLIENT
        silent.answers.set()
        assert await runs(share)
        while share.used:  # noqa: ASYNC110 - they end in threads
            await asyncio.sleep(0.001)
        assert (silent.started, threads.free) == (MOST_THREADS_PER_CLIENT, POLL_THREADS)

    in_a_loop(test)


def test_the_threads_of_a_client_stay_counted_though_nobody_refers_to_it_any_more() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        submit(threads.share_of("client"), silent, MOST_THREADS_PER_CLIENT)

        assert threads.share_of("client").used == MOST_THREADS_PER_CLIENT

    in_a_loop(test)


def test_an_error_of_a_call_reaches_the_caller() -> None:
    async def test(threads: PollThreads, silent: SilentEndpoint) -> None:
        with pytest.raises(ZeroDivisionError):
            await threads.share_of("client").submit(lambda: 1 // 0)
        assert threads.free == POLL_THREADS

    in_a_loop(test)
