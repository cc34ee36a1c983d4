"""The sharing of polls, proven by the local AWS's own count of calls."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.errors import (
    AccessDenied,
    ConnectionNotFound,
    CredentialsUnavailable,
    ServiceUnavailable,
    TransientError,
)
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.poll import PollRequest
from glacier_jobs.waiting.poll_threads import MOST_THREADS_PER_CLIENT, POLL_THREADS
from glacier_jobs.waiting.shared_hook import ConnectionSettings
from glacier_jobs.waiting.shared_poller import PollerRegistry, PollKey, Subscription
from glacier_jobs.waiting.state import PollResult
from local_aws.client import Control
from local_aws.faulty_proxy import Fault, faulty_proxy
from tests.conftest import Connect
from tests.credential_source import CredentialProcess


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop of its own, and not for ever."""
    asyncio.run(asyncio.wait_for(test(), 60))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
        await asyncio.sleep(0.01)


@pytest.fixture
def key(connect: Connect, local_aws: Control) -> PollKey:
    local_aws.add_jobs("photos", [{"JobId": job_id} for job_id in "abcdefgh"])
    return key_of(connect(attempts=1))


def key_of(aws_conn_id: str, **arguments: Any) -> PollKey:
    defaults: dict[str, Any] = {
        "vault_name": "photos",
        "account_id": "-",
        "region_name": None,
        "verify": None,
        "botocore_config": None,
    }
    return PollKey.of(aws_conn_id=aws_conn_id, **{**defaults, **arguments})


def subscribe(
    key: PollKey, *job_ids: str, poll_seconds: float = 0.05, first_after_seconds: float = 0.0
) -> Subscription:
    return PollerRegistry.of_running_loop().subscribe(
        key,
        lambda: PollRequest(job_ids=frozenset(job_ids)),
        poll_seconds=poll_seconds,
        first_after_seconds=first_after_seconds,
    )


async def result_of(subscription: Subscription) -> PollResult:
    result = await subscription.next_result()
    assert isinstance(result, PollResult), result
    return result


def test_all_subscriptions_of_a_vault_share_a_poll(key: PollKey, local_aws: Control) -> None:
    async def test() -> None:
        subscriptions = [subscribe(key, job_id, poll_seconds=600) for job_id in "abcdefgh"]
        results = await asyncio.gather(*map(result_of, subscriptions))

        assert all(job_id in shown.found for job_id, shown in zip("abcdefgh", results, strict=True))
        assert local_aws.calls().total == 1

    in_a_loop(test)


@pytest.mark.parametrize(
    "other", [{"vault_name": "films"}, {"account_id": "123456789012"}, {"region_name": "us-east-1"}, {"verify": False}]
)
def test_other_vaults_and_settings_have_polls_of_their_own(
    other: dict[str, Any], key: PollKey, connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("films", [{"JobId": "a"}])

    async def test() -> None:
        await asyncio.gather(
            result_of(subscribe(key, "a")), result_of(subscribe(key_of(connect(attempts=1), **other), "a"))
        )

    in_a_loop(test)

    assert local_aws.calls().total >= 2


def test_the_result_of_a_poll_that_began_before_is_not_delivered(key: PollKey, local_aws: Control) -> None:
    """The second subscription begins while the first poll waits for its answer."""
    local_aws.fault("latency", seconds=0.5, count=1)

    async def test() -> None:
        first = subscribe(key, "a", poll_seconds=0.1)
        results = asyncio.ensure_future(result_of(first))
        await until(lambda: local_aws.calls().total > 0)
        second = subscribe(key, "b", poll_seconds=0.1)

        assert set((await results).found) == {"a"}
        assert set((await result_of(second)).found) == {"a", "b"}

    in_a_loop(test)


def test_the_shortest_interval_of_the_subscriptions_applies(key: PollKey, local_aws: Control) -> None:
    async def test() -> None:
        patient = subscribe(key, "a", poll_seconds=600)
        await result_of(patient)
        with subscribe(key, "b", poll_seconds=0.05) as hurried:
            await result_of(hurried)
            await result_of(patient)

    in_a_loop(test)


def test_a_cancelled_subscriber_does_not_affect_the_others(key: PollKey, local_aws: Control) -> None:
    """The subscriber that started the poller is cancelled during its poll."""
    local_aws.fault("latency", seconds=0.3, count=1)

    async def maker() -> None:
        with subscribe(key, "a") as own:
            await own.next_result()

    async def test() -> None:
        made = asyncio.ensure_future(maker())
        await asyncio.sleep(0)
        others = [subscribe(key, job_id) for job_id in "bcd"]
        results = [asyncio.ensure_future(result_of(other)) for other in others]
        await until(lambda: local_aws.calls().total > 0)
        made.cancel()

        assert all("b" in shown.found for shown in await asyncio.gather(*results))
        assert made.cancelled()

    in_a_loop(test)


@pytest.mark.parametrize("steps", range(5))
def test_a_subscriber_that_is_cancelled_while_a_result_arrives_is_cancelled(key: PollKey, steps: int) -> None:
    """Before Python 3.12, ``asyncio.wait_for`` swallows such a cancellation."""

    async def test() -> None:
        with subscribe(key, "a", first_after_seconds=600) as own:
            waiting = asyncio.ensure_future(own.next_result(within_seconds=600))
            for _ in range(3):
                await asyncio.sleep(0)
            own.deliver(PollResult(found={}))
            for _ in range(steps):
                await asyncio.sleep(0)
            if waiting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await waiting

    in_a_loop(test)


def test_without_subscriptions_there_are_no_more_requests(key: PollKey, local_aws: Control) -> None:
    local_aws.settings(max_limit=1)
    local_aws.fault("latency", seconds=0.2)

    async def test() -> None:
        with subscribe(key, *"abcdefgh") as own:
            result = asyncio.ensure_future(own.next_result())
            await until(lambda: local_aws.calls().total > 0)
            result.cancel()
        await until(lambda: not poller_tasks())

    in_a_loop(test)

    assert local_aws.calls().total <= 2


def poller_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "_SharedPoller" in repr(task.get_coro())]


def test_an_error_reaches_all_as_a_value_and_the_next_poll_comes(key: PollKey, local_aws: Control) -> None:
    local_aws.fault("service_unavailable", count=1)

    async def test() -> None:
        subscriptions = [subscribe(key, job_id) for job_id in "abc"]

        assert [type(result) for result in await asyncio.gather(*(one.next_result() for one in subscriptions))] == [
            ServiceUnavailable
        ] * 3
        assert all("a" in shown.found for shown in await asyncio.gather(*map(result_of, subscriptions)))

    in_a_loop(test)


def test_a_cancelled_poll_reaches_all_as_a_value_and_the_next_poll_follows(key: PollKey, local_aws: Control) -> None:
    local_aws.fault("latency", seconds=0.2, count=1)

    async def test() -> None:
        subscriptions = [subscribe(key, job_id) for job_id in "abc"]
        results = [asyncio.ensure_future(one.next_result()) for one in subscriptions]
        await until(lambda: local_aws.calls().total > 0)
        for task in poller_tasks():
            task.cancel()

        assert all(isinstance(result, TransientError) for result in await asyncio.gather(*results))
        assert all("a" in shown.found for shown in await asyncio.gather(*map(result_of, subscriptions)))

    in_a_loop(test)


def test_a_good_poll_ends_the_backoff(key: PollKey, local_aws: Control) -> None:
    local_aws.fault("service_unavailable", count=3)

    async def test() -> None:
        with subscribe(key, "a", poll_seconds=0.01) as own:
            for _ in range(3):
                assert isinstance(await own.next_result(), ServiceUnavailable)
            poller = PollerRegistry.of_running_loop()._pollers[key]
            backed_off = _longest_delay_seconds(poller)
            await result_of(own)

            assert backed_off == pytest.approx(0.08)
            assert _longest_delay_seconds(poller) == pytest.approx(0.01)

    in_a_loop(test)


def _longest_delay_seconds(poller: Any) -> float:
    poller._jitter = 1.0
    delay: float = poller._due_at() - poller._ended_at
    return delay


def test_a_poller_that_has_ended_does_not_remove_its_successor(key: PollKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The successor is created as soon as a subscription learns of the end, before the task is done."""

    async def test() -> None:
        own = subscribe(key, "a", first_after_seconds=600)
        successors: list[Subscription] = []
        monkeypatch.setattr(own, "deliver", lambda _: successors.append(subscribe(key, "b", first_after_seconds=600)))
        [ended] = poller_tasks()
        await asyncio.sleep(0)
        ended.cancel()
        await until(ended.done)
        await asyncio.sleep(0)

        successors.append(subscribe(key, "c", first_after_seconds=600))

        assert len(successors) == 2
        assert len(poller_tasks()) == 1

    in_a_loop(test)


def test_a_poller_that_is_cancelled_before_its_first_step_ends_all_waits(key: PollKey) -> None:
    async def test() -> None:
        own = subscribe(key, "a", first_after_seconds=600)
        for task in poller_tasks():
            task.cancel()

        assert isinstance(await own.next_result(), TransientError)

    in_a_loop(test)


def test_a_missing_connection_reaches_all_as_a_value(local_aws: Control) -> None:
    async def test() -> None:
        result = await subscribe(key_of("nowhere"), "a").next_result()

        assert isinstance(result, ConnectionNotFound)

    in_a_loop(test)


def test_an_unexpected_error_reaches_all_as_a_value(
    key: PollKey, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ConnectionSettings) -> None:
        raise ZeroDivisionError("the secrets backend is away")

    monkeypatch.setattr(ConnectionSettings, "hook", fail)

    async def test() -> None:
        result = await subscribe(key, "a").next_result()

        assert isinstance(result, ServiceUnavailable)
        assert "ZeroDivisionError: the secrets backend is away" in str(result)

    in_a_loop(test)


def test_an_error_of_the_poller_itself_reaches_all_as_a_value(
    key: PollKey, local_aws: Control, caplog: pytest.LogCaptureFixture
) -> None:
    def lost() -> PollRequest:
        raise RuntimeError("the request is lost")

    async def test() -> None:
        first = subscribe(key, "a")
        with PollerRegistry.of_running_loop().subscribe(key, lost, poll_seconds=0.05, first_after_seconds=0.0):
            result = await first.next_result()

        assert isinstance(result, ServiceUnavailable)
        assert "failed: RuntimeError: the request is lost" in str(result)
        await result_of(first)

    in_a_loop(test)
    assert "The shared poller of vault photos failed" in caplog.text


def test_connection_client_and_calls_stay_off_the_event_loop_and_out_of_its_context(
    key: PollKey, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    noted: list[tuple[int, str]] = []
    real_hook = ConnectionSettings.hook

    def note(self: ConnectionSettings) -> Any:
        noted.append((threading.get_ident(), variable.get()))
        return real_hook(self)

    monkeypatch.setattr(ConnectionSettings, "hook", note)

    async def test() -> None:
        variable.set("the creator's")
        await result_of(subscribe(key, "a"))

    in_a_loop(test)

    assert noted
    assert all(thread != threading.get_ident() for thread, _ in noted)
    assert {value for _, value in noted} == {"nobody's"}


def test_each_event_loop_has_polls_of_its_own(key: PollKey, local_aws: Control) -> None:
    async def test() -> None:
        await result_of(subscribe(key, "a"))

    in_a_loop(test)
    in_a_loop(test)

    assert local_aws.calls().total >= 2


def test_a_loop_that_ends_ends_its_pollers(key: PollKey, local_aws: Control) -> None:
    local_aws.fault("latency", seconds=0.1)

    async def test() -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(subscribe(key, "a", first_after_seconds=600).next_result(), 0.1)
        assert poller_tasks()

    in_a_loop(test)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[GlacierJobsHook]:
    """The hooks that built a client, in order."""
    hooks: list[GlacierJobsHook] = []
    build = GlacierJobsHook.get_client_type

    def note(self: GlacierJobsHook, *args: Any, **arguments: Any) -> Any:
        hooks.append(self)
        return build(self, *args, **arguments)

    monkeypatch.setattr(GlacierJobsHook, "get_client_type", note)
    return hooks


def test_all_vaults_of_a_connection_share_a_client(
    connect: Connect, local_aws: Control, built: list[GlacierJobsHook]
) -> None:
    names = [f"vault-{number}" for number in range(30)]
    for name in names:
        local_aws.add_jobs(name, [{"JobId": "a"}])
    conn_id = connect(attempts=1)

    async def test() -> None:
        keys = [key_of(conn_id, vault_name=name) for name in names]
        await asyncio.gather(*(result_of(subscribe(key, "a")) for key in keys))
        await asyncio.gather(*(result_of(subscribe(key, "a")) for key in keys))

    in_a_loop(test)

    assert len(built) == 1


def test_a_client_is_dropped_with_the_last_poller_that_uses_it(key: PollKey, local_aws: Control) -> None:
    async def test() -> None:
        with subscribe(key, "a") as own:
            await result_of(own)
        del own
        await until(lambda: not poller_tasks())
        gc.collect()
        assert not PollerRegistry.of_running_loop()._hooks

    in_a_loop(test)


def test_all_vaults_use_the_client_that_a_corrected_connection_gives_a_refused_vault(
    connect: Connect, local_aws: Control, built: list[GlacierJobsHook]
) -> None:
    for name in ("photos", "films"):
        local_aws.add_jobs(name, [{"JobId": "a"}])
    local_aws.fault("access_denied", vault_name="photos", access_key="LOCALAWSACCESSKEY000")
    conn_id = connect(attempts=1)

    async def test() -> None:
        refused, other = subscribe(key_of(conn_id), "a"), subscribe(key_of(conn_id, vault_name="films"), "a")
        assert isinstance(await refused.next_result(), AccessDenied)
        await result_of(other)
        connect(attempts=1, access_key="LOCALAWSACCESSKEY111")
        while isinstance(await refused.next_result(), AccessDenied):
            pass
        await until(lambda: local_aws.requests("ListJobs", "films")[-1]["access_key"] == "LOCALAWSACCESSKEY111")

    in_a_loop(test)


def test_a_corrected_connection_replaces_a_source_of_credentials_that_is_away(
    connect: Connect, local_aws: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    process = CredentialProcess(tmp_path, monkeypatch)
    conn_id = connect(attempts=1, access_key=None, profile_name="archive")

    async def test() -> None:
        own = subscribe(key_of(conn_id), "a")
        await result_of(own)
        process.breaks()
        while not isinstance(await own.next_result(), CredentialsUnavailable):
            pass
        connect(attempts=1, access_key="LOCALAWSACCESSKEY111")
        while isinstance(await own.next_result(), CredentialsUnavailable):
            pass
        assert local_aws.requests("ListJobs", "photos")[-1]["access_key"] == "LOCALAWSACCESSKEY111"

    in_a_loop(test)


def test_vaults_that_are_refused_together_get_one_client(
    connect: Connect, local_aws: Control, built: list[GlacierJobsHook]
) -> None:
    names = [f"vault-{number}" for number in range(20)]
    local_aws.add_vaults(*names)
    local_aws.fault("access_denied")
    conn_id = connect(attempts=1)

    async def test() -> None:
        subscriptions = [subscribe(key_of(conn_id, vault_name=name), "a", poll_seconds=0.5) for name in names]
        for _ in range(2):
            for each in subscriptions:
                assert isinstance(await each.next_result(), AccessDenied)

    in_a_loop(test)

    # One for each round of polls, and not one for each vault.
    assert 2 <= len(built) <= 6


def test_a_refused_client_is_not_used_again_though_no_other_can_be_built(
    connect: Connect, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault("access_denied")
    conn_id = connect(attempts=1)

    async def test() -> None:
        own = subscribe(key_of(conn_id), "a")
        assert isinstance(await own.next_result(), AccessDenied)
        monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
        while isinstance(await own.next_result(), AccessDenied):
            pass
        for _ in range(3):
            assert isinstance(await own.next_result(), ConnectionNotFound)

    in_a_loop(test)


def test_a_client_that_cannot_be_built_is_an_error_for_all_and_is_built_again(
    connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])

    async def test() -> None:
        first, second = subscribe(key_of("later"), "a"), subscribe(key_of("later", vault_name="films"), "a")
        assert isinstance(await first.next_result(), ConnectionNotFound)
        assert isinstance(await second.next_result(), ConnectionNotFound)
        connect("later", attempts=1)
        while isinstance(await first.next_result(), ConnectionNotFound):
            pass
        await result_of(first)

    in_a_loop(test)


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """An endpoint that accepts connections and sends no answer until the test ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def silent_connection(connect: Connect, endpoint: str, read_timeout: float) -> str:
    retries = {"mode": "standard", "total_max_attempts": 1}
    config = {"retries": retries, "read_timeout": read_timeout}
    return connect("silent", attempts=None, endpoint_url=endpoint, config_kwargs=config)


@pytest.mark.parametrize("regions", [["us-east-1"], [f"region-{number}" for number in range(4)]], ids=len)
def test_silent_endpoints_do_not_delay_the_polls_of_another(
    regions: list[str], key: PollKey, connect: Connect, silent_endpoint: str
) -> None:
    """24 vaults of each silent endpoint; none of their time-outs ends before the test."""
    conn_id = silent_connection(connect, silent_endpoint, read_timeout=600)

    async def test() -> None:
        silent = [
            subscribe(key_of(conn_id, vault_name=f"vault-{number}", region_name=region), "a")
            for region in regions
            for number in range(24)
        ]
        threads = PollerRegistry.of_running_loop()._threads
        await until(lambda: POLL_THREADS - threads.free >= MOST_THREADS_PER_CLIENT)
        healthy = subscribe(key, "a", poll_seconds=0.05)
        for _ in range(10):
            await asyncio.wait_for(result_of(healthy), 5)
        assert len(silent) == 24 * len(regions)

    in_a_loop(test)


def test_silent_vaults_do_not_delay_other_vaults_of_their_endpoint_once_their_time_outs_are_over(
    connect: Connect, local_aws: Control
) -> None:
    """24 silent vaults: each poll takes a second and is repeated immediately. Without limits, they use all threads."""
    names = [f"vault-{number}" for number in range(24)]
    for name in [*names, "photos"]:
        local_aws.add_jobs(name, [{"JobId": "a"}])
    with faulty_proxy(local_aws.endpoint) as proxy:
        proxy.rule = lambda method, path: None if "/photos/" in path else Fault(delay_seconds=5, dropped=True)
        conn_id = silent_connection(connect, proxy.endpoint, read_timeout=1)

        async def test() -> None:
            silent = [subscribe(key_of(conn_id, vault_name=name), "a", poll_seconds=0.001) for name in names]
            for each in silent:
                assert isinstance(await each.next_result(), ServiceUnavailable)
            healthy = subscribe(key_of(conn_id), "a", poll_seconds=0.05)
            began_at = time.monotonic()
            for _ in range(20):
                await result_of(healthy)
            assert time.monotonic() - began_at < 10

        in_a_loop(test)
