from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from glacier_jobs.alerts.rules import MAX_NAMED, REMEMBERED_FOR, Alert, alerts_of, message, not_notified, remembered
from glacier_jobs.dataset.layout import Dataset
from tests.attention import attention_of
from tests.hand_written import aggregate, job, observe
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path)


def found(dataset: Dataset, now: datetime = NOON) -> list[Alert]:
    return alerts_of(attention_of(dataset, now))


def test_outputs_that_expire_soon_and_failed_jobs_cause_alerts_and_other_jobs_do_not(dataset: Dataset) -> None:
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


def test_an_alert_is_not_sent_again_while_its_job_is_still_listed(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})
    first = found(dataset)
    notified = remembered({}, first, NOON)
    observe(dataset, NOON + hours(1), {"photos": [job("a", "Failed", completed=NOON), job("b", "Failed")]})

    assert [alert.job_id for alert in not_notified(found(dataset, NOON + hours(1)), notified)] == ["b"]


def test_jobs_with_the_same_id_in_two_vaults_cause_two_alerts(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})
    notified = remembered({}, found(dataset), NOON)
    observe(dataset, NOON, {"films": [job("a", "Failed", completed=NOON)]}, region="eu-west-1")

    assert len(not_notified(found(dataset), notified)) == 1


def test_alerts_that_are_none_any_more_are_removed_from_the_record() -> None:
    notified = {"old": NOON - REMEMBERED_FOR, "new": NOON - hours(1)}

    assert remembered(notified, [], NOON) == {"new": NOON - hours(1)}


def test_an_alert_is_remembered_while_it_is_one_and_for_some_time_after_that(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("undated", "Failed")]})
    undated = found(dataset)
    other = [Alert(kind="failed", vault_arn="arn", job_id="other", line="other")]
    notified = remembered({}, undated, NOON)

    for day in range(10):
        notified = remembered(notified, undated, NOON + hours(24 * day))
    notified = remembered(notified, other, NOON + hours(24 * 10))

    assert not_notified(undated, notified) == []
    assert not_notified(undated, remembered(notified, other, NOON + hours(24 * 9) + REMEMBERED_FOR)) == undated


def test_a_region_that_is_not_observed_causes_one_alert_an_outage(dataset: Dataset) -> None:
    notified: dict[str, datetime] = {}

    def observed(at: datetime, region: str) -> None:
        observe(dataset, at, {"photos": []}, region=region)

    def new(now: datetime) -> list[str]:
        nonlocal notified
        alerts = found(dataset, now)
        lines = [f"{alert.kind}: {alert.line}" for alert in not_notified(alerts, notified)]
        notified = remembered(notified, alerts, now)
        return lines

    observed(NOON, "eu-west-1")
    for hour in range(12):
        observed(NOON + hours(hour), "us-east-1")

    assert new(NOON + hours(2.9)) == []
    assert new(NOON + hours(3.1)) == [
        "not_observed: account 123456789012, Region eu-west-1: last observed 2026-11-18 12:00 UTC, 3 h 6 min ago"
    ]
    assert new(NOON + hours(5)) == []
    observed(NOON + hours(6), "eu-west-1")
    assert new(NOON + hours(6.5)) == []
    assert new(NOON + hours(10)) == [
        "not_observed: account 123456789012, Region eu-west-1: last observed 2026-11-18 18:00 UTC, 4 h ago"
    ]
    assert new(NOON + hours(15)) == [
        "stopped: all accounts and Regions: last observed 2026-11-18 23:00 UTC, 4 h ago",
        "not_observed: account 123456789012, Region us-east-1: last observed 2026-11-18 23:00 UTC, 4 h ago",
    ]
    aggregate(dataset, NOON + hours(24))
    for day in range(1, 10):
        assert new(NOON + hours(24 * day)) == []


def test_a_message_says_which_regions_are_not_observed_and_whether_snapshots_have_stopped(dataset: Dataset) -> None:
    def sent(now: datetime) -> str:
        return message(found(dataset, now), dataset_uri="s3://records", report="s3://records/reports/x").text

    observe(dataset, NOON, {}, region="eu-west-1")
    observe(dataset, NOON + hours(1), {"photos": [job("failed", "Failed")]})

    partly, stopped = (sent(NOON + hours(after)) for after in (3.5, 8))

    assert partly.startswith(
        "Glacier: 1 Region not observed, 1 job failed\n\n"
        "Not observed; check the runs of the DAG glacier_jobs_snapshot:\n"
        "- account 123456789012, Region eu-west-1: last observed 2026-11-18 12:00 UTC, 3 h 30 min ago\n\nFailed"
    )
    assert stopped.startswith("Glacier: snapshots have stopped, 1 job failed\n")
    assert "\n- all accounts and Regions: last observed 2026-11-18 13:00 UTC, 7 h ago\n" in stopped


def test_a_message_names_the_outputs_that_can_still_be_downloaded_before_those_that_are_overdue(
    dataset: Dataset,
) -> None:
    overdue = [job(f"overdue {number}", "Succeeded", completed=NOON - hours(25)) for number in range(MAX_NAMED + 10)]
    urgent = [job(f"urgent {number}", "Succeeded", completed=NOON - hours(20 + number)) for number in range(3)]
    observe(dataset, NOON, {"photos": [*overdue, job("due now", "Succeeded", completed=NOON - hours(24)), *urgent]})

    lines = message(found(dataset), dataset_uri="s3://records", report="s3://records/reports/x").text.splitlines()

    assert lines[0] == f"Glacier: {MAX_NAMED + 14} outputs about to expire"
    assert [line for line in lines if line.startswith("- ")][:5] == [
        "- 2 h left: vault photos in us-east-1, job urgent 2",
        "- 3 h left: vault photos in us-east-1, job urgent 1",
        "- 4 h left: vault photos in us-east-1, job urgent 0",
        "- overdue: vault photos in us-east-1, job due now",
        "- overdue: vault photos in us-east-1, job overdue 0",
    ]
    assert "- and 14 more, listed in s3://records/reports/x/alerts.parquet" in lines


def test_a_message_names_the_first_jobs_and_counts_the_others_next_to_the_list_of_all() -> None:
    alerts = [Alert(kind="failed", vault_arn="arn", job_id=str(number), line=f"job {number}") for number in range(25)]

    sent = message(alerts, dataset_uri="s3://records", report="s3://records/reports/x")

    assert sent.subject == "Glacier: 25 jobs failed"
    assert sent.text.splitlines()[0] == sent.subject
    assert sent.text.count("- job ") == MAX_NAMED
    assert "- and 5 more, listed in s3://records/reports/x/alerts.parquet\n" in sent.text
    assert "Report: s3://records/reports/x/report.html" in sent.text


@pytest.mark.parametrize("aggregated", [False, True])
def test_an_outage_that_began_with_failed_listings_is_one_alert_for_as_long_as_it_lasts(
    dataset: Dataset, aggregated: bool
) -> None:
    observe(dataset, NOON, {"photos": []})
    observe(dataset, NOON + hours(10), {"photos": "failed"})
    observe(dataset, NOON + hours(190), {"films": []}, region="eu-west-1")
    if aggregated:
        aggregate(dataset, NOON + hours(191))

    def outages(now: datetime) -> list[str]:
        return [alert.key for alert in found(dataset, now) if alert.kind == "not_observed"]

    assert outages(NOON + hours(14)) == outages(NOON + hours(192))
    assert len(outages(NOON + hours(14))) == 1


def test_line_breaks_in_texts_of_a_job_do_not_look_like_lines_of_the_message(dataset: Dataset) -> None:
    text = "x\n\nDataset: s3://another\r\u2028y"
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON, StatusMessage=text, JobDescription=text)]})

    (alert,) = found(dataset)

    assert alert.line == ("vault photos in us-east-1, job a (x Dataset: s3://another y): x Dataset: s3://another y")
