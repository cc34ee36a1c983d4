"""Run the sensor in Airflow in each mode, with the job ids that an upstream task returned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, parse_dags
from tests.versions import DagBag
from tests.waits import MODES, Mode

pytestmark = THIRD_PARTY_WARNINGS

HOUR = 3600

SOURCE = """
from airflow.sdk import dag, task
from glacier_jobs.sensors import GlacierJobSensor

@task
def restored(): return ["a", "b"]

@task
def archive(job_id): return job_id

@dag(dag_id={dag_id!r}, schedule=None)
def waiting():
    ids = restored()
    settings = {{"vault_name": "{{{{ 'photos' }}}}", "aws_conn_id": "local_aws", "poke_interval": 1, "timeout": 60}}
    settings |= {mode!r}
    GlacierJobSensor(task_id="listed", job_id=ids, **settings)
    GlacierJobSensor(task_id="lazily", job_id=archive.expand(job_id=ids), **settings)
    ids >> GlacierJobSensor(task_id="rendered", job_id="{{{{ ti.xcom_pull('restored') }}}}", **settings)
    GlacierJobSensor.partial(task_id="mapped", **settings).expand(job_id=ids)

waiting()
"""

ARGUMENTS: Mapping[Mode, Mapping[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


@pytest.mark.usefixtures("without_delays")
@pytest.mark.parametrize("mode", MODES)
def test_ids_of_an_upstream_task_are_waited_for(
    mode: Mode, dag_bag: DagBag, local_aws: Control, connect: Connect, tmp_path: Path
) -> None:
    connect()
    local_aws.add_jobs("photos", [{"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR}} for job_id in "ab"])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", count=1)
    dags = parse_dags(tmp_path / f"waiting_{mode}.py", SOURCE.format(dag_id=f"waiting_{mode}", mode=ARGUMENTS[mode]))

    run = dags[f"waiting_{mode}"].test()

    assert run.state == "success"
    counts = {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0}
    assert _result(run.run_id, "listed") == _result(run.run_id, "lazily") == _result(run.run_id, "rendered") == counts
    assert [_result(run.run_id, "mapped", index)["JobId"] for index in (0, 1)] == ["a", "b"]


def _result(run_id: str, task_id: str, map_index: int = -1) -> Any:
    query = select(XComModel).where(
        XComModel.run_id == run_id,
        XComModel.task_id == task_id,
        XComModel.map_index == map_index,
        XComModel.key == "return_value",
    )
    with create_session() as session:
        return XComModel.deserialize_value(session.scalars(query).one())
