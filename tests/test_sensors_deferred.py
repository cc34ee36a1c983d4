"""Tests of a deferred sensor: what survives its deferral, and what happens while no triggerer runs."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.triggers import GlacierJobTrigger
from glacier_jobs.waiting.description import to_event
from glacier_jobs.waiting.shared_poller import PollerRegistry
from glacier_jobs.waiting.state import Verdict
from glacier_jobs.waiting.stored_state import from_json
from glacier_jobs.waiting.task_state import STORED_IDS_AT_MOST
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred
from tests.waits import (
    Ended,
    deferral,
    ended,
    first_event,
    new_context,
    rebuilt,
    resumed,
    resumed_after_timeout,
    run,
)

HOUR = 3600


@pytest.fixture
def glacier(connect: Connect) -> dict[str, Any]:
    return {"vault_name": "photos", "aws_conn_id": connect(attempts=1), "poke_interval": 0.05}


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


def completed(job_id: str, hours_ago: float) -> dict[str, Any]:
    """Return a job that completed some time ago, after an hour."""
    created_at = datetime.now(timezone.utc) - timedelta(hours=hours_ago + 1)
    return {**job(job_id, duration_seconds=HOUR), "CreationDate": created_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")}


def stored(trigger: Any, *, hours_ago: float) -> GlacierJobTrigger:
    """Return a trigger whose state was stored some time ago."""
    _, arguments = trigger.serialize()
    stored_at = datetime.now(timezone.utc) - timedelta(hours=hours_ago)
    return rebuilt(trigger, quiet_seconds=0.0, wait={**arguments["wait"], "stored_at": stored_at.isoformat()})


def without_description(event: Any) -> dict[str, Any]:
    """Return the payload of an event as version 0.1.0 made it."""
    return {name: value for name, value in event.payload.items() if name != "description"}


@pytest.mark.parametrize("kind", ["access_denied", "service_unavailable"])
def test_a_resumption_needs_no_answer_from_glacier(kind: str, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{**job("a"), "JobDescription": "holiday"}])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    local_aws.fault(kind)
    calls = local_aws.calls().total

    result = resumed(deferred, event.payload, job_id="a", **glacier)

    assert (result["JobId"], result["StatusCode"], result["JobDescription"]) == ("a", "Succeeded", "holiday")
    assert local_aws.calls().total == calls


@pytest.mark.parametrize("reason", ["access_denied", "no credentials"])
def test_a_description_that_cannot_be_requested_on_resumption_is_retried(
    reason: str, glacier: Any, connect: Connect, local_aws: Control
) -> None:
    """The job was polled with success, so this can be a change of the credentials that is not complete yet."""
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    if reason == "no credentials":
        connect(access_key=None, attempts=1)
    else:
        local_aws.fault("access_denied", operation="DescribeJob")

    def resume() -> Any:
        return resumed(deferred, without_description(event), job_id="a", soft_fail=True, **glacier)

    result = ended(resume)

    assert result.how == "to be retried"
    assert "Describe Job a of vault photos" in result.value


@pytest.mark.parametrize("job_id", ["a", ["a"]])
def test_the_event_describes_the_only_job_if_it_was_given_as_one_id(
    job_id: Any, glacier: Any, local_aws: Control
) -> None:
    """Also if version 0.1.0 created the trigger, which does not know how the id was given."""
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id=job_id, **glacier)
    local_aws.advance(5 * HOUR)
    _, arguments = deferred.trigger.serialize()
    kept = {name: arguments["wait"][name] for name in ("digest", "started_at", "bad_polls", "pages")}
    wait = {**kept, "pending": "3", "seen": "3", "succeeded": 0, "failed": 0, "missing": 0, "problems": []}

    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    event_of_0_1_0 = run(rebuilt(deferred.trigger, quiet_seconds=0.0, wait=wait))

    assert (event.payload["description"] is not None) == (job_id == "a")
    for payload in (event.payload, event_of_0_1_0.payload):
        result = resumed(deferred, payload, job_id=job_id, **glacier)
        assert result.get("JobId") == (job_id if job_id == "a" else None)
        assert result.get("succeeded") == (None if job_id == "a" else 1)


def test_a_template_that_is_rendered_differently_on_resumption_does_not_change_the_described_job(
    glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.add_jobs("films", [{"JobId": "b", "StatusCode": "Succeeded"}])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))

    for payload in (event.payload, without_description(event)):
        result = resumed(deferred, payload, **{**glacier, "job_id": ["b"], "vault_name": "films"})
        assert (result["JobId"], result["StatusCode"]) == ("a", "Succeeded")


def test_the_description_of_another_job_is_not_used(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    event.payload["description"] = to_event({"JobId": "b", "StatusCode": "Succeeded"})

    assert resumed(deferred, event.payload, job_id="a", **glacier)["JobId"] == "a"


@pytest.mark.parametrize("in_event", [False, True])
@pytest.mark.parametrize("status_code", ["InProgress", "Failed"])
def test_the_status_of_the_described_job_is_checked(
    status_code: str, in_event: bool, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    odd = {"JobId": "a", "StatusCode": status_code}
    local_aws.add_jobs("photos", [odd])
    payload = {**event.payload, "description": to_event(odd) if in_event else None}

    with pytest.raises(AirflowFailException, match=f"StatusCode is '{status_code}'; expected Succeeded") as caught:
        resumed(deferred, payload, job_id="a", soft_fail=True, **glacier)

    assert isinstance(caught.value.__cause__, MalformedAnswer)


@pytest.mark.parametrize(("soft_fail", "how"), [(False, "failed at once"), (True, "skipped")])
def test_a_job_that_expires_before_the_resumption_is_missing_only_if_the_event_does_not_describe_it(
    soft_fail: bool, how: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    deferred = deferral(job_id="a", **glacier)
    local_aws.advance(5 * HOUR)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
    local_aws.advance(30 * HOUR)

    def resume() -> Any:
        return resumed(deferred, without_description(event), job_id="a", soft_fail=soft_fail, **glacier)

    result = ended(resume)

    assert resumed(deferred, event.payload, job_id="a", **glacier)["StatusCode"] == "Succeeded"
    assert result.how == how
    if not soft_fail:
        assert "- a is missing" in result.value
        assert "finished jobs are kept for about 24 hours" in result.value


def test_an_event_that_is_none_is_an_error_like_that_of_the_amazon_providers_sensors(glacier: Any) -> None:
    sensor = GlacierJobSensor(task_id="wait", job_id="a", **glacier)

    with pytest.raises(AirflowException, match="Trigger error: event is None"):
        sensor.execute_complete(new_context(), None)
    with pytest.raises(AirflowException, match="Trigger error: event is None"):
        sensor.execute_complete(new_context())


def test_a_sensor_can_be_poked_without_a_context_like_those_of_the_amazon_provider(
    glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    sensor = GlacierJobSensor(task_id="wait", job_id="a", mode="poke", **glacier)

    assert not sensor.poke(None)
    local_aws.advance(5 * HOUR)

    assert sensor.poke(None).is_done


def overdue(glacier: Any, **arguments: Any) -> Any:
    """Let a sensor defer, move its start so that its deadline has passed, and return its context."""
    context = new_context()
    deferral(context, timeout=2 * HOUR, **arguments, **glacier)
    store = context["task_state_store"]
    stored = store.get("glacier_jobs_wait")
    context["ti"].start_date = datetime.now(timezone.utc) - timedelta(hours=3)
    stored["wait"]["started_at"] = context["ti"].start_date.isoformat()
    store.set("glacier_jobs_wait", stored)
    return context


def test_a_job_that_succeeded_while_no_triggerer_ran_at_the_deadline_succeeds(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    context = overdue(glacier, job_id="a")
    local_aws.advance(5 * HOUR)

    result = resumed_after_timeout(context, job_id="a", timeout=2 * HOUR, **glacier)

    assert result.how == "success"
    assert result.value["StatusCode"] == "Succeeded"


def test_jobs_that_succeeded_and_expired_before_the_deadline_are_not_missing(glacier: Any, local_aws: Control) -> None:
    """Only the state that was stored with the deferral has the first job's verdict."""
    local_aws.add_jobs("photos", [completed("a", 1), job("b", duration_seconds=60 * HOUR)])
    context = overdue(glacier, job_id=["a", "b"])
    local_aws.advance(61 * HOUR)

    result = resumed_after_timeout(context, job_id=["a", "b"], timeout=2 * HOUR, **glacier)

    assert result == Ended("success", {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0})


@pytest.mark.parametrize(
    ("arguments", "how"),
    [({}, "timed out"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_a_job_that_is_pending_after_the_deadline_times_out(
    arguments: Any, how: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    context = overdue(glacier, job_id="a")

    result = resumed_after_timeout(context, job_id="a", timeout=2 * HOUR, **arguments, **glacier)

    assert result.how == how
    if how == "timed out":
        assert result.value.startswith("1 of 1 awaited jobs of vault photos are still pending after 7200 s")


@pytest.mark.parametrize(
    ("arguments", "how"),
    [({}, "failed at once"), ({"soft_fail": True}, "skipped"), ({"never_fail": True}, "skipped")],
    ids=str,
)
def test_a_job_that_failed_while_no_triggerer_ran_fails(
    arguments: Any, how: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a", outcome="Failed", status_message="Torn")])
    context = overdue(glacier, job_id="a")
    local_aws.advance(5 * HOUR)

    result = resumed_after_timeout(context, job_id="a", timeout=2 * HOUR, **arguments, **glacier)

    assert result.how == how
    if how == "failed at once":
        assert "- a failed: Torn" in result.value


def test_never_fail_also_skips_where_a_resumed_sensor_gets_no_event(glacier: Any) -> None:
    sensor = GlacierJobSensor(task_id="wait", job_id="a", deferrable=True, never_fail=True, **glacier)

    with pytest.raises(AirflowSkipException):
        sensor.resume_execution("execute_complete", {"event": None}, new_context())


def test_without_an_answer_from_glacier_after_the_deadline_the_wait_times_out(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    context = overdue(glacier, job_id="a")
    local_aws.fault("service_unavailable")

    assert resumed_after_timeout(context, job_id="a", timeout=2 * HOUR, **glacier).how == "timed out"


def test_after_the_deadline_the_same_jobs_are_looked_for(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), {"JobId": "b", "StatusCode": "Succeeded"}])
    context = overdue(glacier, job_id="a")

    assert resumed_after_timeout(context, job_id="b", timeout=2 * HOUR, **glacier).how == "timed out"


def test_after_the_deadline_a_wait_whose_many_ids_have_changed_is_refused(glacier: Any, local_aws: Control) -> None:
    """So many ids are not stored."""
    ids = local_aws.add_jobs("photos", [job(f"job-{number:03}") for number in range(STORED_IDS_AT_MOST + 1)])
    local_aws.add_jobs("photos", [{"JobId": "b", "StatusCode": "Succeeded"}])
    context = overdue(glacier, job_id=ids)

    result = resumed_after_timeout(context, job_id=["b"], timeout=2 * HOUR, **glacier)

    assert result.how == "failed at once"
    assert "the ids of this wait have changed since its first poll" in result.value


def test_a_trigger_that_airflow_cannot_run_is_retried_also_with_soft_fail(glacier: Any) -> None:
    sensor = GlacierJobSensor(task_id="wait", job_id="a", soft_fail=True, **glacier)

    result = ended(lambda: sensor.resume_execution("__fail__", {"error": "Trigger failure"}, new_context()))

    assert result.how == "to be retried"


def test_verdicts_survive_a_triggerer_that_restarts_after_glacier_dropped_the_jobs(
    glacier: Any, local_aws: Control
) -> None:
    """After six hours, the changed verdict is stored by another deferral, from which the next triggerer starts."""
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=70 * HOUR)])
    context = new_context()
    arguments = {"job_id": ["a", "b"], "timeout": 90 * HOUR, **glacier}
    deferred = deferral(context, **arguments)
    local_aws.advance(5 * HOUR)

    event = run(stored(deferred.trigger, hours_ago=6.1))

    assert event.payload["outcome"] == "progress"
    with pytest.raises(TaskDeferred) as again:
        resumed(deferred, event.payload, context, **arguments)
    _, before = deferred.trigger.serialize()
    _, after = again.value.trigger.serialize()
    assert after["deadline"] == before["deadline"]
    assert from_json(after["wait"], after["job_ids"]).verdicts == {"a": Verdict.SUCCEEDED, "b": Verdict.PENDING}
    # The triggerer restarts a day later: a is not listed any more.
    local_aws.advance(70 * HOUR)
    end = run(rebuilt(again.value.trigger, quiet_seconds=0.0))
    result = resumed(again.value, end.payload, context, **arguments)
    assert result == {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0}


def test_verdicts_are_stored_at_most_every_six_hours(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=70 * HOUR)])
    deferred = deferral(job_id=["a", "b"], timeout=90 * HOUR, **glacier)
    local_aws.advance(5 * HOUR)

    async def event_within_polls(trigger: GlacierJobTrigger, polls: int) -> Any:
        task = asyncio.ensure_future(first_event(trigger))
        calls = local_aws.calls().total
        while local_aws.calls().total < calls + polls and not task.done():  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.01)
        finished = task.done()
        task.cancel()
        await asyncio.wait({task})
        return finished

    assert not asyncio.run(event_within_polls(stored(deferred.trigger, hours_ago=5.9), 5))
    assert asyncio.run(event_within_polls(stored(deferred.trigger, hours_ago=6.1), 5))


@pytest.mark.parametrize(("hours_ago", "outcome"), [(22.9, "judged"), (23.1, "progress")])
def test_a_verdict_is_stored_an_hour_before_glacier_may_drop_the_job(
    hours_ago: float, outcome: str, glacier: Any, local_aws: Control
) -> None:
    """For example after an outage of almost a day."""
    local_aws.add_jobs("photos", [job("a"), job("b")])
    deferred = deferral(job_id=["a", "b"], **glacier)
    local_aws.add_jobs("photos", [completed("a", hours_ago)])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=2)

    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))

    assert event.payload["outcome"] == outcome


def test_a_stored_verdict_is_due_between_two_polls(glacier: Any, local_aws: Control) -> None:
    """The interval is longer than Glacier keeps the job."""
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=70 * HOUR)])
    deferred = deferral(job_id=["a", "b"], timeout=90 * HOUR, **{**glacier, "poke_interval": 30 * HOUR})
    local_aws.advance(5 * HOUR)
    seconds_before_due = 0.5

    event = run(stored(deferred.trigger, hours_ago=6 - seconds_before_due / HOUR))

    assert event.payload["outcome"] == "progress"


def test_progress_after_the_deadline_is_followed_by_the_last_poll(glacier: Any, local_aws: Control) -> None:
    """The task was resumed late, for example because no worker slot was free."""
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=6 * HOUR)])
    arguments = {"job_id": ["a", "b"], **glacier}
    deferred = deferral(**arguments)
    local_aws.advance(5 * HOUR)
    event = run(stored(deferred.trigger, hours_ago=6.1))
    local_aws.advance(2 * HOUR)

    result = resumed(deferred, event.payload, timeout=0, **arguments)

    assert result["succeeded"] == 2


@pytest.mark.parametrize(("grace", "tier", "expected"), [(900, "Bulk", [60.0, 600.0]), (0, "Expedited", [600.0, 60.0])])
def test_jobs_that_are_not_listed_yet_are_polled_as_their_tier_says_once_they_are(
    grace: float, tier: str, expected: list[float], glacier: Any, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_aws.add_jobs("photos", [{**job("a", listed_after_seconds=60), "Tier": tier}])
    deferred = deferral(job_id="a", missing_grace=900, **{**glacier, "poke_interval": None})
    local_aws.advance(120)
    intervals: list[float] = []
    subscribe = PollerRegistry.subscribe

    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        intervals.append(kwargs["poll_seconds"])
        return subscribe(self, *args, **kwargs)

    monkeypatch.setattr(PollerRegistry, "subscribe", recorded)

    async def until_subscribed_again() -> None:
        task = asyncio.ensure_future(
            first_event(rebuilt(deferred.trigger, quiet_seconds=0.0, missing_grace_seconds=grace))
        )
        while len(intervals) < 2 and not task.done():  # noqa: ASYNC110 - the poll runs in a thread
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(until_subscribed_again())

    assert intervals == expected
