"""Questions open only the files that they need, and aggregated days give the same answers as raw files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs import reports
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.history import History, fold_closed_days
from tests.examples import examples
from tests.hand_written import job, observe
from tests.observations import local_dataset
from tests.random_observations import DAYS, START, RawObservation, random_observations, write_raw
from tests.recording_disk import RecordingDisk

#: In the future: a question as of a time in the past also opens files to see what was published by then.
NOON = datetime(2126, 11, 10, 12, tzinfo=timezone.utc)
FIRST = NOON.date()
#: There are twelve days of observations. The last two are not aggregated.
AGGREGATED_DAYS, OPEN_DAYS = 10, 2
NOW = NOON + timedelta(days=AGGREGATED_DAYS + OPEN_DAYS - 1, hours=3)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """A dataset with three observations on each day. The older days are aggregated."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        for day in range(AGGREGATED_DAYS + OPEN_DAYS):
            for hour in range(3):
                found = {"photos": [job("stays"), job(f"job-{day}", "Succeeded")], "films": "failed" if hour else []}
                observe(dataset, NOON + timedelta(days=day, hours=hour), found)  # type: ignore[arg-type]  # the values have different types
        last = FIRST + timedelta(days=AGGREGATED_DAYS - 1)
        fold_closed_days(dataset, History.beside(dataset), now=closes_at(last) + SETTLES_AFTER)
        yield folder


@pytest.fixture
def disk() -> RecordingDisk:
    return RecordingDisk()


def ask(disk: RecordingDisk, root: str, question: str, **params: Any) -> dict[str, list[str]]:
    """Run a question, and return the dates of the opened files by table."""
    assert reports.run(question, Dataset(filesystem=disk, root=root), now=NOW, **params).num_rows
    return disk.below(root)


def days(first: int, last: int, times: int = 1) -> list[str]:
    return sorted([str(FIRST + timedelta(days=day)) for day in range(first, last + 1)] * times)


LAST_AGGREGATED = days(AGGREGATED_DAYS - 1, AGGREGATED_DAYS - 1)
#: The raw files of the days that are not aggregated: three on each day.
OPEN = days(AGGREGATED_DAYS, AGGREGATED_DAYS + OPEN_DAYS - 1, times=3)


def test_coverage_opens_one_file_for_each_aggregated_day_and_none_of_its_raw_files(
    disk: RecordingDisk, root: str
) -> None:
    assert ask(disk, root, "coverage", since=FIRST) == {
        "vault_listings": days(0, AGGREGATED_DAYS - 1),
        "open_vault_listings": LAST_AGGREGATED,
        "vaults": OPEN,
        "observations": OPEN,
    }


def test_coverage_of_a_period_opens_its_days_the_day_before_and_the_state_before_that(
    disk: RecordingDisk, root: str
) -> None:
    opened = ask(disk, root, "coverage", since=FIRST + timedelta(days=4), until=FIRST + timedelta(days=6))

    assert opened == {"vault_listings": days(3, 6), "open_vault_listings": days(2, 2)}


def test_unlisted_vaults_are_found_without_opening_raw_files_of_aggregated_days(disk: RecordingDisk, root: str) -> None:
    assert ask(disk, root, "unlisted_vaults") == {
        "vault_listings": days(3, AGGREGATED_DAYS - 1),
        "open_vault_listings": sorted(days(2, 2) + LAST_AGGREGATED),
        "vaults": OPEN,
        "observations": OPEN,
    }


@pytest.mark.parametrize("question", ["job_history", "retrieval_times", "daily_volume", "jobs_over_time"])
def test_history_opens_one_file_for_each_aggregated_day_and_the_raw_files_of_later_days(
    disk: RecordingDisk, tmp_path: Path, question: str
) -> None:
    dataset = local_dataset(tmp_path)
    for day in range(4):
        at = NOON + timedelta(days=day)
        done = job("a", "Succeeded", created=NOON - timedelta(hours=1), completed=NOON)
        observe(dataset, at, {"photos": [done], "films": [job(f"job-{day}", created=at)]})
    fold_closed_days(dataset, History.beside(dataset), now=closes_at(FIRST + timedelta(days=2)) + SETTLES_AFTER)

    opened = ask(disk, dataset.root, question, **({"since": FIRST} if question == "jobs_over_time" else {}))

    raw = days(3, 3)
    assert opened == {
        "job_history": days(0, 2), "open_jobs": days(2, 2), "open_vault_listings": days(2, 2),
        "jobs": raw, "vaults": raw, "observations": raw,
    }  # fmt: skip


def test_several_questions_open_shared_raw_files_only_once(disk: RecordingDisk, root: str) -> None:
    inquiry = reports.Inquiry.into(Dataset(filesystem=disk, root=root), now=NOW)
    for question in ("unlisted_vaults", "coverage", "job_history", "daily_volume", "jobs_over_time"):
        inquiry.ask(question)

    opened = disk.below(root)

    assert {table: opened[table] for table in ("jobs", "vaults", "observations")} == {
        "jobs": OPEN, "vaults": OPEN, "observations": OPEN,
    }  # fmt: skip


def test_the_newest_jobs_are_found_in_the_newest_observations(disk: RecordingDisk, root: str) -> None:
    newest, before = OPEN[-1:], OPEN[-3:]

    # One vault could not be listed in the last two observations, so the one before them is opened too.
    assert ask(disk, root, "latest_jobs") == {
        "open_vault_listings": LAST_AGGREGATED, "vaults": before, "observations": before, "jobs": [*newest, *newest],
    }  # fmt: skip


def test_a_question_about_a_period_lists_no_folders_of_later_days(disk: RecordingDisk, root: str) -> None:
    ask(disk, root, "coverage", since=FIRST, until=FIRST + timedelta(days=2))

    partitions = [Path(path).name for path in disk.listed if "=" in Path(path).name]
    assert {name for name in partitions if name < f"snapshot_date={OPEN[0]}"} == set()


@given(random_observations(), st.integers(0, DAYS * 24))
@examples(8, in_drills=25)
def test_coverage_has_every_observed_hour_of_a_period(seen: list[RawObservation], first_hour: int) -> None:
    since = START + timedelta(hours=first_hour)
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        coverage = reports.run("coverage", dataset, since=since, now=START + timedelta(days=DAYS + 1))

    observed = {
        (row["vault_arn"], row["from_hour"] + timedelta(hours=hour))
        for row in coverage.to_pylist()
        for hour in range(row["hours"])
        if row["observed"]
    }
    assert observed == {(arn, hour) for arn, hour in expected_observed_hours(seen) if hour >= since}


def expected_observed_hours(seen: Sequence[RawObservation]) -> set[tuple[str, datetime]]:
    """Compute the pairs of a vault's ARN and an hour in which a complete listing of the vault began."""
    return {
        (row["vault_arn"], row["listing_began_at"].replace(minute=0, second=0, microsecond=0))
        for observation in seen
        for row in observation.vaults
        if row["outcome"] == "listed"
    }
