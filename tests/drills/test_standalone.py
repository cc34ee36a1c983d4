"""The package in a real Airflow: API server, scheduler, DAG processor and triggerer as separate processes."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset as pads
import pytest

from glacier_jobs.reports import QUESTIONS
from local_airflow.environment import airflow_environment
from local_airflow.rest import AirflowApi, wait_for
from local_airflow.standalone import Standalone, running
from local_aws.client import Control
from local_aws.process import running as local_aws_running
from tests.conftest import ROOT
from tests.drills.table import RecordDrill

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

DAG_IDS = {file.stem for file in (ROOT / "dags").glob("*.py")}
TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class RunningAirflow:
    """An Airflow that runs this project's DAGs against a local AWS with the demo seed."""

    standalone: Standalone
    local_aws: Control
    database: Path
    stack: ExitStack

    @property
    def api(self) -> AirflowApi:
        return self.standalone.api

    def snapshot(self, dataset: Path) -> str:
        """Run the snapshot DAG, and return the run id."""
        wait_for("the DAG", lambda: "glacier_jobs_snapshot" in self.api.dag_ids() or None, TIMEOUT_SECONDS)
        run_id = self.api.trigger("glacier_jobs_snapshot", {"dataset_uri": dataset.as_uri()})
        run = self.api.finished_run("glacier_jobs_snapshot", run_id, seconds=TIMEOUT_SECONDS)
        assert run["state"] == "success", self.api.task_instances("glacier_jobs_snapshot", run_id)
        return run_id


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    with ExitStack() as stack:
        local_aws = stack.enter_context(local_aws_running("--seed", "demo"))
        environment = airflow_environment(
            home, endpoint=local_aws.endpoint, dataset=tmp_path_factory.mktemp("dataset") / "records"
        )
        standalone = stack.enter_context(running(environment))
        yield RunningAirflow(standalone=standalone, local_aws=local_aws, database=home / "airflow.db", stack=stack)


def test_every_dag_is_parsed_without_an_import_error(airflow: RunningAirflow, record_drill: RecordDrill) -> None:
    wait_for("all DAGs", lambda: airflow.api.dag_ids() >= DAG_IDS or None, TIMEOUT_SECONDS)

    assert airflow.api.import_errors() == []
    assert airflow.api.dag_ids() == DAG_IDS
    record_drill("all DAGs in a real Airflow", "parsed without an import error")


@pytest.fixture(scope="module")
def snapshot(airflow: RunningAirflow, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The run id and the dataset of a snapshot."""
    dataset = tmp_path_factory.mktemp("snapshot") / "dataset"
    return airflow.snapshot(dataset), dataset


def test_a_snapshot_triggered_over_rest_succeeds_and_publishes_every_job(
    airflow: RunningAirflow, snapshot: tuple[str, Path], record_drill: RecordDrill
) -> None:
    run_id, dataset = snapshot

    listed = {job["JobId"] for region in ("us-east-1", "eu-west-1") for job in airflow.local_aws.jobs(region=region)}
    stored = set(pads.dataset(dataset / "jobs").to_table(columns=["job_id"])["job_id"].to_pylist())
    # The demo's jobs keep changing: Glacier may no longer list one of the stored jobs.
    assert listed
    assert listed <= stored
    labels = {each["rendered_map_index"] for each in airflow.api.task_instances("glacier_jobs_snapshot", run_id)}
    assert {"aws_default us-east-1", "aws_default eu-west-1"} <= labels
    assert len(list(dataset.glob("observations/*/*.parquet"))) == 2
    record_drill("a snapshot triggered over REST", "succeeded; every job of both Regions is stored")


def test_a_snapshot_emits_one_event_which_starts_the_report(
    airflow: RunningAirflow, snapshot: tuple[str, Path], record_drill: RecordDrill
) -> None:
    run_id, dataset = snapshot

    events = airflow.api.get("/api/v2/assets/events?source_dag_id=glacier_jobs_snapshot&limit=100")["asset_events"]
    [event] = [each for each in events if each["source_run_id"] == run_id]
    assert event["name"] == "glacier_jobs"
    assert [seen["region"] for seen in event["extra"]["observations"]] == ["us-east-1", "eu-west-1"]
    # By the run that this event has started, or that of the scheduled snapshot's event, if Airflow queued one for both.
    latest = dataset / "reports" / "latest.json"
    wait_for("the report", lambda: latest.exists() or None, TIMEOUT_SECONDS)
    runs = airflow.api.get("/api/v2/dags/glacier_jobs_report/dagRuns?limit=100")["dag_runs"]
    assert "asset_triggered" in {run["run_type"] for run in runs}
    newest = json.loads(latest.read_text())
    assert newest["answers"].keys() == QUESTIONS.keys()
    assert "photo-archive" in (dataset / "reports" / "latest.html").read_text()
    assert (dataset / "reports" / newest["report"] / "alerts.parquet").exists()
    assert pads.dataset(dataset / "reports" / newest["answers"]["latest_jobs"]["path"]).count_rows() > 0
    record_drill("a snapshot's event in the real scheduler", "started the report; its page and all answers are stored")


def test_the_report_also_runs_by_time(airflow: RunningAirflow, record_drill: RecordDrill) -> None:
    def by_time() -> dict[str, Any] | None:
        runs = airflow.api.get("/api/v2/dags/glacier_jobs_report/dagRuns?run_type=scheduled&limit=1")["dag_runs"]
        return runs[0] if runs else None

    run = wait_for("a run by time", by_time, TIMEOUT_SECONDS)

    ended = airflow.api.finished_run("glacier_jobs_report", run["dag_run_id"], seconds=TIMEOUT_SECONDS)
    assert ended["state"] == "success", airflow.api.task_instances("glacier_jobs_report", run["dag_run_id"])
    states = {
        each["task_id"]: each["state"] for each in airflow.api.task_instances("glacier_jobs_report", run["dag_run_id"])
    }
    assert (states["datasets"], states["due"], states["report"]) == ("success", "skipped", "skipped")
    record_drill("the report's timetable in the real scheduler", "started a run, which left the snapshot to its event")


def test_a_run_succeeds_although_the_database_is_locked(
    airflow: RunningAirflow, tmp_path: Path, record_drill: RecordDrill
) -> None:
    """With its default timeout, SQLite would fail after 5 seconds."""
    seconds = 12
    locked = threading.Event()

    def lock() -> None:
        with closing(sqlite3.connect(airflow.database, timeout=120, isolation_level=None)) as database:
            database.execute("begin immediate")
            locked.set()
            time.sleep(seconds)
            database.execute("rollback")

    locking = threading.Thread(target=lock)
    locking.start()
    assert locked.wait(TIMEOUT_SECONDS)
    airflow.snapshot(tmp_path / "dataset")
    locking.join()

    record_drill(f"Airflow's SQLite locked for {seconds} s while a run is triggered", "waited out; the run succeeded")


def test_stopping_airflow_stops_all_its_processes(airflow: RunningAirflow, record_drill: RecordDrill) -> None:
    """Runs last, because it stops Airflow."""
    port = int(airflow.standalone.url.rpartition(":")[2])
    started = psutil.Process(airflow.standalone.process.pid).children(recursive=True)

    airflow.stack.close()

    assert len(started) >= 4
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    record_drill("Airflow stopped", "none of its processes is left; its port is free")
