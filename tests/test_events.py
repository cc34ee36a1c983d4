"""Run the event trigger of a vault as the triggerer does: an endless generator with an asset's state store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetWatcher

from glacier_jobs.errors import InvalidArgument
from glacier_jobs.events import GlacierJobCompletedTrigger
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import DagSerialization

HOUR = 3600
NO_EVENT_SECONDS = 0.4


class AssetState:
    """Stores JSON values, as Airflow's state store of an asset does. Its first ``failures`` calls fail."""

    def __init__(self, failures: int = 0) -> None:
        self.values: dict[str, str] = {}
        self.failures = failures

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.values[key] = json.dumps(value)

    def delivered(self) -> list[str]:
        (value,) = self.values.values()
        return list(json.loads(value)["told"])

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the API server is not available")


class RunningTrigger:
    """A running trigger with a queue of its events."""

    def __init__(self, trigger: GlacierJobCompletedTrigger) -> None:
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.ensure_future(self._watch(trigger))

    async def _watch(self, trigger: GlacierJobCompletedTrigger) -> None:
        async for event in trigger.run():
            self._events.put_nowait(json.loads(json.dumps(event.payload)))

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._events.get(), 30)

    async def next_ids(self) -> set[str]:
        return set((await self.next())["jobs"])

    async def sends_no_event(self) -> bool:
        await asyncio.sleep(NO_EVENT_SECONDS)
        return self._events.empty() and not self.task.done()


@pytest.fixture
def glacier(connect: Connect) -> dict[str, Any]:
    return {"vault_name": "photos", "aws_conn_id": connect(attempts=1), "poll_seconds": 0.05}


@asynccontextmanager
async def watching(state: Any, **arguments: Any) -> AsyncIterator[RunningTrigger]:
    """Run a watcher until the block ends, then cancel it as the triggerer does."""
    trigger = GlacierJobCompletedTrigger(**arguments)
    trigger.asset_state_store = state
    watching = RunningTrigger(trigger)
    try:
        yield watching
    finally:
        watching.task.cancel()
        await asyncio.wait({watching.task})
        await trigger.cleanup()


async def polled(local_aws: Control, times: int) -> None:
    calls = local_aws.calls().total
    while local_aws.calls().total < calls + times:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.02)


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


def completed(job_id: str, status_code: str = "Succeeded") -> dict[str, Any]:
    return {"JobId": job_id, "StatusCode": status_code}


@pytest.mark.parametrize("poll_seconds", [0, -1, "600"])
def test_an_invalid_interval_is_refused(poll_seconds: Any) -> None:
    with pytest.raises(InvalidArgument, match="poll_seconds"):
        GlacierJobCompletedTrigger(vault_name="photos", poll_seconds=poll_seconds)


def test_the_event_of_a_completed_job_names_vault_account_region_and_job(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])

    async def test() -> None:
        async with watching(AssetState(), **glacier) as watcher:
            await polled(local_aws, 2)
            local_aws.advance(5 * HOUR)
            payload = await watcher.next()

        assert payload == {
            "vault_name": "photos",
            "account_id": "123456789012",
            "region": "us-east-1",
            "jobs": ["a"],
            "count": 1,
        }

    asyncio.run(test())


def test_each_job_is_in_one_event_with_those_that_completed_together(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job(str(number), duration_seconds=number * HOUR) for number in range(1, 121)])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            local_aws.advance(20 * HOUR)
            assert await watcher.next_ids() == {str(number) for number in range(1, 21)}
            local_aws.advance(2 * HOUR)
            assert await watcher.next_ids() == {"21", "22"}
            assert await watcher.sends_no_event()

    asyncio.run(test())


@pytest.mark.parametrize("arn", ["photos", ""])
def test_a_malformed_vault_arn_stops_no_event(
    arn: str, glacier: Any, local_aws: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    local_aws.add_jobs("photos", [{**completed("odd"), "VaultARN": arn}, job("late")])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", account_id="123456789012", **glacier) as watcher:
            payload = await watcher.next()
            assert payload == {
                "vault_name": "photos",
                "account_id": "123456789012",
                "region": None,
                "jobs": ["odd"],
                "count": 1,
            }
            assert f"No new job of vault photos has a valid VaultARN (the first: {arn!r})" in capsys.readouterr().out
            local_aws.advance(5 * HOUR)
            assert await watcher.next_ids() == {"late"}

    asyncio.run(test())


def test_account_and_region_are_those_of_the_first_valid_vault_arn(glacier: Any, local_aws: Control) -> None:
    """A malformed one is listed first, and another last."""
    first, last = ({**completed(job_id), "VaultARN": "photos"} for job_id in ("first", "last"))
    local_aws.add_jobs("photos", [first, completed("good"), last])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            payload = await watcher.next()
            assert set(payload["jobs"]) == {"first", "good", "last"}
            assert (payload["account_id"], payload["region"]) == ("123456789012", "us-east-1")

    asyncio.run(test())


def test_an_event_holds_at_most_a_hundred_ids_and_counts_all(glacier: Any, local_aws: Control) -> None:
    ids = [str(number) for number in range(250)]
    local_aws.add_jobs("photos", [completed(job_id) for job_id in ids])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            payload = await watcher.next()

            assert (len(set(payload["jobs"])), payload["count"]) == (100, 250)
            assert set(payload["jobs"]) <= set(ids)
            assert await watcher.sends_no_event()

    asyncio.run(test())


def test_at_the_first_start_only_jobs_that_complete_later_have_events(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed("old"), job("new")])

    async def test() -> None:
        async with watching(AssetState(), **glacier) as watcher:
            await polled(local_aws, 2)
            local_aws.advance(5 * HOUR)
            assert await watcher.next_ids() == {"new"}
            assert await watcher.sends_no_event()

    asyncio.run(test())


def test_at_the_first_start_all_completed_jobs_can_have_events(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed("old"), completed("torn", "Failed"), job("new")])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            assert await watcher.next_ids() == {"old", "torn"}

    asyncio.run(test())


def test_jobs_that_completed_while_the_trigger_was_stopped_have_events_after_a_restart(
    glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [completed("old"), job("new")])
    state = AssetState()

    async def test() -> None:
        async with watching(state, **glacier):
            await polled(local_aws, 2)
        local_aws.advance(5 * HOUR)
        async with watching(state, **glacier) as watcher:
            assert await watcher.next_ids() == {"new"}
            assert await watcher.sends_no_event()

    asyncio.run(test())


def test_an_event_that_airflow_may_have_lost_is_sent_again(glacier: Any, local_aws: Control) -> None:
    """The triggerer dies right after the event, which is recorded only at the next poll."""
    local_aws.add_jobs("photos", [completed("a")])
    state = AssetState()

    async def test() -> None:
        slow = {**glacier, "poll_seconds": 600}
        async with watching(state, begin_with="everything", **slow) as watcher:
            assert await watcher.next_ids() == {"a"}
        assert state.delivered() == []
        async with watching(state, begin_with="everything", **glacier) as watcher:
            assert await watcher.next_ids() == {"a"}
            await polled(local_aws, 2)
        assert state.delivered() == ["a"]

    asyncio.run(test())


def test_ids_are_removed_from_the_record_once_they_are_no_longer_listed(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed("a"), job("b", duration_seconds=30 * HOUR)])
    state = AssetState()

    async def test() -> None:
        async with watching(state, begin_with="everything", **glacier) as watcher:
            await watcher.next_ids()
            local_aws.advance(31 * HOUR)
            await watcher.next_ids()
            await polled(local_aws, 2)
        assert state.delivered() == ["b"]

    asyncio.run(test())


def test_events_can_be_limited_to_jobs_of_one_status(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed("a"), completed("b", "Failed")])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", statuscode="Failed", **glacier) as watcher:
            assert await watcher.next_ids() == {"b"}
            assert await watcher.sends_no_event()

    asyncio.run(test())


@pytest.mark.parametrize("kind", ["access_denied", "no_longer_supported", "throttling", "not_json", "marker_cycle"])
def test_no_error_stops_the_trigger(kind: str, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed(str(number)) for number in range(60)])
    local_aws.fault(kind, operation="ListJobs", count=3)

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            assert len(await watcher.next_ids()) == 60

    asyncio.run(test())


def test_a_vault_that_does_not_exist_yet_is_waited_for(glacier: Any, local_aws: Control) -> None:
    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            await polled(local_aws, 2)
            local_aws.add_jobs("photos", [completed("a")])
            assert await watcher.next_ids() == {"a"}

    asyncio.run(test())


def test_a_corrected_connection_is_used_without_a_restart(glacier: Any, connect: Connect, local_aws: Control) -> None:
    """At first the connection has credentials that AWS refuses."""
    local_aws.add_jobs("photos", [completed("a")])
    local_aws.fault("access_denied", access_key="LOCALAWSACCESSKEY000")

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **glacier) as watcher:
            await polled(local_aws, 2)
            connect(attempts=1, access_key="LOCALAWSACCESSKEY111")
            assert await watcher.next_ids() == {"a"}

    asyncio.run(test())


def test_watchers_with_different_connections_have_states_of_their_own(
    glacier: Any, connect: Connect, local_aws: Control
) -> None:
    """Both watch a vault of the same name, in the Region of their connection, and share an asset."""
    other = connect("other_region", attempts=1, region_name="eu-west-1")
    local_aws.add_jobs("photos", [completed("a")])
    local_aws.add_jobs("photos", [completed("b")], region="eu-west-1")
    state = AssetState()

    async def test() -> None:
        for conn_id, job_id in [(glacier["aws_conn_id"], "a"), (other, "b")]:
            async with watching(state, **{**glacier, "aws_conn_id": conn_id}, begin_with="everything") as watcher:
                assert await watcher.next_ids() == {job_id}
                await polled(local_aws, 2)
        for conn_id in (glacier["aws_conn_id"], other):
            async with watching(state, **{**glacier, "aws_conn_id": conn_id}, begin_with="everything") as watcher:
                assert await watcher.sends_no_event()

    asyncio.run(test())


def test_a_state_store_that_is_not_available_is_waited_for(glacier: Any, local_aws: Control) -> None:
    """A store that cannot be read is not mistaken for a first start."""
    local_aws.add_jobs("photos", [completed("a")])
    state = AssetState()

    async def test() -> None:
        async with watching(state, **glacier):
            await polled(local_aws, 2)
        local_aws.add_jobs("photos", [completed("b")])
        state.failures = 3
        async with watching(state, **glacier) as watcher:
            assert await watcher.next_ids() == {"b"}

    asyncio.run(test())


class NoState:
    """Airflow's store where several assets have one trigger."""

    async def aget(self, key: str, default: Any = None) -> Any:
        raise ValueError("which of the assets?")


@pytest.mark.parametrize("state", [None, NoState()], ids=["before Airflow 3.3", "several assets"])
def test_without_a_state_store_each_start_delivers_all_completed_jobs(
    state: Any,
    glacier: Any,
    local_aws: Control,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Otherwise a job that completes while no triggerer runs would never be delivered."""
    local_aws.add_jobs("photos", [completed("a")])

    async def test() -> None:
        async with watching(state, begin_with="new", **glacier) as watcher:
            assert await watcher.next_ids() == {"a"}
            assert await watcher.sends_no_event()
        local_aws.add_jobs("photos", [completed("b")])
        async with watching(state, begin_with="new", **glacier) as watcher:
            assert await watcher.next_ids() == {"a", "b"}

    asyncio.run(test())

    # Airflow's logger writes to one of them, depending on the version.
    logged = caplog.text + capsys.readouterr().out
    assert logged.count("Each start of the triggerer delivers all completed jobs of vault photos") == 2


def test_a_trigger_that_airflow_gives_no_state_store_is_started(glacier: Any, local_aws: Control) -> None:
    """Before Airflow 3.3, triggers do not even have the attribute."""
    local_aws.add_jobs("photos", [completed("a")])

    async def test() -> None:
        trigger = GlacierJobCompletedTrigger(**glacier)
        vars(trigger).pop("asset_state_store", None)
        watching = RunningTrigger(trigger)
        assert await watching.next_ids() == {"a"}
        watching.task.cancel()
        await asyncio.wait({watching.task})
        await trigger.cleanup()

    asyncio.run(test())


def test_triggers_of_the_same_vault_share_polls(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [completed("a")])
    slow = {**glacier, "poll_seconds": 600, "begin_with": "everything"}

    async def test() -> None:
        async with watching(AssetState(), **slow) as one, watching(AssetState(), **slow) as other:
            assert await one.next_ids() == await other.next_ids() == {"a"}

    asyncio.run(test())

    assert local_aws.calls().total == 1


def test_a_single_trigger_lists_only_completed_jobs(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [*[job(str(number)) for number in range(200)], completed("a")])

    async def test() -> None:
        async with watching(AssetState(), begin_with="everything", **{**glacier, "poll_seconds": 600}) as watcher:
            await watcher.next_ids()

    asyncio.run(test())

    assert local_aws.calls().total == 1


def test_a_trigger_is_the_same_after_serialization() -> None:
    trigger = GlacierJobCompletedTrigger(
        vault_name="photos", begin_with="everything", statuscode="Failed", botocore_config={"read_timeout": 9}
    )
    classpath, kwargs = trigger.serialize()

    again = GlacierJobCompletedTrigger(**json.loads(json.dumps(kwargs)))

    assert classpath == "glacier_jobs.events.GlacierJobCompletedTrigger"
    assert again.serialize() == (classpath, kwargs)


def test_a_serialized_dag_contains_its_asset_watcher() -> None:
    trigger = GlacierJobCompletedTrigger(vault_name="photos", botocore_config={"read_timeout": 9})
    watched = Asset("photos_jobs", watchers=[AssetWatcher(name="photos", trigger=trigger)])

    serialized = json.dumps(DagSerialization.serialize_dag(DAG("watching", schedule=[watched])))

    assert "glacier_jobs.events.GlacierJobCompletedTrigger" in serialized
    assert "read_timeout" in serialized


@pytest.mark.parametrize(
    "wrong", [{"vault_name": "no/vault"}, {"account_id": "12"}, {"begin_with": "now"}, {"statuscode": "Done"}]
)
def test_invalid_arguments_are_refused_in_the_constructor(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        GlacierJobCompletedTrigger(**{"vault_name": "photos", **wrong})


def test_a_misspelt_region_is_refused() -> None:
    with pytest.raises(TypeError, match="region_name"):
        GlacierJobCompletedTrigger(vault_name="photos", region="eu-west-1")
