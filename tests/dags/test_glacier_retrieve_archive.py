"""Run the example DAG in Airflow against the local AWS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from botocore.utils import calculate_tree_hash
from sqlalchemy import select

from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, Run, Runner
from tests.versions import DagBag

pytestmark = THIRD_PARTY_WARNINGS

HOUR = 3600
SIZE = 17 * 1024 * 1024 + 3


@pytest.fixture
def runner(dag_bag: DagBag, local_aws: Control, connect: Connect) -> Runner:
    connect("aws_archive")
    _add_archive(local_aws)
    return Runner(dag_id="glacier_retrieve_archive")


def _add_archive(local_aws: Control, **where: str) -> None:
    local_aws.add_vaults("photos", **where)
    local_aws.add_archives("photos", [{"ArchiveId": "a1", "Size": SIZE}], **where)


#: Runs the DAG for the archive ``a1``, with the destination ``photo.jpg`` in a temporary folder.
Example = Callable[..., Run]


@pytest.fixture
def example_dag(runner: Runner, destination: Path) -> Example:
    def run(**params: Any) -> Run:
        return runner(**{"vault_name": "photos", "archive_id": "a1", "destination_uri": destination.as_uri(), **params})

    return run


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "photo.jpg"


@pytest.mark.usefixtures("without_delays")
def test_a_job_is_initiated_and_waited_for_and_the_archive_is_stored(
    example_dag: Example, local_aws: Control, destination: Path
) -> None:
    """The task defers. The clock is advanced after the start, before the first poll in the triggerer."""
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="DescribeJob", count=1)

    run = example_dag()

    assert run.state == "success"
    assert destination.stat().st_size == SIZE
    with destination.open("rb") as file:
        content: Any = file
        tree_hash = calculate_tree_hash(content)
    found = _result("store")
    assert (found["verified"], found["sha256_tree_hash"], found["archive_id"]) == (True, tree_hash, "a1")
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_a_failed_job_fails_the_run_and_says_why(example_dag: Example, local_aws: Control, destination: Path) -> None:
    local_aws.next_outcome("Failed", status_message="The vault is locked.", duration_seconds=0)

    run = example_dag()

    assert run.state == "failed"
    assert "failed: The vault is locked.\nStart the retrieval again" in run.errors["retrieve"]
    assert run.tasks["store", -1] == "upstream_failed"
    assert not destination.exists()


def test_the_connection_and_the_region_are_params(example_dag: Example, local_aws: Control, connect: Connect) -> None:
    _add_archive(local_aws, region="eu-west-1")
    local_aws.next_outcome(duration_seconds=0)

    run = example_dag(aws_conn_id=connect("another"), region_name="eu-west-1")

    assert run.state == "success"
    assert {request["region"] for request in local_aws.requests()} == {"eu-west-1"}


def test_the_region_is_that_of_the_connection_by_default(
    example_dag: Example, local_aws: Control, connect: Connect
) -> None:
    _add_archive(local_aws, region="eu-west-1")
    local_aws.next_outcome(duration_seconds=0)
    connect("aws_archive", region_name="eu-west-1")

    assert example_dag().state == "success"
    assert {request["region"] for request in local_aws.requests()} == {"eu-west-1"}


@pytest.fixture
def execution_role(monkeypatch: pytest.MonkeyPatch, local_aws: Control) -> None:
    """Credentials in the environment, which are not those of any Airflow connection."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LOCALAWSACCESSKEY111")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint)


@pytest.mark.usefixtures("without_delays", "execution_role")
def test_without_a_connection_the_credentials_of_the_environment_are_used(
    example_dag: Example, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Amazon MWAA. The task defers: its trigger gets no connection either."""
    monkeypatch.delenv("AIRFLOW_CONN_AWS_ARCHIVE")
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="DescribeJob", count=1)

    run = example_dag(aws_conn_id=None)

    assert run.state == "success"
    assert {request["access_key"] for request in local_aws.requests()} == {"LOCALAWSACCESSKEY111"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"aws_conn_id": "nowhere"}, "'nowhere' does not exist"),
        ({"aws_conn_id": "aws_default"}, "'aws_default' does not exist"),
        ({"aws_conn_id": ""}, "'' does not exist"),
        ({"vault_name": "a/b"}, "vault_name is 'a/b'"),
        ({"archive_id": ""}, "archive_id is ''"),
        ({"destination_uri": None}, "destination_uri"),
        ({"destination_uri": "/data/photo.jpg"}, "destination_uri"),
        ({"destination_uri": "file:///data/photos/"}, "ends with '/'"),
        ({"destination_uri": "s3://bucket"}, "destination_uri"),
        ({"destination_uri": "s3://nobody@bucket/photo.jpg"}, "connection in destination_uri does not exist"),
        ({"region_name": "x y"}, "x y"),
    ],
)
@pytest.mark.usefixtures("execution_role")
def test_nothing_is_initiated_if_a_param_is_not_valid(
    example_dag: Example, local_aws: Control, params: dict[str, str], message: str
) -> None:
    """Without the check, the operator would use other credentials if the connection does not exist."""
    local_aws.next_outcome(duration_seconds=0)
    run = example_dag(**params)

    assert message in run.errors["check_params"]
    assert "InitiateJob" not in local_aws.calls().by_operation


@pytest.mark.parametrize(
    "params",
    [
        {"aws_conn_id": "another"},
        {"aws_conn_id": ""},
        {"aws_conn_id": None},
        {"region_name": "eu-west-1"},
        {"destination_uri": "file:///data/photo.jpg"},
    ],
)
def test_a_deployment_can_switch_off_the_choice_of_connection_region_and_destination(
    example_dag: Example,
    local_aws: Control,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, str | None],
) -> None:
    connect("another")
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "no")

    run = example_dag(**{"destination_uri": None, **params})

    [name] = params
    assert (
        f"the run gives the params {name}, which the Variable glacier_jobs_allow_params" in run.errors["check_params"]
    )
    assert "InitiateJob" not in local_aws.calls().by_operation


def test_a_request_that_was_accepted_without_an_answer_is_not_repeated(
    example_dag: Example, local_aws: Control
) -> None:
    local_aws.next_outcome(duration_seconds=0)
    local_aws.fault("service_unavailable", operation="InitiateJob", count=1, after_effect=True)

    run = example_dag()

    assert run.state == "success"
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_a_second_run_uses_the_job_and_the_file_of_the_first(example_dag: Example, local_aws: Control) -> None:
    local_aws.next_outcome(duration_seconds=0)
    example_dag()

    run = example_dag()

    assert run.state == "success"
    assert _result("store")["result"] == "found"
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def _result(task_id: str) -> Any:
    """Return what a task of the latest run returned."""
    query = (
        select(XComModel)
        .where(XComModel.dag_id == "glacier_retrieve_archive", XComModel.task_id == task_id)
        .order_by(XComModel.timestamp.desc())
    )
    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(query).first())
