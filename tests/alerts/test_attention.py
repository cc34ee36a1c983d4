from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.alerts.rules import alerts_of
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.html_report.build import make_report
from glacier_jobs.html_report.store import ReportFiles
from glacier_jobs.page import overview
from glacier_jobs.page.cache import CachedAnswers
from glacier_jobs.reports import Inquiry
from tests.attention import attention_of
from tests.hand_written import aggregate, job, observe
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)


def before(hours: float) -> datetime:
    return NOON - timedelta(hours=hours)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path)


def test_nothing_needs_attention_in_a_dataset_without_problems(dataset: Dataset) -> None:
    jobs = [job("running", created=before(1), Tier="Standard"), job("done", "Succeeded", completed=before(2))]
    observe(dataset, before(0.5), {"photos": jobs, "empty": []})

    attention = attention_of(dataset, NOON)

    assert attention.nothing
    assert set(attention.counts.values()) == {0}
    assert attention.outputs["job_id"].to_pylist() == ["done"]


def test_an_output_needs_attention_six_hours_before_it_expires_or_if_that_time_is_unknown(dataset: Dataset) -> None:
    jobs = [
        job("just in time", "Succeeded", completed=before(17.9)),
        job("urgent", "Succeeded", completed=before(18.1)),
        job("unknown", "Succeeded"),
    ]
    observe(dataset, NOON, {"photos": jobs})

    attention = attention_of(dataset, NOON)

    assert attention.expiring["job_id"].to_pylist() == ["urgent", "unknown"]
    assert attention.expiring_at_unknown_time == 1


def test_outputs_that_can_still_be_downloaded_come_before_those_that_are_overdue(dataset: Dataset) -> None:
    finished = {"long overdue": 30, "overdue": 24, "urgent": 20, "more urgent": 23, "later": 2}
    jobs = [job(name, "Succeeded", completed=before(hours)) for name, hours in finished.items()]
    observe(dataset, NOON, {"photos": [*jobs, job("unknown", "Succeeded")]})

    attention = attention_of(dataset, NOON)

    expected = ["more urgent", "urgent", "later", "unknown", "overdue", "long overdue"]
    assert attention.outputs["job_id"].to_pylist() == expected
    assert attention.expiring["job_id"].to_pylist() == [name for name in expected if name != "later"]


def test_a_failed_job_needs_attention_for_a_day(dataset: Dataset) -> None:
    jobs = [
        job("new", "Failed", completed=before(23.9)),
        job("old", "Failed", completed=before(24.1)),
        job("undated", "Failed"),
    ]
    observe(dataset, NOON, {"photos": jobs})

    assert attention_of(dataset, NOON).failed["job_id"].to_pylist() == ["new", "undated"]


def test_a_failed_job_needs_no_attention_once_its_vault_is_gone(dataset: Dataset) -> None:
    observe(dataset, before(2), {"photos": [job("failed", "Failed", completed=before(3))]})
    assert attention_of(dataset, NOON).counts["failed"] == 1
    observe(dataset, before(1), {"photos": "gone"})

    assert attention_of(dataset, NOON).counts["failed"] == 0


def test_a_region_that_is_not_observed_needs_attention_even_if_another_is_observed(dataset: Dataset) -> None:
    observe(dataset, before(23), {"scans": [], "maps": []}, region="eu-west-1")
    observe(dataset, before(0.5), {"photos": []})

    attention = attention_of(dataset, NOON)

    [target] = attention.not_observed
    assert (target.region, target.age_hours) == ("eu-west-1", 23)
    assert not attention.nobody_observes
    assert attention.counts["stale"] == 0


def test_a_region_without_vaults_that_is_not_observed_needs_attention_too(dataset: Dataset) -> None:
    observe(dataset, before(5), {}, region="eu-west-1")
    observe(dataset, before(0.5), {"photos": []})

    assert [target.region for target in attention_of(dataset, NOON).not_observed] == ["eu-west-1"]


def test_targets_whose_observations_are_aggregated_need_attention_as_before(dataset: Dataset) -> None:
    observe(dataset, before(50), {}, region="eu-west-1")
    observe(dataset, before(0.5), {"photos": []})
    aggregate(dataset, NOON)

    assert [target.region for target in attention_of(dataset, NOON).not_observed] == ["eu-west-1"]


@pytest.mark.parametrize("aggregated", [False, True])
def test_targets_without_vaults_are_forgotten_after_a_week_if_others_are_observed(
    dataset: Dataset, aggregated: bool
) -> None:
    observe(dataset, before(8 * 24), {}, region="eu-west-1")
    observe(dataset, before(0.5), {"photos": []})
    if aggregated:
        aggregate(dataset, NOON)

    assert attention_of(dataset, NOON).nothing


@pytest.mark.parametrize("age", [50, 60 * 24])
def test_snapshots_that_stopped_need_attention_even_if_there_are_no_vaults(dataset: Dataset, age: float) -> None:
    observe(dataset, before(age), {})
    aggregate(dataset, NOON)

    attention = attention_of(dataset, NOON)

    assert not attention.nothing
    assert attention.nobody_observes


def test_if_no_region_is_observed_all_observation_has_stopped(dataset: Dataset) -> None:
    observe(dataset, before(10), {"scans": []}, region="eu-west-1")
    observe(dataset, before(9), {"photos": []})

    attention = attention_of(dataset, NOON)

    assert attention.nobody_observes
    assert [target.region for target in attention.not_observed] == ["eu-west-1", "us-east-1"]


@pytest.mark.parametrize(("age", "stale"), [(2.5, []), (3.5, ["films"])])
def test_a_vault_that_was_listed_too_long_ago_is_stale(dataset: Dataset, age: float, stale: list[str]) -> None:
    observe(dataset, before(age), {"films": [], "photos": []})
    observe(dataset, before(0.5), {"photos": []}, scope="named")

    assert attention_of(dataset, NOON).stale["vault_name"].to_pylist() == stale


def test_a_vault_whose_listing_fails_is_not_also_stale(dataset: Dataset) -> None:
    observe(dataset, before(9), {"films": [], "photos": []})
    observe(dataset, before(0.5), {"films": "failed", "photos": []})

    attention = attention_of(dataset, NOON)

    assert attention.unlisted["vault_name"].to_pylist() == ["films"]
    assert attention.counts["stale"] == 0


def test_an_outage_in_two_regions_is_one_gap_and_an_old_outage_is_ignored(dataset: Dataset) -> None:
    for hours in (10 * 24, 9 * 24 - 6, 40, 0.5):
        observe(dataset, before(hours), {"photos": []})
        observe(dataset, before(hours), {"scans": []}, region="eu-west-1")
    hourly = range(9 * 24 - 6, 40, -1)
    for hours in hourly:
        observe(dataset, before(hours), {"photos": []}, scope="named")
        observe(dataset, before(hours), {"scans": []}, region="eu-west-1", scope="named")

    [gap] = attention_of(dataset, NOON).gaps

    assert (round(gap.gap_hours), [vault["vault_name"] for vault in gap.vaults]) == (40, ["scans", "photos"])


def one_problem_of_each_kind(dataset: Dataset) -> None:
    for region in ("us-east-1", "eu-west-1"):
        observe(dataset, before(60), {"scans": [], "maps": []}, region=region)
    jobs = [
        job("urgent", "Succeeded", completed=before(20)),
        job("later", "Succeeded", completed=before(5)),
        job("failed", "Failed", completed=before(3)),
        job("failed long ago", "Failed", completed=before(30)),
        job("slow", created=before(9), Tier="Standard"),
    ]
    observe(dataset, before(23), {"scans": [], "maps": []}, region="eu-west-1")
    observe(dataset, before(23), {"scans": [], "maps": [], "films": []})
    observe(dataset, before(4), {"maps": []}, scope="named")
    observe(dataset, before(0.5), {"scans": jobs, "films": "failed"}, scope="named")


def no_problem(dataset: Dataset) -> None:
    observe(dataset, before(0.5), {"scans": [job("later", "Succeeded", completed=before(5))]})


def no_vaults_and_nothing_observed(dataset: Dataset) -> None:
    observe(dataset, before(50), {})
    aggregate(dataset, NOON)


def output_that_expires_at_an_unknown_time(dataset: Dataset) -> None:
    observe(
        dataset, before(0.5), {"scans": [job("unknown", "Succeeded"), job("soon", "Succeeded", completed=before(20))]}
    )


def no_region_is_observed(dataset: Dataset) -> None:
    observe(dataset, before(10), {"scans": [job("failed", "Failed", completed=before(11))]})


@pytest.mark.parametrize(
    "situation",
    [
        one_problem_of_each_kind,
        no_problem,
        no_region_is_observed,
        no_vaults_and_nothing_observed,
        output_that_expires_at_an_unknown_time,
    ],
)
def test_page_report_and_alerts_agree(dataset: Dataset, situation: Callable[[Dataset], None]) -> None:
    situation(dataset)
    counts = attention_of(dataset, NOON).counts
    if situation is one_problem_of_each_kind:
        assert counts == dict.fromkeys(counts, 1)

    page = counts_of_page(dataset)
    report = counts_of_report(dataset)

    assert {kind: page[kind] for kind in counts} == counts
    assert report["unlisted"] == counts["unlisted"] + counts["stale"]
    assert {kind: report[kind] for kind in counts.keys() - {"unlisted", "stale"}} == {
        kind: counts[kind] for kind in counts.keys() - {"unlisted", "stale"}
    }
    assert (
        page["expiring_at_unknown_time"]
        is report["expiring_at_unknown_time"]
        is (situation is output_that_expires_at_an_unknown_time)
    )
    assert page["nothing"] is report["nothing"] is (not any(counts.values()))
    assert (
        page["nobody_observes"]
        is report["nobody_observes"]
        is (situation in (no_region_is_observed, no_vaults_and_nothing_observed))
    )
    alerts = alerts_of(attention_of(dataset, NOON))
    kinds = ("expiring", "failed", "not_observed")
    assert {kind: sum(alert.kind == kind for alert in alerts) for kind in kinds} == {
        kind: counts[kind] for kind in kinds
    }
    assert any(alert.kind == "stopped" for alert in alerts) is page["nobody_observes"]
    assert ReportFiles(dataset).alerts(latest_report(dataset)) == alerts


def counts_of_page(dataset: Dataset) -> dict[str, Any]:
    answers = CachedAnswers(Inquiry.into(dataset, now=NOON), version="1")
    found = {**overview.overview(answers), **overview.watch(answers)}
    kinds = ("failed", "slow", "unlisted", "stale", "not_observed", "gaps")
    return {
        **found,
        "expiring": found["expiring"]["urgent"],
        "expiring_at_unknown_time": found["expiring"]["at_unknown_time"] > 0,
        **{kind: found[kind]["total"] for kind in kinds},
    }


def counts_of_report(dataset: Dataset) -> dict[str, Any]:
    make_report(dataset, "s3://records", now=NOON)
    page = Path(dataset.root, "reports", "latest.html").read_text()
    tiles = re.findall(r'<a href="#([a-z-]+)"><strong>(\d+)</strong>', page)
    kinds = ("expiring", "failed", "slow", "unlisted", "not_observed", "gaps")
    return {
        **dict.fromkeys(kinds, 0),
        **{anchor.replace("-", "_"): int(number) for anchor, number in tiles},
        "expiring_at_unknown_time": "to download in 6\N{NO-BREAK SPACE}h or at an unknown time</a>" in page,
        "nothing": "Nothing needs attention." in page,
        "nobody_observes": "Snapshots have stopped" in page,
    }


def latest_report(dataset: Dataset) -> str:
    latest = ReportFiles(dataset).latest()
    assert latest is not None
    name: str = latest["report"]
    return name
