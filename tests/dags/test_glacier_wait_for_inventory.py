"""Run the example DAG in Airflow against the local AWS."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, Runner
from tests.versions import DagBag

pytestmark = THIRD_PARTY_WARNINGS

HOUR = 3600


@pytest.fixture
def example_dag(dag_bag: DagBag, local_aws: Control, connect: Connect) -> Runner:
    connect("aws_archive")
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"Size": 1_000}, {"Size": 2_345}])
    return Runner(dag_id="glacier_wait_for_inventory")


@pytest.mark.usefixtures("without_delays")
def test_an_inventory_job_is_initiated_waited_for_and_its_output_is_read(
    example_dag: Runner, local_aws: Control
) -> None:
    """The sensor defers, because the job is not complete at its first poll, which follows the listing of `start`."""
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=1, count=1)

    run = example_dag(vault_name="photos")

    assert run.state == "success"
    assert _result("read") == {
        "vault_arn": "arn:aws:glacier:us-east-1:123456789012:vaults/photos",
        "inventory_date": ANY,
        "archives": 2,
        "size_in_bytes": 3_345,
    }
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_a_failed_inventory_fails_the_wait_and_says_why(example_dag: Runner, local_aws: Control) -> None:
    local_aws.next_outcome("Failed", status_message="The vault is locked.", duration_seconds=0)

    run = example_dag(vault_name="photos")

    assert run.state == "failed"
    assert "failed: The vault is locked.\nStart the retrieval again" in run.errors["wait"]
    assert run.tasks["read", -1] == "upstream_failed"


def test_the_connection_and_the_region_are_params(example_dag: Runner, local_aws: Control, connect: Connect) -> None:
    local_aws.add_vaults("films", region="eu-west-1")
    local_aws.next_outcome(duration_seconds=0)

    run = example_dag(vault_name="films", aws_conn_id=connect("another"), region_name="eu-west-1")

    assert run.state == "success"
    assert _result("read")["vault_arn"] == "arn:aws:glacier:eu-west-1:123456789012:vaults/films"


def test_the_region_is_that_of_the_connection_by_default(
    example_dag: Runner, local_aws: Control, connect: Connect
) -> None:
    local_aws.add_vaults("films", region="eu-west-1")
    local_aws.next_outcome(duration_seconds=0)
    connect("aws_archive", region_name="eu-west-1")

    assert example_dag(vault_name="films").state == "success"


@pytest.fixture
def execution_role(monkeypatch: pytest.MonkeyPatch, local_aws: Control) -> None:
    """Credentials in the environment, which are not those of any Airflow connection."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LOCALAWSACCESSKEY111")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint)


@pytest.mark.usefixtures("without_delays", "execution_role")
def test_without_a_connection_the_credentials_of_the_environment_are_used(
    example_dag: Runner, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Amazon MWAA. The sensor defers: its trigger gets no connection either."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_ARCHIVE")
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=1, count=1)

    run = example_dag(vault_name="photos", aws_conn_id=None)

    assert run.state == "success"
    assert _result("read")["vault_arn"] == "arn:aws:glacier:us-east-1:123456789012:vaults/photos"
    assert {request["access_key"] for request in local_aws.requests()} == {"LOCALAWSACCESSKEY111"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"aws_conn_id": "nowhere"}, "'nowhere' does not exist"),
        ({"aws_conn_id": "aws_default"}, "'aws_default' does not exist"),
        ({"aws_conn_id": ""}, "'' does not exist"),
        ({"vault_name": "a/b"}, "vault_name is 'a/b'"),
        ({"region_name": "x y"}, "x y"),
    ],
)
@pytest.mark.usefixtures("execution_role")
def test_nothing_is_initiated_if_a_param_is_not_valid(
    example_dag: Runner, local_aws: Control, params: dict[str, str], message: str
) -> None:
    """Without the check, the operator would use other credentials if the connection does not exist."""
    local_aws.next_outcome(duration_seconds=0)
    run = example_dag(**{"vault_name": "photos", **params})

    assert message in run.errors["check_params"]
    assert "InitiateJob" not in local_aws.calls().by_operation


@pytest.mark.parametrize(
    "params", [{"aws_conn_id": "another"}, {"aws_conn_id": ""}, {"aws_conn_id": None}, {"region_name": "eu-west-1"}]
)
def test_a_deployment_can_switch_off_the_choice_of_connection_and_region(
    example_dag: Runner,
    local_aws: Control,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, str | None],
) -> None:
    connect("another")
    local_aws.next_outcome(duration_seconds=0)
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "no")

    run = example_dag(vault_name="photos", **params)

    [name] = params
    assert (
        f"the run gives the params {name}, which the Variable glacier_jobs_allow_params" in run.errors["check_params"]
    )
    assert "InitiateJob" not in local_aws.calls().by_operation
    assert example_dag(vault_name="photos", aws_conn_id="aws_archive", region_name=None).state == "success"


def test_a_request_that_was_accepted_without_an_answer_is_not_repeated(example_dag: Runner, local_aws: Control) -> None:
    local_aws.next_outcome(duration_seconds=0)
    local_aws.fault("service_unavailable", operation="InitiateJob", count=1, after_effect=True)

    run = example_dag(vault_name="photos")

    assert run.state == "success"
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_a_second_run_uses_the_inventory_of_the_first(example_dag: Runner, local_aws: Control) -> None:
    local_aws.next_outcome(duration_seconds=0)
    example_dag(vault_name="photos")

    run = example_dag(vault_name="photos")

    assert run.state == "success"
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def _result(task_id: str) -> Any:
    """Return what a task of the latest run returned."""
    query = (
        select(XComModel)
        .where(XComModel.dag_id == "glacier_wait_for_inventory", XComModel.task_id == task_id)
        .order_by(XComModel.timestamp.desc())
    )
    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(query).first())
