"""The sharing of sweeps, proven by the local AWS's own count of calls."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from glacier_jobs.errors import ConnectionNotFound, ServiceUnavailable, TransientError
from glacier_jobs.waiting.poll import Wanted
from glacier_jobs.waiting.shared_poller import Seat, Source, Sweeps
from glacier_jobs.waiting.state import Sight
from local_aws.client import Control
from tests.conftest import Connect


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop of its own, and not for ever."""
    asyncio.run(asyncio.wait_for(test(), 60))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
        await asyncio.sleep(0.01)


@pytest.fixture
def source(connect: Connect, local_aws: Control) -> Source:
    local_aws.add_jobs("photos", [{"JobId": job_id} for job_id in "abcdefgh"])
    return source_of(connect(attempts=1))


def source_of(aws_conn_id: str, **arguments: Any) -> Source:
    defaults: dict[str, Any] = {
        "vault_name": "photos",
        "account_id": "-",
        "region_name": None,
        "verify": None,
        "botocore_config": None,
    }
    return Source.of(aws_conn_id=aws_conn_id, **{**defaults, **arguments})


def seat(source: Source, *job_ids: str, poll_seconds: float = 0.05, first_after_seconds: float = 0.0) -> Seat:
    return Sweeps.of_this_loop().seat(
        source,
        lambda: Wanted(job_ids=frozenset(job_ids)),
        poll_seconds=poll_seconds,
        first_after_seconds=first_after_seconds,
    )


async def sight(seat: Seat) -> Sight:
    news = await seat.news()
    assert isinstance(news, Sight), news
    return news


def test_all_who_wait_for_a_vault_share_a_sweep(source: Source, local_aws: Control) -> None:
    async def test() -> None:
        seats = [seat(source, job_id, poll_seconds=600) for job_id in "abcdefgh"]
        sights = await asyncio.gather(*map(sight, seats))

        assert all(job_id in shown.found for job_id, shown in zip("abcdefgh", sights, strict=True))
        assert local_aws.calls().total == 1

    in_a_loop(test)


@pytest.mark.parametrize(
    "other", [{"vault_name": "films"}, {"account_id": "123456789012"}, {"region_name": "us-east-1"}, {"verify": False}]
)
def test_other_vaults_and_settings_have_sweeps_of_their_own(
    other: dict[str, Any], source: Source, connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("films", [{"JobId": "a"}])

    async def test() -> None:
        await asyncio.gather(sight(seat(source, "a")), sight(seat(source_of(connect(attempts=1), **other), "a")))

    in_a_loop(test)

    assert local_aws.calls().total >= 2


def test_a_sweep_that_had_begun_before_is_not_taken(source: Source, local_aws: Control) -> None:
    """The second seat is taken while the first sweep waits for its answer."""
    local_aws.fault("latency", seconds=0.5, count=1)

    async def test() -> None:
        first = seat(source, "a", poll_seconds=0.1)
        told = asyncio.ensure_future(sight(first))
        await until(lambda: local_aws.calls().total > 0)
        second = seat(source, "b", poll_seconds=0.1)

        assert set((await told).found) == {"a"}
        assert set((await sight(second)).found) == {"a", "b"}

    in_a_loop(test)


def test_the_shortest_interval_of_those_who_share_counts(source: Source, local_aws: Control) -> None:
    async def test() -> None:
        patient = seat(source, "a", poll_seconds=600)
        await sight(patient)
        with seat(source, "b", poll_seconds=0.05) as hurried:
            await sight(hurried)
            await sight(patient)

    in_a_loop(test)


def test_who_leaves_takes_nothing_down_with_it(source: Source, local_aws: Control) -> None:
    """The one who made the sweep is cancelled while it is under way."""
    local_aws.fault("latency", seconds=0.3, count=1)

    async def maker() -> None:
        with seat(source, "a") as own:
            await own.news()

    async def test() -> None:
        made = asyncio.ensure_future(maker())
        await asyncio.sleep(0)
        others = [seat(source, job_id) for job_id in "bcd"]
        told = [asyncio.ensure_future(sight(other)) for other in others]
        await until(lambda: local_aws.calls().total > 0)
        made.cancel()

        assert all("b" in shown.found for shown in await asyncio.gather(*told))
        assert made.cancelled()

    in_a_loop(test)


@pytest.mark.parametrize("steps", range(5))
def test_who_is_cancelled_while_the_news_arrive_is_cancelled(source: Source, steps: int) -> None:
    """Before Python 3.12, ``asyncio.wait_for`` swallows such a cancellation."""

    async def test() -> None:
        with seat(source, "a", first_after_seconds=600) as own:
            waiting = asyncio.ensure_future(own.news(within_seconds=600))
            for _ in range(3):
                await asyncio.sleep(0)
            own.tell(Sight(found={}))
            for _ in range(steps):
                await asyncio.sleep(0)
            if waiting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await waiting

    in_a_loop(test)


def test_when_all_have_left_nothing_is_asked_any_more(source: Source, local_aws: Control) -> None:
    local_aws.settings(max_limit=1)
    local_aws.fault("latency", seconds=0.2)

    async def test() -> None:
        with seat(source, *"abcdefgh") as own:
            news = asyncio.ensure_future(own.news())
            await until(lambda: local_aws.calls().total > 0)
            news.cancel()
        await until(lambda: not sweeping())

    in_a_loop(test)

    assert local_aws.calls().total <= 2


def sweeping() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "_Poller" in repr(task.get_coro())]


def test_an_error_reaches_all_as_a_value_and_the_next_sweep_comes(source: Source, local_aws: Control) -> None:
    local_aws.fault("service_unavailable", count=1)

    async def test() -> None:
        seats = [seat(source, job_id) for job_id in "abc"]

        assert [type(news) for news in await asyncio.gather(*(one.news() for one in seats))] == [ServiceUnavailable] * 3
        assert all("a" in shown.found for shown in await asyncio.gather(*map(sight, seats)))

    in_a_loop(test)


def test_a_cancelled_sweep_reaches_all_as_a_value_and_who_stays_is_served_again(
    source: Source, local_aws: Control
) -> None:
    local_aws.fault("latency", seconds=0.2, count=1)

    async def test() -> None:
        seats = [seat(source, job_id) for job_id in "abc"]
        told = [asyncio.ensure_future(one.news()) for one in seats]
        await until(lambda: local_aws.calls().total > 0)
        for task in sweeping():
            task.cancel()

        assert all(isinstance(news, TransientError) for news in await asyncio.gather(*told))
        assert all("a" in shown.found for shown in await asyncio.gather(*map(sight, seats)))

    in_a_loop(test)


def test_a_sweep_that_is_cancelled_before_its_first_step_leaves_nobody_waiting(source: Source) -> None:
    async def test() -> None:
        own = seat(source, "a", first_after_seconds=600)
        for task in sweeping():
            task.cancel()

        assert isinstance(await own.news(), TransientError)

    in_a_loop(test)


def test_a_missing_connection_reaches_all_as_a_value(local_aws: Control) -> None:
    async def test() -> None:
        news = await seat(source_of("nowhere"), "a").news()

        assert isinstance(news, ConnectionNotFound)

    in_a_loop(test)


def test_an_error_that_nobody_foresaw_reaches_all_as_a_value(
    source: Source, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Source) -> None:
        raise ZeroDivisionError("the secrets backend is away")

    monkeypatch.setattr(Source, "hook", fail)

    async def test() -> None:
        news = await seat(source, "a").news()

        assert isinstance(news, ServiceUnavailable)
        assert "ZeroDivisionError: the secrets backend is away" in str(news)

    in_a_loop(test)


def test_what_breaks_the_sweeps_off_is_named_to_all(
    source: Source, local_aws: Control, caplog: pytest.LogCaptureFixture
) -> None:
    def lost() -> Wanted:
        raise RuntimeError("what was wanted is lost")

    async def test() -> None:
        first = seat(source, "a")
        with Sweeps.of_this_loop().seat(source, lost, poll_seconds=0.05, first_after_seconds=0.0):
            news = await first.news()

        assert isinstance(news, ServiceUnavailable)
        assert "broke off: RuntimeError: what was wanted is lost" in str(news)
        await sight(first)

    in_a_loop(test)
    assert "The sweeps of vault photos broke off" in caplog.text


def test_connection_client_and_calls_stay_off_the_event_loop_and_out_of_its_context(
    source: Source, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    noted: list[tuple[int, str]] = []
    real_hook = Source.hook

    def note(self: Source) -> Any:
        noted.append((threading.get_ident(), variable.get()))
        return real_hook(self)

    monkeypatch.setattr(Source, "hook", note)

    async def test() -> None:
        variable.set("the creator's")
        await sight(seat(source, "a"))

    in_a_loop(test)

    assert noted
    assert all(thread != threading.get_ident() for thread, _ in noted)
    assert {value for _, value in noted} == {"nobody's"}


def test_each_event_loop_has_sweeps_of_its_own(source: Source, local_aws: Control) -> None:
    async def test() -> None:
        await sight(seat(source, "a"))

    in_a_loop(test)
    in_a_loop(test)

    assert local_aws.calls().total >= 2


def test_a_loop_that_ends_ends_its_sweeps(source: Source, local_aws: Control) -> None:
    local_aws.fault("latency", seconds=0.1)

    async def test() -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(seat(source, "a", first_after_seconds=600).news(), 0.1)
        assert sweeping()

    in_a_loop(test)
