"""The operator that starts a job once, in a task's first try, its later ones, and across its deferral."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import DAG

from glacier_jobs.errors import InvalidArgument, PolicyEnforced
from glacier_jobs.operators import GlacierInitiateJobOperator
from glacier_jobs.operators.initiating import DEPLOYMENT_VARIABLE
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.triggers import GlacierJobTrigger
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import AirflowFailException, TaskDeferred
from tests.waits import StateStore, TaskInstance, rebuilt, run

HOUR = 3600


@dataclass
class Instance(TaskInstance):
    """The part of a task instance that the operator uses."""

    dag_id: str = "restore"
    run_id: str = "manual__1"
    task_id: str = "start"
    map_index: int = -1
    max_tries: int = 0


def context(**ti: Any) -> Any:
    return {"ti": Instance(**ti), "task_state_store": StateStore()}


@pytest.fixture
def arguments(connect: Connect, local_aws: Control) -> dict[str, Any]:
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"ArchiveId": each, "Size": 1024} for each in ("a1", "a2")])
    return {
        "task_id": "start",
        "vault_name": "photos",
        "job_type": "archive-retrieval",
        "archive_id": "a1",
        "tier": "Expedited",
        "aws_conn_id": connect(),
        "poll_interval": 0.05,
    }


def jobs(local_aws: Control) -> list[str]:
    return [job["JobId"] for job in local_aws.jobs("photos", unlisted=True)]


def test_it_returns_the_description_of_the_job_that_it_started(arguments: dict[str, Any], local_aws: Control) -> None:
    known = context()

    job = GlacierInitiateJobOperator(**arguments, description="holiday").execute(known)

    assert jobs(local_aws) == [job["JobId"]]
    assert (job["ArchiveId"], job["StatusCode"]) == ("a1", "InProgress")
    assert job["JobDescription"].startswith("holiday glacier-jobs/")
    assert known["ti"].xcoms["initiation"] == "started"
    assert json.loads(json.dumps(job)) == job


def test_a_sensor_takes_what_it_returns(arguments: dict[str, Any], local_aws: Control) -> None:
    job = GlacierInitiateJobOperator(**arguments).execute(context())
    local_aws.advance(HOUR)
    sensor = GlacierJobSensor(
        task_id="wait", vault_name="photos", job_id=job, aws_conn_id=arguments["aws_conn_id"], mode="poke"
    )

    assert sensor.execute(context())["JobId"] == job["JobId"]


def test_a_later_try_finds_the_job_of_the_first(arguments: dict[str, Any], local_aws: Control) -> None:
    first = GlacierInitiateJobOperator(**arguments).execute(context())
    known = context(try_number=2)

    second = GlacierInitiateJobOperator(**arguments).execute(known)

    assert second["JobId"] == first["JobId"]
    assert known["ti"].xcoms["initiation"] == "found"
    assert local_aws.calls().by_operation["InitiateJob"] == 1


@pytest.mark.parametrize(
    "other", [{"map_index": 3}, {"run_id": "manual__2"}, {"task_id": "again"}, {"dag_id": "another"}]
)
def test_another_task_starts_a_job_of_its_own_without_reuse(
    arguments: dict[str, Any], local_aws: Control, other: dict[str, Any]
) -> None:
    GlacierInitiateJobOperator(**arguments, reuse="never").execute(context())

    GlacierInitiateJobOperator(**arguments, reuse="never").execute(context(try_number=2, **other))

    assert len(jobs(local_aws)) == 2


def test_another_deployment_of_airflow_starts_a_job_of_its_own_without_reuse(
    arguments: dict[str, Any], local_aws: Control, variables: dict[str, str]
) -> None:
    GlacierInitiateJobOperator(**arguments, reuse="never").execute(context())
    variables[DEPLOYMENT_VARIABLE] = "staging"

    GlacierInitiateJobOperator(**arguments, reuse="never").execute(context(try_number=2))

    assert len(jobs(local_aws)) == 2


def test_another_task_uses_the_job_with_reuse(arguments: dict[str, Any], local_aws: Control) -> None:
    first = GlacierInitiateJobOperator(**arguments).execute(context())

    other = GlacierInitiateJobOperator(**arguments).execute(context(dag_id="another"))

    assert other["JobId"] == first["JobId"]


@pytest.mark.parametrize(("max_tries", "message"), [(2, "Clear the task to start another"), (3, None)])
def test_only_a_cleared_task_starts_another_job_after_one_that_failed(
    arguments: dict[str, Any], local_aws: Control, max_tries: int, message: str | None
) -> None:
    known = context(max_tries=2)
    operator = GlacierInitiateJobOperator(**arguments, retries=2)
    local_aws.next_outcome("Failed", duration_seconds=60)
    operator.execute(known)
    local_aws.advance(60)
    known["ti"].try_number, known["ti"].max_tries = 2, max_tries

    if message is None:
        operator.execute(known)
    else:
        with pytest.raises(AirflowFailException, match=message):
            operator.execute(known)

    assert len(jobs(local_aws)) == (2 if message is None else 1)


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_waits_for_the_job(
    arguments: dict[str, Any], local_aws: Control, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_aws.set_clock(speed=3600)
    local_aws.settings(duration_seconds={"Expedited": 600, "Standard": 600, "Bulk": 600})

    job = waited(arguments, context(), deferrable=deferrable)

    assert (job["StatusCode"], job["JobId"]) == ("Succeeded", jobs(local_aws)[0])


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_job_that_fails_fails_the_task_at_once(
    arguments: dict[str, Any], local_aws: Control, deferrable: bool
) -> None:
    local_aws.set_clock(speed=3600)
    local_aws.next_outcome("Failed", status_message="archive was deleted", duration_seconds=600)

    with pytest.raises(AirflowFailException, match="archive was deleted"):
        waited(arguments, context(), deferrable=deferrable)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wait_ends_at_its_time_out(arguments: dict[str, Any], local_aws: Control, deferrable: bool) -> None:
    with pytest.raises(AirflowFailException, match=r"still pending after 0\.3 s"):
        waited({**arguments, "wait_timeout": 0.3}, context(), deferrable=deferrable)


def test_a_wait_outlasts_an_outage(arguments: dict[str, Any], local_aws: Control) -> None:
    local_aws.set_clock(speed=3600)
    local_aws.next_outcome("Succeeded", duration_seconds=600)
    local_aws.fault("access_denied", operation="ListJobs", skip=2, count=2)

    assert waited(arguments, context(), deferrable=False)["StatusCode"] == "Succeeded"


def test_it_does_not_wait_for_a_job_that_has_succeeded(arguments: dict[str, Any], local_aws: Control) -> None:
    GlacierInitiateJobOperator(**arguments).execute(context())
    local_aws.advance(HOUR)

    job = GlacierInitiateJobOperator(**arguments, wait_for_completion=True, deferrable=True).execute(
        context(try_number=2)
    )

    assert job["StatusCode"] == "Succeeded"


def test_the_settings_survive_the_deferral(arguments: dict[str, Any]) -> None:
    aws: dict[str, Any] = {"region_name": "eu-west-1", "verify": False, "botocore_config": {"read_timeout": 7}}
    operator = GlacierInitiateJobOperator(**arguments, **aws, wait_for_completion=True, deferrable=True)
    job = {"JobId": "j", "StatusCode": "InProgress", "Tier": "Bulk"}

    with pytest.raises(TaskDeferred) as deferred:
        operator._completed("photos", job)

    trigger = rebuilt(deferred.value.trigger)
    assert isinstance(trigger, GlacierJobTrigger)
    assert {name: getattr(trigger, name) for name in aws} == aws
    assert (trigger.aws_conn_id, trigger.account_id, trigger.job_ids) == (arguments["aws_conn_id"], "-", ["j"])
    assert trigger.poll_seconds == 0.05


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"archive_id": None}, "archive_id is None"),
        ({"description": "d" * 981}, "description is 981 characters; allowed are up to 980"),
        ({"reuse": "always"}, "reuse is 'always'"),
        ({"vault_name": "a/b"}, "vault_name"),
        ({"aws_conn_id": "nobody"}, "'nobody' does not exist"),
    ],
)
def test_an_error_that_a_retry_cannot_fix_fails_at_once(
    arguments: dict[str, Any], local_aws: Control, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        GlacierInitiateJobOperator(**{**arguments, **changed}).execute(context())

    assert jobs(local_aws) == []


def test_an_error_that_may_pass_is_retried_by_airflow(arguments: dict[str, Any], local_aws: Control) -> None:
    local_aws.fault("policy_enforced", operation="InitiateJob")

    with pytest.raises(PolicyEnforced, match="use the tier Bulk or Expedited"):
        GlacierInitiateJobOperator(**arguments).execute(context())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"listing_delay": -1}, InvalidArgument),
        ({"poll_interval": 0}, InvalidArgument),
        ({"wait_timeout": "long"}, InvalidArgument),
        ({"min_hours_left": 25}, InvalidArgument),
        ({"region": "us-east-1"}, TypeError),
    ],
)
def test_an_argument_that_no_run_can_use_is_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(changed))):
        GlacierInitiateJobOperator(**{**arguments, **changed})


def test_all_that_a_user_may_want_to_template_is_rendered(arguments: dict[str, Any]) -> None:
    templated = {
        name: "{{ 'x' }}"
        for name in GlacierInitiateJobOperator.template_fields
        if name not in ("botocore_config", "verify")
    }
    with DAG("restore", schedule=None):
        operator = GlacierInitiateJobOperator(**{**arguments, **templated})

    operator.render_template_fields({})

    assert {name: getattr(operator, name) for name in templated} == dict.fromkeys(templated, "x")


def waited(arguments: dict[str, Any], known: Any, *, deferrable: bool) -> Any:
    """Run the operator until its wait ends, as Airflow does."""
    operator = GlacierInitiateJobOperator(**arguments, wait_for_completion=True, deferrable=deferrable)
    try:
        return operator.execute(known)
    except TaskDeferred as error:
        deferred = error
    while True:
        event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
        resumed = GlacierInitiateJobOperator(**arguments, wait_for_completion=True, deferrable=True)
        try:
            return resumed.resume_execution(deferred.method_name, {"event": event.payload}, known)
        except TaskDeferred as error:
            deferred = error
