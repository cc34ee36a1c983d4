"""Tests of the file that says what became of each awaited job, in all modes."""

from __future__ import annotations

import secrets
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest

from glacier_jobs.errors import ServiceUnavailable
from glacier_jobs.sensors import GlacierJobSensor
from local_aws.client import Control
from local_aws.faulty_proxy import Fault
from tests.conftest import Connect, IdsOnS3
from tests.credential_source import CredentialSource
from tests.waits import MODES, Ended, Mode, new_context, wait

HOUR = 3600

in_all_modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def glacier(connect: Connect, tmp_path: Path) -> dict[str, Any]:
    return {
        "vault_name": "photos",
        "aws_conn_id": connect(attempts=1),
        "outcome_uri": f"file://{tmp_path}/outcomes/today.parquet",
    }


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


def rows(tmp_path: Path) -> list[tuple[Any, ...]]:
    """Return the rows of the file, and check that nothing else is left beside it."""
    assert [path.name for path in (tmp_path / "outcomes").rglob("*") if path.is_file()] == ["today.parquet"]
    table = pq.read_table(tmp_path / "outcomes" / "today.parquet")
    assert table.column_names == ["vault_name", "job_id", "outcome", "status_message"]
    assert set(table["vault_name"].to_pylist()) == {"photos"}
    return [tuple(row.values())[1:] for row in table.to_pylist()]


@in_all_modes
def test_a_wait_that_succeeds_writes_its_outcomes(mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", count=1)
    context = new_context()

    ended = wait(mode, context, job_id="a", **glacier)

    assert (ended.how, ended.value["JobId"]) == ("success", "a")
    assert rows(tmp_path) == [("a", "succeeded", None)]
    assert context["ti"].xcoms["outcome_uri"] == glacier["outcome_uri"]


@in_all_modes
@pytest.mark.parametrize(("soft_fail", "how"), [(False, "failed at once"), (True, "skipped")])
def test_a_wait_that_fails_writes_its_outcomes_first(
    mode: Mode, soft_fail: bool, how: str, glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    """Glacier drops the first jobs before the wait ends."""
    local_aws.add_jobs(
        "photos",
        [
            job("good", duration_seconds=1 * HOUR),
            job("torn", duration_seconds=2 * HOUR, outcome="Failed", status_message="Torn"),
            job("lost", duration_seconds=1 * HOUR, retention_seconds=HOUR),
            job("late", duration_seconds=60 * HOUR),
        ],
    )
    local_aws.hook("advance", {"seconds": 10 * HOUR}, operation="ListJobs")
    context = new_context()

    ended = wait(
        mode, context, job_id=["late", "lost", "torn", "good"], wait_for_all=True, soft_fail=soft_fail, **glacier
    )

    assert ended.how == how
    assert rows(tmp_path) == [
        ("late", "succeeded", None),
        ("lost", "missing", None),
        ("torn", "failed", "Torn"),
        ("good", "succeeded", None),
    ]
    assert context["ti"].xcoms["outcome_uri"] == glacier["outcome_uri"]


@in_all_modes
def test_a_wait_that_times_out_writes_its_outcomes_first(
    mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), job("b")])

    ended = wait(mode, job_id=["a", "b"], timeout=0.3, **glacier)

    assert ended.how == "timed out"
    assert rows(tmp_path) == [("a", "succeeded", None), ("b", "pending", None)]


@in_all_modes
def test_a_wait_that_is_refused_writes_what_is_known(
    mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), job("b")])
    local_aws.hook("delete_vault", {"vault_name": "photos"}, operation="ListJobs", count=1)

    ended = wait(mode, job_id=["a", "b"], **glacier)

    assert ended.how == "failed at once"
    assert rows(tmp_path) == [("a", "succeeded", None), ("b", "pending", None)]


@in_all_modes
def test_a_wait_with_a_status_that_is_not_documented_writes_what_the_same_poll_showed(
    mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    odd = {"JobId": "b", "StatusCode": "Paused", "Completed": False, "_life": {"verbatim": True}}
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), odd])

    ended = wait(mode, job_id=["a", "b"], **glacier)

    assert ended == Ended(
        "failed at once", "job b: StatusCode is 'Paused'; expected one of InProgress, Succeeded, Failed"
    )
    assert rows(tmp_path) == [("a", "succeeded", None), ("b", "pending", None)]


@in_all_modes
def test_ten_thousand_jobs_have_their_outcomes(mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path) -> None:
    jobs = [
        job(f"job-{number:05}", duration_seconds=HOUR, outcome="Failed" if number % 3 == 0 else "Succeeded")
        for number in range(9_999)
    ]
    ids = local_aws.add_jobs("photos", [*jobs, job("last", duration_seconds=30 * HOUR)])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=199, count=1)
    local_aws.hook("advance", {"seconds": 30 * HOUR}, operation="ListJobs", skip=399, count=1)

    ended = wait(mode, job_id=ids, wait_for_all=True, **glacier)

    assert ended.how == "failed at once"
    assert "10000 jobs: 6667 succeeded, 3333 failed" in ended.value
    outcomes = [outcome for _, outcome, _ in rows(tmp_path)]
    assert outcomes == [*(["failed", "succeeded", "succeeded"] * 3_333), "succeeded"]


@in_all_modes
def test_outcomes_are_written_to_a_bucket_and_replaced_by_the_next_try(
    mode: Mode, connect: Connect, local_aws: Control, ids_on_s3: IdsOnS3
) -> None:
    uri = ids_on_s3.uri.replace("today.txt", "outcomes/today.parquet")
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), job("b", duration_seconds=0, outcome="Failed")])
    glacier = {"vault_name": "photos", "aws_conn_id": connect(attempts=1), "outcome_uri": uri}

    for job_id in ("a", "b"):
        wait(mode, job_id=job_id, **glacier)

    body = boto3.client("s3", **local_aws.boto3_arguments()).get_object(Bucket="ids", Key="outcomes/today.parquet")
    assert pq.read_table(BytesIO(body["Body"].read())).to_pylist() == [
        {"vault_name": "photos", "job_id": "b", "outcome": "failed", "status_message": None}
    ]


@in_all_modes
@pytest.mark.parametrize(
    ("fault", "how"),
    [
        (Fault(status=503, code="ServiceUnavailable"), "to be retried"),
        (Fault(status=403, code="AccessDenied"), "failed at once"),
    ],
    ids=["unavailable", "denied"],
)
def test_a_success_whose_outcomes_cannot_be_written_is_none(
    mode: Mode, fault: Fault, how: str, connect: Connect, local_aws: Control, ids_on_s3: IdsOnS3
) -> None:
    uri = ids_on_s3.uri.replace("today.txt", "today.parquet")
    local_aws.add_jobs("photos", [job("a", duration_seconds=0)])
    ids_on_s3.fail(fault)
    context = new_context()

    ended = wait(mode, context, job_id="a", vault_name="photos", aws_conn_id=connect(attempts=1), outcome_uri=uri)

    assert ended.how == how
    assert f"outcome_uri is '{uri}', which " in ended.value
    assert "outcome_uri" not in context["ti"].xcoms


@in_all_modes
def test_a_failure_is_reported_also_if_its_outcomes_cannot_be_written(
    mode: Mode, connect: Connect, local_aws: Control, ids_on_s3: IdsOnS3
) -> None:
    uri = ids_on_s3.uri.replace("today.txt", "today.parquet")
    local_aws.add_jobs("photos", [job("a", duration_seconds=0, outcome="Failed", status_message="Torn")])
    ids_on_s3.fail(Fault(status=503, code="ServiceUnavailable"))

    ended = wait(mode, job_id="a", vault_name="photos", aws_conn_id=connect(attempts=1), outcome_uri=uri)

    assert ended.how == "failed at once"
    assert "a failed: Torn" in ended.value
    assert f"outcome_uri is '{uri}', which cannot be written now" in ended.value


@in_all_modes
@pytest.mark.parametrize("error", [MemoryError("full"), ServiceUnavailable("away")])
def test_no_error_of_the_store_replaces_the_failure_of_the_wait(
    mode: Mode, error: Exception, glacier: Any, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_outcomes(*_: object) -> None:
        raise error

    monkeypatch.setattr("glacier_jobs.sensors.write_outcomes", write_outcomes)
    local_aws.add_jobs("photos", [job("a", duration_seconds=0, outcome="Failed", status_message="Torn")])

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert "a failed: Torn" in ended.value
    assert ended.value.endswith(str(error))


@in_all_modes
def test_a_store_whose_credentials_are_away_at_the_start_is_waited_for(
    mode: Mode,
    connect: Connect,
    local_aws: Control,
    ids_on_s3: IdsOnS3,
    credentials: CredentialSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wait that defers does so after its first good poll only."""
    credentials.serve_a_container(monkeypatch)
    credentials.is_away(count=3)
    conn_id = connect(f"outcomes_{secrets.token_hex(4)}", access_key=None, attempts=1)
    uri = f"s3://{conn_id}@ids/today.parquet"
    local_aws.add_jobs("photos", [job("a", duration_seconds=0)])
    context = new_context()

    ended = wait(mode, context, job_id="a", vault_name="photos", aws_conn_id=connect(attempts=1), outcome_uri=uri)

    assert ended.how == ("to be retried" if mode == "deferrable" else "success")
    assert credentials.requests >= 3


@in_all_modes
def test_a_uri_of_a_folder_is_refused_before_the_wait(
    mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    ended = wait(mode, job_id="a", **{**glacier, "outcome_uri": f"file://{tmp_path}/outcomes/"})

    assert ended == Ended(
        "failed at once",
        f"outcome_uri is 'file://{tmp_path}/outcomes/'; expected the URI of a file, not of a folder",
    )
    assert local_aws.calls().total == 0


def test_a_time_that_cannot_be_represented_is_refused_with_the_longest_one() -> None:
    arguments: dict[str, Any] = {"task_id": "wait", "vault_name": "photos", "job_id": "a"}

    for name in ("timeout", "poke_interval", "missing_grace", "max_wait"):
        for value in (1e15, float("inf"), timedelta(days=999_999)):
            with pytest.raises(ValueError, match=f"{name} is .*; expected .* at most 3650 days"):
                GlacierJobSensor(**{**arguments, name: value})


@pytest.mark.parametrize(("given", "seconds"), [(None, 60.0), (300, 300.0)])
def test_a_job_that_is_not_listed_yet_is_polled_every_minute(
    given: float | None, seconds: float, glacier: Any, local_aws: Control
) -> None:
    """It may be Expedited."""
    local_aws.add_vaults("photos")
    sensor = GlacierJobSensor(task_id="wait", job_id="a", mode="poke", poke_interval=given, **glacier)

    assert not sensor.poke(new_context())

    assert sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) == seconds


@pytest.mark.parametrize(
    ("tiers", "given", "seconds"),
    [
        (["Expedited", "Expedited"], None, 60.0),
        (["Expedited", "Bulk"], None, 600.0),
        (["Expedited", "Expedited"], 300, 300.0),
        ([None, None], None, 600.0),
    ],
)
def test_the_default_interval_depends_on_the_tier(
    tiers: list[str | None], given: float | None, seconds: float, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [{**job(job_id), "Tier": tier} for job_id, tier in zip("ab", tiers, strict=True)])
    sensor = GlacierJobSensor(task_id="wait", job_id=["a", "b"], mode="poke", poke_interval=given, **glacier)

    assert not sensor.poke(new_context())

    assert sensor._get_next_poke_interval(0.0, lambda: 0.0, 1) == seconds
