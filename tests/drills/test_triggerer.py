"""Wait for jobs in a real Airflow with a scheduler, workers and a triggerer that is killed."""

from __future__ import annotations

import re
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
from tests.conftest import ROOT
from tests.drills.dags_to_wait import POLL_SECONDS
from tests.drills.table import RecordDrill
from tests.drills.waiting_tasks import HOUR, TIMEOUT_SECONDS, job, result, wait_for_states

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

#: The vaults of the documented DAG.
FETCHED_VAULTS = ("photos-2026", "films-2026", "letters-2026")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the outputs that the documented DAG fetches."""
    return tmp_path_factory.mktemp("outputs")


def documented_dag(outputs: Path) -> str:
    """Return the DAG of the documents that fetches outputs, with this drill's vaults, connection and interval."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "include/docs/pipelines.md").read_text(), flags=re.DOTALL)
    [block] = [block for block in blocks if "def fetch(" in block]
    for documented, here in {
        "s3://aws_archive@my-bucket/outputs": outputs.as_uri(),
        '["photos", "films", "letters"]': repr(FETCHED_VAULTS),
        "aws_archive": "aws_default",
        'statuscode="Succeeded", begin_with': f'statuscode="Succeeded", poll_seconds={POLL_SECONDS}, begin_with',
    }.items():
        assert documented in block
        block = block.replace(documented, here)
    return str(block)


@pytest.fixture(scope="module")
def airflow(
    local_aws_process: Control, outputs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standalone]:
    """An Airflow with the drill's DAGs, connected to the local AWS."""
    local_aws_process.reset()
    local_aws_process.add_vaults("watched", *FETCHED_VAULTS)
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("dags_to_wait.py"), folder / "dags")
    (folder / "dags" / "fetch.py").write_text(documented_dag(outputs))
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
            lambda: {"deferred", "deferred_list", "fetch", "rescheduled", "watching"} <= airflow.api.dag_ids() or None,
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
    began_at, calls = time.monotonic(), calls_for(local_aws, "photos")
    wait_for("some polls", lambda: calls_for(local_aws, "photos") >= calls + 12 or None, 120)
    assert time.monotonic() - began_at >= 10 * POLL_SECONDS

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


def test_a_dag_runs_when_a_job_completes(
    airflow: Standalone, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    local_aws, api = local_aws_process, airflow.api
    local_aws.add_jobs("watched", [job("a"), job("b", duration_seconds=90 * HOUR)])
    wait_for_a_poll(local_aws, "watched")

    local_aws.advance(5 * HOUR)

    assert completed(api, 1) == ["a"]
    local_aws.advance(90 * HOUR)
    assert completed(api, 2) == ["a", "b"]
    record_drill("two jobs that complete one after the other in a watched vault", "one DAG run for each")


def wait_for_a_poll(local_aws: Control, vault_name: str) -> None:
    """Wait for a poll that began after this call."""
    calls = calls_for(local_aws, vault_name)
    wait_for("a poll", lambda: calls_for(local_aws, vault_name) > calls + 1 or None, TIMEOUT_SECONDS)


def calls_for(local_aws: Control, vault_name: str) -> int:
    """Return the number of listings of a vault; each takes one call."""
    return local_aws.calls().by_vault.get(("ListJobs", vault_name), 0)


def completed(api: AirflowApi, runs: int) -> list[str]:
    """Wait until so many runs of the watching DAG have succeeded, and return the job ids of their events in order."""

    def found() -> list[Any] | None:
        ended = api.get("/api/v2/dags/watching/dagRuns?order_by=run_after&state=success")["dag_runs"]
        return ended if len(ended) >= runs else None

    return [
        job_id
        for run in wait_for(f"{runs} runs of watching", found, TIMEOUT_SECONDS)
        for payload in result(api, "watching", run["dag_run_id"], -1, "completed")
        for job_id in payload["jobs"]
    ]


def test_the_documented_dag_fetches_all_jobs_that_complete_together(
    airflow: Standalone, outputs: Path, local_aws_process: Control, record_drill: RecordDrill
) -> None:
    """The scheduler gives a run only some of the events that arrive together. No later event helps."""
    local_aws, api = local_aws_process, airflow.api
    ids = {vault_name: {f"{vault_name}-{number}" for number in range(5)} for vault_name in FETCHED_VAULTS}
    for vault_name, job_ids in ids.items():
        local_aws.add_jobs(vault_name, [{**job(job_id), "Action": "InventoryRetrieval"} for job_id in sorted(job_ids)])
    for vault_name in FETCHED_VAULTS:
        wait_for_a_poll(local_aws, vault_name)

    local_aws.advance(5 * HOUR)

    def fetched() -> bool | None:
        found = {vault: {file.stem for file in (outputs / vault).glob("*.fetched")} for vault in FETCHED_VAULTS}
        return found == ids or None

    wait_for("all outputs", fetched, TIMEOUT_SECONDS)
    assert all((outputs / vault / job_id).stat().st_size > 0 for vault, job_ids in ids.items() for job_id in job_ids)
    events = [
        event["extra"]["payload"]
        for event in api.get("/api/v2/assets/events?limit=100")["asset_events"]
        if event["name"].removesuffix("_jobs") in FETCHED_VAULTS
    ]
    assert {event["vault_name"]: (set(event["jobs"]), event["count"]) for event in events} == {
        vault_name: (job_ids, 5) for vault_name, job_ids in ids.items()
    }
    record_drill(
        "five jobs in each of three vaults that complete at the same moment",
        f"{len(events)} events; the documented DAG fetched all 15 outputs",
    )
