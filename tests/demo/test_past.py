from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta, timezone

import pytest

from demo.past import DAYS, FORBIDDEN, HOSTILE, OUTAGE, REGIONS, add_past
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports import Inquiry
from tests.observations import local_dataset

#: A Sunday morning and a Wednesday evening, with little and with much activity.
TIMES = [
    datetime(2026, 11, 22, 7, 30, tzinfo=timezone.utc),
    datetime(2026, 11, 25, 21, 10, tzinfo=timezone.utc),
]
DAY = timedelta(days=1)

#: The vaults in which jobs are initiated every day.
ACTIVE_VAULTS = {
    "photo-library",
    "film-masters",
    FORBIDDEN,
    "database-backups",
    "lab.results_sequencer-b_raw-reads_2015-to-2019",
}


@pytest.fixture(scope="module", params=TIMES, ids=["sunday", "wednesday"])
def inquiry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inquiry:
    """Questions about the generated history, at its end."""
    folder = tmp_path_factory.mktemp("past")
    add_past(folder, now=request.param)
    dataset: Dataset = local_dataset(folder)
    return Inquiry.into(dataset, now=request.param)


@pytest.mark.parametrize(
    "question",
    ["expiring_outputs", "failures", "slower_than_typical", "unlisted_vaults", "retrieval_times", "daily_volume"],
)
def test_every_question_has_an_answer(inquiry: Inquiry, question: str) -> None:
    assert inquiry.ask(question).num_rows > 0


def test_each_vault_has_one_gap_longer_than_the_retention(inquiry: Inquiry) -> None:
    coverage = inquiry.ask("coverage")
    beyond = coverage.filter(coverage["beyond_retention"])

    assert set(Counter(beyond["vault_name"].to_pylist()).values()) == {1}
    assert set(beyond["region"].to_pylist()) == set(REGIONS)


def test_one_vault_can_no_longer_be_listed(inquiry: Inquiry) -> None:
    assert inquiry.ask("unlisted_vaults")["vault_name"].to_pylist() == [FORBIDDEN]


def test_there_are_jobs_of_every_status_action_and_tier(inquiry: Inquiry) -> None:
    counts = inquiry.ask("job_counts")

    assert set(counts["status_code"].to_pylist()) == {"InProgress", "Succeeded", "Failed"}
    assert set(counts["action"].to_pylist()) == {"ArchiveRetrieval", "InventoryRetrieval"}
    assert set(counts["tier"].to_pylist()) == {"Expedited", "Standard", "Bulk", None}


def test_few_hostile_descriptions_are_in_one_vault(inquiry: Inquiry) -> None:
    jobs = inquiry.ask("found_jobs").to_pylist()
    hostile = [job["job_description"] for job in jobs if job["vault_name"] == HOSTILE]
    believable = [job["job_description"] for job in jobs if job["vault_name"] != HOSTILE]

    assert any("<script>" in text for text in hostile)
    assert any("DROP TABLE" in text for text in hostile)
    assert len(hostile) < len(jobs) / 10
    assert None in believable
    for text in believable:
        assert text is None or re.fullmatch(r"[A-Z][A-Za-z0-9 :,._/-]{5,79}", text)


@pytest.mark.parametrize("question", ["expiring_outputs", "failures", "slower_than_typical", "found_jobs"])
def test_the_first_rows_of_the_page_are_not_hostile(inquiry: Inquiry, question: str) -> None:
    assert HOSTILE not in inquiry.ask(question)["vault_name"].to_pylist()[:4]


def test_few_jobs_fail_and_most_have_succeeded(inquiry: Inquiry) -> None:
    statuses = Counter(inquiry.ask("found_jobs")["status_code"].to_pylist())

    assert 0.02 < statuses["Failed"] / statuses.total() < 0.08
    assert statuses["Succeeded"] / statuses.total() > 0.5


def test_some_outputs_expire_within_six_hours_and_others_later(inquiry: Inquiry) -> None:
    urgent = inquiry.ask("expiring_outputs", within_hours=6).num_rows

    assert 0 < urgent < inquiry.ask("expiring_outputs").num_rows / 2


def test_some_jobs_of_both_slow_tiers_are_slower_than_typical(inquiry: Inquiry) -> None:
    slow = inquiry.ask("slower_than_typical")

    assert set(slow["tier"].to_pylist()) == {"Standard", "Bulk"}
    assert slow.num_rows < 10


def test_each_active_vault_has_an_inventory_every_night(inquiry: Inquiry) -> None:
    descriptions = defaultdict(set)
    for job in inquiry.ask("job_history").to_pylist():
        if job["action"] == "InventoryRetrieval":
            descriptions[job["vault_name"]].add(job["job_description"])

    nights = {f"Nightly inventory {day}" for day in whole_days(inquiry)}
    for name in ACTIVE_VAULTS:
        assert descriptions[name] >= nights


def test_working_days_are_busier_than_weekends(inquiry: Inquiry) -> None:
    jobs = daily(inquiry, "photo-library", "succeeded_jobs")
    weekend = [count for day, count in jobs.items() if day.weekday() >= 5]
    working = [count for day, count in jobs.items() if day.weekday() < 5]

    assert max(weekend) * 1.5 < min(working)


def test_the_campaign_grows_from_day_to_day(inquiry: Inquiry) -> None:
    jobs = list(daily(inquiry, "film-masters", "succeeded_jobs").values())

    assert jobs == sorted(jobs)
    assert jobs[-1] > 1.5 * jobs[0]


def test_the_daily_volumes_of_vaults_are_of_similar_size(inquiry: Inquiry) -> None:
    volumes = [daily(inquiry, name, "bytes") for name in ACTIVE_VAULTS]

    for day in whole_days(inquiry):
        of_day = [volume[day] for volume in volumes]
        assert max(of_day) < 10 * min(of_day)


def whole_days(inquiry: Inquiry) -> list[date]:
    """Return the days of which the snapshots contain all completed jobs."""
    now = inquiry.tables.now
    # Jobs completed during the outage expired before its end, so no snapshot contains them.
    lost = {(now - OUTAGE[0]).date(), (now - OUTAGE[1] - DAY).date()}
    days = [(now - DAY * number).date() for number in range(DAYS - 1, 0, -1)]
    return [day for day in days if day not in lost]


def daily(inquiry: Inquiry, vault_name: str, column: str) -> dict[date, int]:
    """Return a column of the daily volume of a vault, by complete day."""
    sums: Counter[date] = Counter()
    for row in inquiry.ask("daily_volume").to_pylist():
        if row["vault_name"] == vault_name:
            sums[row["day"]] += row[column]
    return {day: sums[day] for day in whole_days(inquiry)}
