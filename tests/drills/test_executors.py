"""Snapshots of several accounts and Regions by a real Airflow on PostgreSQL, while its components are killed."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import psutil
import pytest

from glacier_jobs.dataset.layout import Dataset
from local_airflow.environment import airflow_environment
from local_airflow.rest import wait_for
from local_aws.client import Control
from tests.drills.airflow_cluster import Cluster, airflow_cluster
from tests.drills.snapshots import jobs_by_committed_observation
from tests.drills.table import RecordDrill
from tests.drills.waiting_tasks import HOUR, TIMEOUT_SECONDS, job, result, wait_for_states
from tests.observations import s3_of
from tests.retrieval.outputs import tree_hash

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]

_ACCOUNTS = ("123456789012", "210987654321", "111122223333")
_REGIONS = ("us-east-1", "eu-west-1")
_JOBS = 130


@dataclass(frozen=True, kw_only=True)
class Drill:
    """An Airflow, and the local AWS with the bucket for its snapshots."""

    cluster: Cluster
    local_aws: Control
    workers: int

    def run(self, root: str, targets: list[tuple[str, str]]) -> str:
        """Trigger a run that observes these accounts and Regions, and return its id."""
        return self.cluster.api.trigger(
            "snapshots",
            {
                "targets": [
                    {"dataset_uri": f"s3://aws_default@records/{root}", "account_id": account_id, "region_name": region}
                    for account_id, region in targets
                ]
            },
        )

    def succeeded(self, run_id: str) -> dict[int, int]:
        """Wait until a run has succeeded, and return the number of tries of each snapshot by map index."""
        run = self.cluster.api.finished_run("snapshots", run_id, seconds=TIMEOUT_SECONDS)
        instances = self.cluster.api.task_instances("snapshots", run_id)
        assert run["state"] == "success", instances
        return {each["map_index"]: each["try_number"] for each in instances if each["task_id"] == "snapshot"}

    def dataset(self, root: str) -> Dataset:
        """Open the dataset that the runs with this root have published."""
        return Dataset(filesystem=s3_of(self.local_aws), root=f"records/{root}")

    def wait_for_calls(self, operation: str, calls: int = 1) -> dict[str, list[psutil.Process]]:
        """Wait for new calls of the local AWS, and return the processes that are connected to it by component."""
        self.local_aws.reset_calls()
        wait_for(
            operation,
            lambda: self.local_aws.calls().by_operation.get(operation, 0) >= calls or None,
            TIMEOUT_SECONDS,
        )
        port = urlsplit(self.local_aws.endpoint).port
        assert port is not None
        found = self.cluster.with_connection_to(port)
        assert found
        return found

    def kill_the_task_that_calls(self, operation: str, calls: int = 1) -> None:
        """Kill (-9) the processes of tasks that call the local AWS."""
        for processes in self.wait_for_calls(operation, calls).values():
            for process in processes:
                process.kill()
        self.local_aws.clear_faults()


@pytest.fixture(scope="module", params=[0, 2], ids=["LocalExecutor", "CeleryExecutor"])
def drill(
    request: pytest.FixtureRequest, local_aws_process: Control, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Drill]:
    """Airflow with the LocalExecutor, and with Celery and two workers."""
    local_aws = local_aws_process
    local_aws.reset()
    for account_id, region in itertools.product(_ACCOUNTS, _REGIONS):
        for vault in ("photos", "films"):
            jobs = [{"JobId": f"{vault}-{number}"} for number in range(_JOBS)]
            local_aws.add_jobs(vault, jobs, account_id=account_id, region=region)
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("dags_to_break.py"), folder / "dags")
    environment = {
        **airflow_environment(folder / "home", endpoint=local_aws.endpoint, dataset=folder / "dataset", targets=[]),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
    }
    with airflow_cluster(environment, celery_workers=request.param) as cluster:

        def parsed() -> bool | None:
            assert cluster.api.import_errors() == []
            return "snapshots" in cluster.api.dag_ids() or None

        wait_for("the DAGs", parsed, 120)
        yield Drill(cluster=cluster, local_aws=local_aws, workers=request.param)


@pytest.fixture(autouse=True)
def _no_faults(drill: Drill) -> None:
    drill.local_aws.clear_faults()


def _executor(drill: Drill) -> str:
    return f"Celery, Redis and {drill.workers} workers" if drill.workers else "LocalExecutor"


def test_several_accounts_and_regions_are_published_into_one_dataset_on_s3(
    drill: Drill, record_drill: RecordDrill
) -> None:
    targets = list(itertools.product(_ACCOUNTS, _REGIONS))

    tries = drill.succeeded(drill.run("many", targets))

    assert tries == dict.fromkeys(range(len(targets)), 1)
    rows = drill.dataset("many").scan("jobs").to_table(columns=["account_id", "region", "vault_name", "job_id"])
    found = [tuple(row.values()) for row in rows.to_pylist()]
    expected = {
        (account_id, region, vault, f"{vault}-{number}")
        for account_id, region in targets
        for vault in ("photos", "films")
        for number in range(_JOBS)
    }
    assert len(found) == len(expected)
    assert set(found) == expected
    if drill.workers:
        logs = [(drill.cluster.home / f"worker-{number}.log").read_text() for number in range(drill.workers)]
        assert all("succeeded in" in log for log in logs), "a worker ran no task"
    record_drill(
        f"PostgreSQL, {_executor(drill)}: {len(targets)} accounts and Regions", "one dataset on S3 with all jobs"
    )


def test_a_task_that_is_killed_is_retried(drill: Drill, record_drill: RecordDrill) -> None:
    drill.local_aws.fault("latency", operation="ListJobs", seconds=3)
    run_id = drill.run("task-killed", [(_ACCOUNTS[0], _REGIONS[0])])
    drill.kill_the_task_that_calls("ListJobs")

    assert drill.succeeded(run_id) == {0: 2}
    assert list(jobs_by_committed_observation(drill.dataset("task-killed")).values()) == [2 * _JOBS]
    record_drill(f"kill -9 of a task's process while it lists, {_executor(drill)}", "retried; one complete observation")


def test_a_run_succeeds_although_the_database_restarts(drill: Drill, record_drill: RecordDrill) -> None:
    drill.local_aws.fault("latency", operation="ListJobs", seconds=3)
    run_id = drill.run("database", [(_ACCOUNTS[0], _REGIONS[0]), (_ACCOUNTS[1], _REGIONS[0])])
    drill.wait_for_calls("ListJobs")
    drill.cluster.postgres.stop()
    drill.cluster.postgres.start()
    started_at = datetime.now(timezone.utc)
    wait_for("Airflow", lambda: drill.cluster.recovered(since=started_at), TIMEOUT_SECONDS)

    drill.succeeded(run_id)
    committed = jobs_by_committed_observation(drill.dataset("database"))
    assert len(committed) >= 2
    assert set(committed.values()) == {2 * _JOBS}
    record_drill(
        f"database restarted during a run, {_executor(drill)}", "the run succeeded; all observations are complete"
    )


def test_the_task_of_a_killed_worker_is_run_by_another_worker(drill: Drill, record_drill: RecordDrill) -> None:
    drill.local_aws.fault("latency", operation="ListJobs", seconds=3)
    run_id = drill.run("worker-killed", [(_ACCOUNTS[0], _REGIONS[0])])
    [(component, processes)] = drill.wait_for_calls("ListJobs").items()
    if drill.workers:
        drill.cluster.kill(component)
    else:
        # LocalExecutor: kill the scheduler's worker processes, which are the task's ancestors.
        scheduler = drill.cluster.processes[component].pid
        for process in processes:
            for each in [process, *process.parents()]:
                if each.pid == scheduler:
                    break
                each.kill()
    drill.local_aws.clear_faults()

    assert drill.succeeded(run_id) == {0: 2}
    assert list(jobs_by_committed_observation(drill.dataset("worker-killed")).values()) == [2 * _JOBS]
    record_drill(
        f"kill -9 of a worker during a task, {_executor(drill)}", "another worker took over; one complete observation"
    )


def test_the_sensors_of_a_killed_triggerer_are_continued_by_the_next_triggerer(
    drill: Drill, record_drill: RecordDrill
) -> None:
    api, ids = drill.cluster.api, [f"awaited-{number}" for number in range(4)]
    drill.local_aws.add_jobs("awaited", [job(job_id) for job_id in ids])
    run_id = api.trigger("waiting", {"job_ids": ids})
    wait_for_states(api, "waiting", run_id, dict.fromkeys(range(len(ids)), ("deferred", 1)))
    drill.local_aws.reset_calls()
    wait_for("a poll", lambda: drill.local_aws.calls().by_operation.get("ListJobs") or None, TIMEOUT_SECONDS)

    drill.cluster.kill("triggerer")
    drill.local_aws.advance(5 * HOUR)
    drill.cluster.start("triggerer")

    wait_for_states(api, "waiting", run_id, dict.fromkeys(range(len(ids)), ("success", 1)))
    assert [result(api, "waiting", run_id, index)["JobId"] for index in range(len(ids))] == ids
    record_drill(
        f"kill -9 of the triggerer, {len(ids)} sensors waiting, {_executor(drill)}",
        "the next triggerer ended all waits",
    )


def test_an_archive_is_retrieved_once_although_its_tasks_and_the_triggerer_are_killed(
    drill: Drill, record_drill: RecordDrill
) -> None:
    """The first task is killed after Glacier started the job, and before it got the answer."""
    api, local_aws = drill.cluster.api, drill.local_aws
    local_aws.add_vaults("archives")
    [archive_id] = local_aws.add_archives("archives", [{"Size": 40 * 1024 * 1024 + 1}])
    local_aws.fault("latency", operation="InitiateJob", seconds=5, after_effect=True)
    run_id = api.trigger(
        "retrieving", {"archive_id": archive_id, "destination_uri": "s3://aws_default@records/restored/archive"}
    )
    drill.kill_the_task_that_calls("InitiateJob")
    wait_for_states(api, "retrieving", run_id, {-1: ("deferred", 2)}, task_id="retrieve")
    [started] = local_aws.jobs("archives")

    drill.cluster.kill("triggerer")
    local_aws.advance(6 * HOUR)
    local_aws.fault("latency", operation="GetJobOutput", seconds=5, skip=1)
    drill.cluster.start("triggerer")
    drill.kill_the_task_that_calls("GetJobOutput", calls=2)

    run = api.finished_run("retrieving", run_id, seconds=TIMEOUT_SECONDS)
    tries = {each["task_id"]: each["try_number"] for each in api.task_instances("retrieving", run_id)}
    assert (run["state"], tries) == ("success", {"archive": 1, "retrieve": 2, "store": 2})
    [job] = local_aws.jobs("archives")
    assert job["JobId"] == started["JobId"]
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    stored = s3.get_object(Bucket="records", Key="restored/archive")["Body"]
    assert tree_hash(stored.read()) == job["ArchiveSHA256TreeHash"]
    record_drill(
        f"kill -9 of the task that starts a job, the triggerer, and the task that downloads, {_executor(drill)}",
        "one job was started; the archive is stored and verified",
    )


def test_no_credentials_are_stored_anywhere(drill: Drill, record_drill: RecordDrill) -> None:
    """Runs last. Searches the logs of all runs, the whole database with XComs and event payloads, and the files."""
    drill.succeeded(drill.run("searched", [(_ACCOUNTS[0], _REGIONS[0])]))
    s3 = boto3.client("s3", **drill.local_aws.boto3_arguments())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="records")
    objects = [
        s3.get_object(Bucket="records", Key=each["Key"])["Body"].read() for page in pages for each in page["Contents"]
    ]
    files = [file for file in drill.cluster.home.rglob("*") if file.is_file()]
    database = drill.cluster.postgres.dump()

    assert len(objects) >= 3
    assert any(file.name.startswith("attempt=") for file in files), "no task's log was found"
    assert "observation_id" in database, "no XCom was found"
    secret = drill.local_aws.boto3_arguments()["aws_secret_access_key"]
    assert secret not in database
    assert not [file for file in files if secret.encode() in file.read_bytes()]
    assert not [content for content in objects if secret.encode() in content]
    record_drill(
        f"search for credentials after the runs, {_executor(drill)}",
        f"none in {len(files)} logs and files, {len(objects)} objects and the database",
    )
