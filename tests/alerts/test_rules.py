from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from glacier_jobs import reports
from glacier_jobs.alerts.rules import MAX_NAMED, REMEMBERED, Alert, alerts_of, message, remembered, untold
from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import job, observe
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path)


def found(dataset: Dataset) -> list[Alert]:
    return alerts_of(reports.run("expiring_outputs", dataset, now=NOON), reports.run("failures", dataset, now=NOON))


def test_what_expires_soon_and_what_failed_is_told_and_nothing_else(dataset: Dataset) -> None:
    jobs = [
        job("soon", "Succeeded", completed=NOON - hours(19), JobDescription="the audit"),
        job("later", "Succeeded", completed=NOON - hours(2)),
        job("running"),
        job("failed", "Failed", completed=NOON - hours(1), StatusMessage="Not found"),
        job("failed long ago", "Failed", completed=NOON - hours(30)),
    ]
    observe(dataset, NOON, {"photos": jobs})

    assert [(alert.kind, alert.line) for alert in found(dataset)] == [
        ("expiring", "5 h left: vault photos in us-east-1, job soon (the audit)"),
        ("failed", "vault photos in us-east-1, job failed: Not found"),
    ]


def test_the_same_is_not_told_again_though_it_is_still_there(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})
    first = found(dataset)
    told = remembered({}, first, NOON)
    observe(dataset, NOON + hours(1), {"photos": [job("a", "Failed", completed=NOON), job("b", "Failed")]})

    assert [alert.job_id for alert in untold(found(dataset), told)] == ["b"]


def test_the_same_id_in_another_vault_is_another_job(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})
    told = remembered({}, found(dataset), NOON)
    observe(dataset, NOON, {"films": [job("a", "Failed", completed=NOON)]}, region="eu-west-1")

    assert len(untold(found(dataset), told)) == 1


def test_what_was_told_long_ago_is_forgotten() -> None:
    told = {"old": NOON - REMEMBERED, "new": NOON - hours(1)}

    assert remembered(told, [], NOON) == {"new": NOON - hours(1)}


def test_a_message_names_the_first_jobs_and_counts_the_others() -> None:
    alerts = [Alert(kind="failed", vault_arn="arn", job_id=str(number), line=f"job {number}") for number in range(25)]

    told = message(alerts, dataset_uri="s3://records", report="s3://records/reports/x/report.html")

    assert told.subject == "Glacier: 25 jobs failed"
    assert told.text.splitlines()[0] == told.subject
    assert told.text.count("- job ") == MAX_NAMED
    assert "- and 5 more" in told.text
    assert "Report: s3://records/reports/x/report.html" in told.text
