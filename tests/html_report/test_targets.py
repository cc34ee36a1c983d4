from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.alerts.attention import Attention
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.html_report.build import make_report
from glacier_jobs.html_report.targets import by_target
from glacier_jobs.reports.questions import Inquiry
from tests.hand_written import job, observe
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
ATTENTION = ("expiring", "failed_lately", "slow", "not_listed", "gaps")


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Regions with each kind of content that needs attention, and some without."""
    dataset = local_dataset(tmp_path)
    urgent = [job(f"urgent-{age}", "Succeeded", completed=NOON - hours(age)) for age in (19, 20, 21)]
    jobs = [
        *urgent,
        job("saveable", "Succeeded", completed=NOON - hours(1)),
        job("failed", "Failed", completed=NOON - hours(1)),
        job("failed before", "Failed", completed=NOON - hours(40)),
        job("slow", created=NOON - hours(20), Tier="Bulk"),
        job("running", created=NOON - hours(1), Tier="Bulk"),
    ]
    observe(dataset, NOON - hours(30), {"photos": [], "films": []}, region="us-east-1")
    observe(dataset, NOON, {"photos": jobs, "films": "failed"}, region="us-east-1")
    observe(dataset, NOON, {"photos": [job("running", created=NOON)]}, region="eu-west-1")
    observe(dataset, NOON, {}, region="ap-south-1")
    observe(dataset, NOON - hours(5), {"maps": []}, region="sa-east-1")
    return dataset


def rows_of(dataset: Dataset) -> dict[str, dict[str, Any]]:
    inquiry = Inquiry.into(dataset, now=NOON)
    attention = Attention(inquiry.ask, NOON, inquiry.tables.newest_by_target)
    return {row["region"]: row for row in by_target(inquiry.ask("latest_targets"), attention)}


def test_each_account_and_region_has_a_row_first_those_that_need_attention(dataset: Dataset) -> None:
    rows = rows_of(dataset)

    assert {region: row["needs_attention"] for region, row in rows.items()} == {
        "sa-east-1": True, "us-east-1": True, "ap-south-1": False, "eu-west-1": False,
    }  # fmt: skip
    assert list(rows) == ["sa-east-1", "us-east-1", "ap-south-1", "eu-west-1"]


def test_what_needs_attention_is_counted(dataset: Dataset) -> None:
    rows = rows_of(dataset)

    def counts(region: str, *names: str) -> list[int]:
        return [rows[region][name] for name in names]

    assert counts("us-east-1", *ATTENTION) == [3, 1, 1, 1, 1]
    assert counts("us-east-1", "vaults", "in_progress", "succeeded", "failed", "age_hours") == [2, 2, 4, 2, 30]
    assert counts("eu-west-1", *ATTENTION) == [0, 0, 0, 0, 0]
    assert counts("eu-west-1", "vaults", "in_progress", "succeeded", "failed", "age_hours") == [1, 1, 0, 0, 0]


def test_a_region_without_vaults_and_one_that_is_not_observed_are_included(dataset: Dataset) -> None:
    rows = rows_of(dataset)

    empty, old = rows["ap-south-1"], rows["sa-east-1"]
    assert (empty["vaults"], empty["in_progress"], empty["as_of"], empty["newest_at"]) == (0, 0, None, NOON)
    assert (old["not_observed"], old["newest_at"], old["not_listed"]) == (True, NOON - hours(5), 0)


def test_the_page_shows_the_table_before_all_lists(dataset: Dataset) -> None:
    make_report(dataset, "s3://records", now=NOON)

    page = Path(dataset.root, "reports", "latest.html").read_text()
    assert page.index('<section id="targets"') < page.index('<section id="expiring"')
    table = page[page.index('<section id="targets"') :].partition("</section>")[0]
    assert "not observed since 2026-11-18 07:00" in table
    assert '<td data-label="expiring" class="number"><span class="badge bad">3</span></td>' in table


REGIONS = [f"{area}-{number}" for area in ("af-south", "ap-east", "eu-west", "us-east") for number in (1, 2, 3)]
VAULTS = 200


def test_the_report_on_200_vaults_in_12_regions_over_90_days_is_bounded(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    for region in REGIONS:
        for days in (90, 60, 30, 6, 2, 0):
            at = NOON - timedelta(days=days)
            observe(dataset, at, {f"vault-{number:03}": _jobs(number, at) for number in range(VAULTS)}, region=region)

    make_report(dataset, "s3://records", now=NOON)

    page = Path(dataset.root, "reports", "latest.html").read_text()
    assert len(page.encode()) < 1_500_000
    table = page[page.index('<section id="targets"') :].partition("</section>")[0]
    for region in REGIONS:
        assert f"{region}</td>" in table
    assert "<details>" not in table
    assert table.count('data-label="vaults" class="number">200</td>') == 12
    # 2,400 outputs, failed jobs, slow jobs and vaults; all outputs but those of the newest observation have expired.
    for more, name in (
        (2_200, "expiring_outputs"),
        (2_200, "latest_jobs"),
        (2_200, "slower_than_typical"),
        (2_200, "latest_vaults"),
        (11_800, "expired_outputs"),
    ):
        assert f"and {more:,} more, in <code>{name}.parquet</code>" in page
    assert "and those of 2 more Regions" in page


def _jobs(number: int, at: datetime) -> list[dict[str, Any]]:
    """Return the jobs that an observation lists of a vault: one of each kind that the report lists."""
    described = f"vault {number}, wave {at:%j}: " + "a description of the usual length, as jobs of migrations have " * 3
    ended = at - hours(20)
    return [
        job(
            f"{at:%j}-done-{'x' * 80}", "Succeeded", created=ended - hours(5), completed=ended, JobDescription=described
        ),
        job(
            f"{at:%j}-failed-{'x' * 80}", "Failed", created=ended - hours(5), completed=ended, JobDescription=described
        ),
        job(f"{at:%j}-slow-{'x' * 80}", created=at - hours(20), JobDescription=described, Tier="Bulk"),
    ]
