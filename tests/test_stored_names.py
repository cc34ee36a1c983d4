"""Names that other programs import, and data that Airflow and datasets have stored, since version 0.1.0."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glacier_jobs.events import GlacierJobCompletedTrigger
from glacier_jobs.html_report.store import ReportFiles
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.waiting.state import Verdict, Wait
from glacier_jobs.waiting.stored_state import from_json, to_json
from local_aws.client import Control
from tests.conftest import Connect
from tests.observations import local_dataset
from tests.versions import AirflowFailException
from tests.waits import needs_task_state_store, new_context, run

CONNECTION: dict[str, Any] = {"aws_conn_id": "local_aws", "region_name": None, "verify": None, "botocore_config": None}

#: A wait for the jobs a and b that started at noon, after a poll that listed a, and after a third job had succeeded.
WAIT_OF_0_1_0 = {
    "digest": "7e18f737311b2dc3",
    "started_at": "2026-11-22T12:00:00+00:00",
    "pending": "7",
    "seen": "6",
    "succeeded": 1,
    "failed": 0,
    "missing": 0,
    "problems": [],
    "bad_polls": 2,
    "pages": 3,
}

WAIT = {
    "digest": "7e18f737311b2dc3",
    "started_at": "2026-11-22T12:00:00+00:00",
    "single": False,
    "jobs": "eJwzNAAAAJQAYg==",
    "messages": "eJyLjo7VUYiOjQUACw8CdQ==",
    "unnamed": {},
    "polled": True,
    "expedited": False,
    "bad_polls": 2,
    "pages": 3,
}

#: A wait for the job a, given as one id, after the poll that showed its success; and the description of the job.
WAIT_FOR_A = {**WAIT, "digest": "ca978112ca1bbdca", "single": True, "jobs": "eJwzAgAAMwAz", "bad_polls": 0}
DESCRIPTION_OF_A = "eJyrVvLKT/JMUbJSUEpU0lFQCi5JLCktds5PSQUJBZcmJ6empqSmKNUCAP2mDLY="

JOB_TRIGGER = {
    "vault_name": "photos",
    "account_id": "-",
    "job_ids": ["a"],
    "wait": {**WAIT_OF_0_1_0, "digest": "ca978112ca1bbdca", "pending": "3", "seen": "3"},
    "deadline": "2126-11-22T12:00:00+00:00",
    "missing_grace_seconds": 900.0,
    "poll_seconds": 0.1,
    "max_bad_polls": 10,
    "wait_for_all": False,
    **CONNECTION,
    "quiet_seconds": 0.0,
}

COMPLETED_TRIGGER: dict[str, Any] = {
    "vault_name": "photos",
    "account_id": "-",
    "begin_with": "new",
    "statuscode": None,
    "poll_seconds": 0.1,
    **CONNECTION,
}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("hooks", ["GlacierJobsHook", "JobPage"]),
        ("sensors", ["GlacierJobSensor"]),
        ("operators", ["GlacierJobOutputToObjectStorageOperator", "GlacierJobsToParquetOperator"]),
        ("triggers", ["GlacierJobTrigger"]),
        ("events", ["GlacierJobCompletedTrigger"]),
        ("reports", ["run", "Inquiry", "QUESTIONS", "LOOKUPS"]),
        ("storage", ["open_dataset"]),
        ("history.__main__", ["main"]),
        ("compaction", ["compact_closed_days"]),
        ("compaction.__main__", ["main"]),
    ],
)
def test_names_that_other_programs_import_exist(module: str, names: list[str]) -> None:
    imported = importlib.import_module(f"glacier_jobs.{module}")

    assert [name for name in names if not hasattr(imported, name)] == []


@pytest.mark.parametrize(
    ("class_path", "arguments"),
    [
        ("glacier_jobs.triggers.GlacierJobTrigger", JOB_TRIGGER),
        ("glacier_jobs.events.GlacierJobCompletedTrigger", COMPLETED_TRIGGER),
    ],
)
def test_a_stored_trigger_is_created_again(class_path: str, arguments: dict[str, Any]) -> None:
    assert created(class_path, arguments).serialize() == (class_path, arguments)


def created(class_path: str, arguments: dict[str, Any]) -> Any:
    """Create a trigger from its class path and arguments, as the triggerer does."""
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


def test_the_event_of_a_stored_trigger_has_the_fields_that_a_stored_deferral_reads(
    local_aws: Control, connect: Connect
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Failed", "StatusMessage": "gone"}])
    connect()

    event = run(created("glacier_jobs.triggers.GlacierJobTrigger", JOB_TRIGGER))

    assert event.payload.keys() == {"outcome", "vault_name", "account_id", "job_ids", "wait", "message", "description"}
    assert (event.payload["outcome"], event.payload["wait"].keys()) == ("judged", WAIT.keys())
    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id=["a", "b"], aws_conn_id="local_aws")
    with pytest.raises(AirflowFailException, match=r"1 of 2 awaited jobs(.|\n)*a failed: gone"):
        sensor.execute_complete({}, event.payload)


def test_a_stored_event_that_describes_its_job_is_read(local_aws: Control, connect: Connect) -> None:
    """The job has been dropped."""
    local_aws.add_vaults("photos")
    event = {
        "outcome": "judged",
        "vault_name": "photos",
        "account_id": "-",
        "job_ids": ["a"],
        "wait": WAIT_FOR_A,
        "message": None,
        "description": DESCRIPTION_OF_A,
    }
    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", aws_conn_id=connect())

    assert sensor.execute_complete(new_context(), event) == {"JobId": "a", "StatusCode": "Succeeded"}


def test_a_stored_event_is_read(local_aws: Control, connect: Connect) -> None:
    """It does not name the jobs that succeeded."""
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded"}])
    wait = {**WAIT_OF_0_1_0, "digest": "e3b0c44298fc1c14", "pending": "1", "seen": "1"}
    event: dict[str, Any] = {"outcome": "judged", "job_ids": [], "wait": wait, "message": None}
    arguments: dict[str, Any] = {"task_id": "wait", "vault_name": "photos", "aws_conn_id": connect()}

    one = GlacierJobSensor(job_id="a", **arguments).execute_complete(new_context(), event)
    several = GlacierJobSensor(job_id=["a"], **arguments).execute_complete(new_context(), event)

    assert one["JobId"] == "a"
    assert several == {"vault_name": "photos", "jobs": 1, "succeeded": 1, "failed": 0, "missing": 0}


@needs_task_state_store
@pytest.mark.parametrize(("wait", "succeeded"), [(WAIT_OF_0_1_0, 3), (WAIT, 2)])
def test_the_stored_state_of_a_rescheduled_sensor_is_read(
    wait: Any, succeeded: int, local_aws: Control, connect: Connect
) -> None:
    local_aws.add_jobs("photos", [{"JobId": job_id, "StatusCode": "Succeeded"} for job_id in "ab"])
    context = new_context()
    context["task_state_store"].set("glacier_jobs_wait", {"try_number": context["ti"].try_number, "wait": wait})
    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id=["a", "b"], aws_conn_id=connect())

    found: Any = sensor.poke(context).xcom_value

    assert found["succeeded"] == succeeded


def stored_by_0_1_0(job_ids: list[str], pending: list[str], **counts: Any) -> dict[str, Any]:
    """Return the state of a rescheduled sensor after a poll that listed the pending jobs."""
    bits = f"{int('1' + ''.join(str(int(job_id in pending)) for job_id in job_ids), 2):x}"
    digest = hashlib.sha256("\n".join(job_ids).encode()).hexdigest()[:16]
    return {**WAIT_OF_0_1_0, "digest": digest, "pending": bits, "seen": bits, **counts}


@needs_task_state_store
@pytest.mark.parametrize(
    ("counts", "succeeded"),
    [
        ({"succeeded": 99, "failed": 1, "problems": [["job-000", "failed", "torn"]]}, 299),
        ({"succeeded": 70, "failed": 30, "problems": [[f"job-{n:03}", "failed", "torn"] for n in range(20)]}, 270),
    ],
    ids=["all problems are named", "20 of 30 problems are named"],
)
def test_the_stored_verdicts_of_many_jobs_are_kept_by_each_poke(
    counts: dict[str, Any], succeeded: int, local_aws: Control, connect: Connect
) -> None:
    """Glacier has dropped the jobs that are final. So many ids are not stored."""
    job_ids = [f"job-{number:03}" for number in range(300)]
    started_at = datetime.now(timezone.utc).isoformat()
    wait = {**stored_by_0_1_0(job_ids, job_ids[100:], **counts), "started_at": started_at}
    local_aws.add_jobs(
        "photos", [{"JobId": job_id, "_life": {"duration_seconds": 4 * 3600}} for job_id in job_ids[100:]]
    )
    context = new_context()
    context["task_state_store"].set("glacier_jobs_wait", {"try_number": context["ti"].try_number, "wait": wait})
    conn_id = connect()

    def poke() -> Any:
        sensor = GlacierJobSensor(
            task_id="wait", vault_name="photos", job_id=job_ids, wait_for_all=True, aws_conn_id=conn_id
        )
        return sensor.poke(context)

    assert not poke()
    assert not poke()
    local_aws.advance(5 * 3600)
    with pytest.raises(AirflowFailException) as failed:
        poke()

    assert f"300 jobs: {succeeded} succeeded, {300 - succeeded} failed" in str(failed.value)
    assert "- job-000 failed: torn" in str(failed.value)


def test_the_verdicts_of_version_0_1_0_are_in_the_order_of_the_ids() -> None:
    problems = {"failed": 1, "problems": [["d", "failed", "gone"]]}

    wait = from_json(stored_by_0_1_0(list("abcd"), ["b"], succeeded=2, **problems), list("abcd"))

    assert list(wait.verdicts.items()) == [
        ("a", Verdict.SUCCEEDED),
        ("b", Verdict.PENDING),
        ("c", Verdict.SUCCEEDED),
        ("d", Verdict.FAILED),
    ]
    assert wait.unnamed == {}


STORED = Wait(
    started_at=datetime(2026, 11, 22, 12, tzinfo=timezone.utc),
    verdicts={"a": Verdict.PENDING, "b": Verdict.PENDING},
    seen=frozenset("a"),
    polled=True,
    bad_polls=2,
    pages=3,
)


def test_a_stored_wait_is_read() -> None:
    assert from_json(WAIT, ["a", "b"]) == STORED
    assert to_json(STORED) == WAIT


def test_a_wait_that_version_0_1_0_stored_is_read() -> None:
    assert from_json(WAIT_OF_0_1_0, ["a", "b"]) == replace(STORED, unnamed={Verdict.SUCCEEDED: 1})
    problems = [["c", "failed", "gone"], ["d", "missing", None]]
    assert from_json({**WAIT_OF_0_1_0, "failed": 3, "missing": 1, "problems": problems}, ["a", "b"]) == replace(
        STORED,
        verdicts={"c": Verdict.FAILED, "d": Verdict.MISSING, **STORED.verdicts},
        messages={"c": "gone"},
        unnamed={Verdict.SUCCEEDED: 1, Verdict.FAILED: 2},
    )


class AssetStateStore:
    """An asset's state store in memory. The real one needs a running triggerer, which a drill covers."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    async def aget(self, key: str) -> Any:
        return self.values.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = value


@pytest.mark.parametrize(
    "stored",
    [
        {"glacier_jobs:told:-:-:photos": {"told": ["a", "dropped"]}},
        {
            "glacier_jobs:told:-:-:photos": {"told": ["those", "of", "another", "connection"]},
            "glacier_jobs:told:-:-:photos:c5404cc8246ec97b": {"told": ["a", "dropped"]},
        },
    ],
    ids=["without the connection, by version 0.1.0", "with the connection"],
)
def test_the_ids_of_delivered_jobs_are_read_from_the_asset_and_stored_there(
    stored: dict[str, Any], local_aws: Control, connect: Connect
) -> None:
    local_aws.add_jobs("photos", [{"JobId": job_id, "StatusCode": "Succeeded"} for job_id in "ab"])
    trigger = GlacierJobCompletedTrigger(**{**COMPLETED_TRIGGER, "aws_conn_id": connect()})
    store: Any = AssetStateStore({**stored})
    trigger.asset_state_store = store

    event = run(trigger)

    assert event.payload["jobs"] == ["b"]
    assert store.values == {**stored, "glacier_jobs:told:-:-:photos:c5404cc8246ec97b": {"told": ["a"]}}


def test_the_files_next_to_the_reports_are_read(tmp_path: Path) -> None:
    latest = {
        "report": "report=20261122T060000Z_1a2b3c",
        "made_at": "2026-11-22T06:00:00+00:00",
        "html": "report=20261122T060000Z_1a2b3c/report.html",
        "answers": {"failures": {"path": "report=20261122T060000Z_1a2b3c/failures.parquet", "rows": 2}},
    }
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "latest.json").write_text(json.dumps(latest))
    (tmp_path / "reports" / "told.json").write_text('{"failed arn a": "2026-11-22T06:00:00+00:00"}')

    files = ReportFiles(local_dataset(tmp_path))

    assert files.latest() == latest
    assert files.latest_made_at() == datetime(2026, 11, 22, 6, tzinfo=timezone.utc)
    assert files.notified() == {"failed arn a": datetime(2026, 11, 22, 6, tzinfo=timezone.utc)}


def test_the_stored_alerts_are_read_and_count_as_notified_under_the_stored_keys(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "report=20261122T060000Z_1a2b3c"
    report.mkdir(parents=True)
    row = {"kind": "failed", "vault_arn": "arn", "job_id": "a", "line": "a: gone"}
    pq.write_table(pa.Table.from_pylist([row]), report / "alerts.parquet")

    [alert] = ReportFiles(local_dataset(tmp_path)).alerts(report.name)

    assert (alert.line, alert.key) == ("a: gone", "failed arn a")
