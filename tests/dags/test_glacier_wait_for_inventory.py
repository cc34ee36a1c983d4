"""Run the example DAG in Airflow against the local AWS."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, Runner

pytestmark = THIRD_PARTY_WARNINGS

HOUR = 3600


@pytest.fixture
def example_dag(dag_bag: DagBag, local_aws: Control, connect: Connect) -> Runner:
    connect("aws_default")
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"Size": 1_000}, {"Size": 2_345}])
    return Runner(dag_id="glacier_wait_for_inventory")


@pytest.mark.usefixtures("without_event_delay")
def test_an_inventory_job_is_initiated_waited_for_and_its_output_is_read(
    example_dag: Runner, local_aws: Control
) -> None:
    """The sensor defers, because the job is not complete at the first poll."""
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", count=1)

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


def _result(task_id: str) -> Any:
    """Return what a task of the latest run returned."""
    query = (
        select(XComModel)
        .where(XComModel.dag_id == "glacier_wait_for_inventory", XComModel.task_id == task_id)
        .order_by(XComModel.timestamp.desc())
    )
    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(query).first())
