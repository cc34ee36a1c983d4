from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from glacier_jobs.triggers import QUIET_SECONDS, GlacierJobTrigger
from glacier_jobs.waiting.state import Verdict, Wait
from glacier_jobs.waiting.stored_state import from_json, to_json
from local_aws.client import Control
from tests.conftest import Connect
from tests.waits import deferral, first_event, rebuilt, run

HOUR = 3600


@pytest.fixture
def glacier(connect: Connect) -> dict[str, Any]:
    return {"vault_name": "photos", "aws_conn_id": connect(attempts=1)}


def trigger(glacier: dict[str, Any], *job_ids: str, **changes: Any) -> GlacierJobTrigger:
    now = datetime.now(timezone.utc)
    arguments: dict[str, Any] = {
        "account_id": "-",
        "job_ids": list(job_ids),
        "wait": to_json(Wait.for_jobs(job_ids, started_at=now)),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "missing_grace_seconds": 900.0,
        "poll_seconds": 0.05,
        "max_bad_polls": 3,
        "wait_for_all": False,
        "region_name": None,
        "verify": None,
        "botocore_config": None,
        "quiet_seconds": 0.0,
        **glacier,
        **changes,
    }
    return GlacierJobTrigger(**arguments)


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


def test_a_trigger_is_the_same_after_serialization(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), job("b")])
    deferred = deferral(
        job_id=["a", "b"],
        region_name="us-east-1",
        verify=True,
        botocore_config={"retries": {"total_max_attempts": 2}},
        wait_for_all=True,
        silent_fail=True,
        **glacier,
    )

    assert rebuilt(deferred.trigger).serialize() == deferred.trigger.serialize()


def test_a_trigger_sends_no_event_during_the_quiet_seconds_that_airflow_needs(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id="a", **glacier)
    assert deferred.trigger.serialize()[1]["quiet_seconds"] == QUIET_SECONDS >= 15
    local_aws.advance(5 * HOUR)
    began_at = time.monotonic()

    event = run(rebuilt(deferred.trigger, quiet_seconds=0.5))

    assert event.payload["outcome"] == "judged"
    assert time.monotonic() - began_at >= 0.5


def test_the_quiet_seconds_also_apply_when_the_deadline_has_passed(glacier: Any, local_aws: Control) -> None:
    passed = (datetime.now(timezone.utc) - timedelta(hours=1)).isoformat()
    began_at = time.monotonic()

    event = run(trigger(glacier, "a", deadline=passed, quiet_seconds=0.5))

    assert event.payload["outcome"] == "timed_out"
    assert time.monotonic() - began_at >= 0.5
    assert local_aws.calls().total == 0


def test_a_trigger_that_is_rebuilt_during_the_wait_has_the_same_result(glacier: Any, local_aws: Control) -> None:
    """The first trigger is killed after some polls. Another triggerer creates it again from the database."""
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=9 * HOUR)])

    async def kill_during_wait(trigger: GlacierJobTrigger) -> None:
        task = asyncio.ensure_future(first_event(trigger))
        while local_aws.calls().total < 3:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    first = trigger(glacier, "a", "b")
    asyncio.run(kill_during_wait(first))
    local_aws.advance(10 * HOUR)

    event = run(rebuilt(first))

    wait = from_json(event.payload["wait"], event.payload["job_ids"])
    assert event.payload["outcome"] == "judged"
    assert wait.verdicts == {"a": Verdict.SUCCEEDED, "b": Verdict.SUCCEEDED}


def test_a_thousand_triggers_make_as_many_calls_as_one(glacier: Any, local_aws: Control) -> None:
    """Each poll is one listing of 20 pages for any number of triggers. The jobs complete at the third poll.

    On a slow machine a fourth poll may begin before the last trigger has received the result of the third.
    """
    ids = [f"job-{number:04}" for number in range(1_000)]
    local_aws.add_jobs("photos", [job(job_id) for job_id in ids])
    local_aws.hook("advance", {"seconds": 2 * HOUR}, operation="ListJobs", skip=19, count=1)
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs", skip=39, count=1)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(first_event(trigger(glacier, job_id, poll_seconds=0.2)) for job_id in ids))

    events = asyncio.run(all_of_them())

    assert [event.payload["outcome"] for event in events] == ["judged"] * 1_000
    assert 60 <= local_aws.calls().total <= 80


def test_cancelling_a_trigger_does_not_affect_the_others(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), job("b")])

    async def two() -> Any:
        first, second = (asyncio.ensure_future(first_event(trigger(glacier, job_id))) for job_id in "ab")
        while not local_aws.calls().total:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
        first.cancel()
        local_aws.advance(5 * HOUR)
        event = await second
        assert first.cancelled()
        return event

    assert asyncio.run(two()).payload["outcome"] == "judged"


def test_triggers_that_share_a_poll_count_bad_polls_separately(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("throttling", count=4)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=4)

    async def two() -> list[Any]:
        return await asyncio.gather(
            *(first_event(trigger(glacier, "a", max_bad_polls=max_bad_polls)) for max_bad_polls in (1, 9))
        )

    assert [event.payload["outcome"] for event in asyncio.run(two())] == ["unreachable", "judged"]


def test_a_job_that_glacier_refuses_to_describe_fails_only_the_triggers_that_wait_for_it(
    glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("access_denied", operation="DescribeJob")
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=3)

    async def two() -> list[Any]:
        triggers = [trigger(glacier, "a"), trigger(glacier, "typo", missing_grace_seconds=0.0)]
        return await asyncio.gather(*map(first_event, triggers))

    good, typo = (event.payload for event in asyncio.run(two()))
    assert good["outcome"] == "judged"
    assert from_json(good["wait"], good["job_ids"]).verdicts == {"a": Verdict.SUCCEEDED}
    assert typo["outcome"] == "refused"
    assert "Describe Job typo" in typo["message"]


def test_the_event_has_the_result_of_the_wait(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs(
        "photos", [job("a"), job("b", duration_seconds=0), job("c", duration_seconds=0, outcome="Failed")]
    )

    payload = run(trigger(glacier, "a", "b", "c")).payload

    wait = from_json(payload["wait"], payload["job_ids"])
    assert payload["job_ids"] == ["a", "b", "c"]
    assert (payload["outcome"], payload["message"]) == ("judged", None)
    assert wait.verdicts == {"a": Verdict.PENDING, "b": Verdict.SUCCEEDED, "c": Verdict.FAILED}
