"""Wait for jobs in a real Airflow with a scheduler, workers and a triggerer that is killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from local_airflow.environment import airflow_environment
from local_airflow.rest import AirflowApi, wait_for
from local_airflow.standalone import Standalone, running
from local_aws.client import Control
from local_aws.timestamps import isoformat
from tests.drills.dags_to_wait import POLL_SECONDS
from tests.drills.table import RecordDrill
from tests.drills.waiting_tasks import HOUR, TIMEOUT_SECONDS, job, result, wait_for_states

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def airflow(local_aws_process: Control, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """An Airflow with the drill's DAGs, connected to the local AWS."""
    local_aws_process.reset()
    local_aws_process.add_vaults("watched")
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("dags_to_wait.py"), folder / "dags")
    environment = {
        **airflow_environment(
            folder / "home", endpoint=local_aws_process.endpoint, dataset=folder / "dataset", targets=[]
        ),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        # Another triggerer takes over soon.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }
    with running(environment) as airflow:
        wait_for(
            "the DAGs",
            lambda: {"deferred", "deferred_list", "rescheduled", "watching"} <= airflow.api.dag_ids() or None,
            120,
        )
        assert airflow.api.import_errors() == []
        yield airflow


@pytest.fixture(scope="module")
def processes(airflow: Standalone) -> Iterator[ExitStack]:
    """A stack for further processes, which are stopped before Airflow."""
    with ExitStack() as stack:
        yield stack


def kill_triggerer() -> dict[str, str]:
    """Kill the triggerer and all its processes, and return its environment variables."""
    found = []
    for process in psutil.Process().children(recursive=True):
        # A task's process may have ended in the meantime.
        with suppress(psutil.Error):
            if "triggerer" in " ".join(process.cmdline()):
                found.append((process, process.environ()))
    assert found
    for process, _ in found:
        with suppress(psutil.NoSuchProcess):
            for each in [process, *process.children(recursive=True)]:
                each.kill()
    return found[0][1]


def start_triggerer(processes: ExitStack, environment: dict[str, str]) -> None:
    """Start another triggerer, which runs until the processes are stopped."""
    triggerer = processes.enter_context(
        subprocess.Popen([sys.executable, "-m", "airflow", "triggerer"], env=environment)
    )
    processes.callback(triggerer.terminate)


def test_deferred_tasks_share_polls_and_survive_a_failure_a_clear_and_a_killed_triggerer(
    airflow: Standalone, processes: ExitStack, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    local_aws, api = local_aws_process, airflow.api
    ids = [f"job-{number}" for number in range(6)]
    local_aws.add_jobs("photos", [job(job_id) for job_id in ids[:-1]])
    local_aws.add_jobs("photos", [job(ids[-1], outcome="Failed", status_message="Torn tape")])
    run_id = api.trigger("deferred", {"job_ids": ids})
    wait_for_states(api, "deferred", run_id, dict.fromkeys(range(6), ("deferred", 1)))

    # The link is available while they wait.
    links = api.get(f"/api/v2/dags/deferred/dagRuns/{quote(run_id, safe='')}/taskInstances/wait/links?map_index=1")
    assert links["extra_links"] == {
        "Amazon Glacier vault": "https://console.aws.amazon.com/glacier/home?region=us-east-1#/vault/photos/view/properties"
    }

    # If each task polled separately, these calls would take two intervals.
    began_at, calls = time.monotonic(), local_aws.calls().total
    wait_for("some polls", lambda: local_aws.calls().total >= calls + 12 or None, 120)
    assert time.monotonic() - began_at >= 6 * POLL_SECONDS

    # One task is cleared: its trigger is cancelled while it waits, and the others are not affected.
    api.post(
        "/api/v2/dags/deferred/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [["wait", 0]],
            "only_failed": False,
            "reset_dag_runs": False,
        },
    )
    waiting = {0: ("deferred", 2), **dict.fromkeys(range(1, 6), ("deferred", 1))}
    wait_for_states(api, "deferred", run_id, waiting)

    environment = kill_triggerer()
    local_aws.advance(5 * HOUR)
    start_triggerer(processes, environment)
    ended = {index: ("success", tries) for index, (_, tries) in waiting.items()}
    # A failed job uses up no retries.
    wait_for_states(api, "deferred", run_id, {**ended, 5: ("failed", 1)})
    assert result(api, "deferred", run_id, 1)["JobId"] == "job-1"
    record_drill(
        "one of six deferred sensors cleared, then kill -9 of the triggerer, SQLite", "all six waits ended correctly"
    )


def test_verdicts_survive_a_killed_triggerer_after_glacier_dropped_the_job(
    airflow: Standalone, processes: ExitStack, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    """The triggerer sees a job that completed almost a day ago, so it stores the verdict at once."""
    local_aws, api = local_aws_process, airflow.api
    local_aws.add_jobs("tapes", [job("a"), job("b", duration_seconds=60 * HOUR)])
    run_id = api.trigger("deferred_list", {"job_ids": ["a", "b"]})
    wait_for_states(api, "deferred_list", run_id, {-1: ("deferred", 1)})
    first = trigger_created_at(api, run_id)
    created_at = datetime.now(timezone.utc) - timedelta(hours=24.5)
    ended = {**job("a", duration_seconds=HOUR, retention_seconds=10_000 * HOUR), "CreationDate": isoformat(created_at)}
    local_aws.add_jobs("tapes", [ended])
    wait_for("another deferral", lambda: trigger_created_at(api, run_id) not in (None, first) or None, TIMEOUT_SECONDS)

    environment = kill_triggerer()
    local_aws.remove_jobs("tapes", ["a"])
    local_aws.advance(61 * HOUR)
    start_triggerer(processes, environment)

    wait_for_states(api, "deferred_list", run_id, {-1: ("success", 1)})
    assert result(api, "deferred_list", run_id, -1) == {
        "vault_name": "tapes",
        "jobs": 2,
        "succeeded": 2,
        "failed": 0,
        "missing": 0,
    }
    record_drill(
        "kill -9 of the triggerer, and a job that Glacier drops meanwhile", "its success was stored before and counts"
    )


def trigger_created_at(api: AirflowApi, run_id: str) -> str | None:
    """Return when the trigger was created for which the task waits; ``None`` while it is not deferred.

    SQLite gives the next trigger the same id.
    """
    (instance,) = [each for each in api.task_instances("deferred_list", run_id) if each["task_id"] == "wait"]
    return None if instance["trigger"] is None else str(instance["trigger"]["created_date"])


def test_a_rescheduled_task_keeps_its_state_between_processes(
    airflow: Standalone, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    """The first poke saw the job and the next one does not: the job is missing at once, without a grace period."""
    local_aws, api = local_aws_process, airflow.api
    local_aws.add_jobs("films", [job("a")])
    run_id = api.trigger("rescheduled", {"job_ids": ["a"]})
    wait_for_states(api, "rescheduled", run_id, {-1: ("up_for_reschedule", 1)})

    local_aws.advance(40 * HOUR)

    wait_for_states(api, "rescheduled", run_id, {-1: ("failed", 1)})
    record_drill(
        "a job that expires between two pokes of a rescheduled task", "failed at once: the task kept its state"
    )


def test_a_dag_runs_for_each_job_that_completes(
    airflow: Standalone, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    local_aws, api = local_aws_process, airflow.api
    local_aws.add_jobs("watched", [job("a"), {**job("b", duration_seconds=90 * HOUR), "JobDescription": "holidays"}])
    calls = local_aws.calls().by_vault.get(("ListJobs", "watched"), 0)
    wait_for("a poll", lambda: local_aws.calls().by_vault["ListJobs", "watched"] > calls + 1 or None, TIMEOUT_SECONDS)

    local_aws.advance(5 * HOUR)

    assert completed(api, 1) == [("a", "Succeeded", None)]
    local_aws.advance(90 * HOUR)
    assert completed(api, 2) == [("a", "Succeeded", None), ("b", "Succeeded", "holidays")]
    record_drill("two jobs that complete in a watched vault", "one DAG run for each")


def completed(api: AirflowApi, runs: int) -> list[tuple[str, str, str | None]]:
    """Wait until so many runs of the watching DAG have succeeded, and return the jobs of their events in order."""

    def found() -> list[Any] | None:
        ended = api.get("/api/v2/dags/watching/dagRuns?order_by=run_after&state=success")["dag_runs"]
        return ended if len(ended) >= runs else None

    jobs = [
        job
        for run in wait_for(f"{runs} runs of watching", found, TIMEOUT_SECONDS)
        for job in result(api, "watching", run["dag_run_id"], -1, "completed")
    ]
    return [(job["JobId"], job["StatusCode"], job.get("JobDescription")) for job in jobs]
