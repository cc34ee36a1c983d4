"""The package in a real Airflow: API server, scheduler, DAG processor and triggerer as processes of their own."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pyarrow.dataset as pads
import pytest

from local_airflow.environment import airflow_environment
from local_airflow.rest import wait_for
from local_airflow.standalone import running
from local_aws.client import Control
from tests.conftest import ROOT
from tests.drills.conftest import RunningAirflow

pytestmark = pytest.mark.drill

DAG_IDS = {file.stem for file in (ROOT / "dags").glob("*.py")}


def test_every_dag_is_read_without_an_import_error(running_airflow: RunningAirflow) -> None:
    api = running_airflow.standalone.api

    wait_for("all DAGs", lambda: True if api.dag_ids() >= DAG_IDS else None, seconds=120)

    assert api.import_errors() == []
    assert api.dag_ids() == DAG_IDS


def test_a_snapshot_that_is_triggered_over_rest_succeeds_and_its_parquet_is_there(
    running_airflow: RunningAirflow, tmp_path: Path
) -> None:
    api, dataset = running_airflow.standalone.api, tmp_path / "dataset"
    wait_for("the DAG", lambda: True if "glacier_jobs_snapshot" in api.dag_ids() else None, seconds=120)

    run_id = api.trigger("glacier_jobs_snapshot", {"dataset_uri": dataset.as_uri()})
    run = api.finished_run("glacier_jobs_snapshot", run_id, seconds=240)

    assert run["state"] == "success", api.task_instances("glacier_jobs_snapshot", run_id)
    listed = {
        job["JobId"] for region in ("us-east-1", "eu-west-1") for job in running_airflow.local_aws.jobs(region=region)
    }
    kept = set(pads.dataset(dataset / "jobs").to_table(columns=["job_id"])["job_id"].to_pylist())
    # The demo's jobs go on living: one may have ended its day since.
    assert listed
    assert listed <= kept
    labels = {each["rendered_map_index"] for each in api.task_instances("glacier_jobs_snapshot", run_id)}
    assert {"aws_default us-east-1", "aws_default eu-west-1"} <= labels
    assert len(list(dataset.glob("observations/*/*.parquet"))) == 2


def test_a_snapshot_emits_one_event_of_its_asset(running_airflow: RunningAirflow, tmp_path: Path) -> None:
    api, dataset = running_airflow.standalone.api, tmp_path / "dataset"
    wait_for("the DAG", lambda: True if "glacier_jobs_snapshot" in api.dag_ids() else None, seconds=120)

    run_id = api.trigger("glacier_jobs_snapshot", {"dataset_uri": dataset.as_uri()})
    api.finished_run("glacier_jobs_snapshot", run_id, seconds=240)

    events = api.get("/api/v2/assets/events?source_dag_id=glacier_jobs_snapshot&limit=100")["asset_events"]
    [event] = [each for each in events if each["source_run_id"] == run_id]
    assert event["name"] == "glacier_jobs"
    assert [told["region"] for told in event["extra"]["observations"]] == ["us-east-1", "eu-west-1"]


def test_airflow_is_stopped_with_all_that_it_started(local_aws: Control, tmp_path: Path) -> None:
    environment = airflow_environment(tmp_path / "home", endpoint=local_aws.endpoint, dataset=tmp_path)

    with running(environment) as standalone:
        port = int(standalone.url.rpartition(":")[2])
        started = psutil.Process(standalone.process.pid).children(recursive=True)

    assert len(started) >= 4
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
