"""Which files a question opens, counted by the file system; and that folded days and raw files tell the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs import reports
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.history import History, fold_closed_days
from tests.examples import examples
from tests.hand_written import job, observe
from tests.observations import local_dataset
from tests.random_observations import DAYS, FIRST_DAY, START, RawObservation, random_observations, write_raw

NOON = datetime(2026, 11, 10, 12, tzinfo=timezone.utc)
FIRST = NOON.date()
#: Twelve days of observations, the last two of which are not folded.
FOLDED_DAYS, OPEN_DAYS = 10, 2
NOW = NOON + timedelta(days=FOLDED_DAYS + OPEN_DAYS - 1, hours=3)


class WatchedDisk(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """This machine's disk as an object store, which remembers what was listed and what was opened."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self._disk = LocalFileSystem()
        self.listed: list[str] = []
        self.opened: list[str] = []

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self.listed.append(path)
        return self._disk.ls(path, detail=detail)

    def info(self, path: str, **kwargs: Any) -> Any:
        return self._disk.info(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> Any:
        self.opened.append(path)
        return self._disk.cat_file(path, start, end)

    def below(self, root: str) -> dict[str, list[str]]:
        """Return table -> the dates whose files were opened, each as often as it was."""
        found: dict[str, list[str]] = {}
        for path in self.opened:
            table, partition, _ = Path(path).relative_to(root).parts
            found.setdefault(table, []).append(partition.partition("=")[2])
        return {table: sorted(dates) for table, dates in found.items()}


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """A dataset of three observations a day, of which the older days are folded."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        for day in range(FOLDED_DAYS + OPEN_DAYS):
            for hour in range(3):
                found = {"photos": [job("stays"), job(f"job-{day}", "Succeeded")], "films": "failed" if hour else []}
                observe(dataset, NOON + timedelta(days=day, hours=hour), found)  # type: ignore[arg-type]  # its values may differ in type
        last = FIRST + timedelta(days=FOLDED_DAYS - 1)
        fold_closed_days(dataset, History.beside(dataset), now=closes_at(last) + SETTLES_AFTER)
        yield folder


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


def ask(disk: WatchedDisk, root: str, question: str, **params: Any) -> dict[str, list[str]]:
    """Ask, and return which files were opened."""
    assert reports.run(question, Dataset(filesystem=disk, root=root), now=NOW, **params).num_rows
    return disk.below(root)


def days(first: int, last: int, times: int = 1) -> list[str]:
    return sorted([str(FIRST + timedelta(days=day)) for day in range(first, last + 1)] * times)


LAST_FOLDED = days(FOLDED_DAYS - 1, FOLDED_DAYS - 1)
#: Three observations on each open day.
OPEN = days(FOLDED_DAYS, FOLDED_DAYS + OPEN_DAYS - 1, times=3)


def test_coverage_opens_one_file_a_folded_day_and_no_raw_one_of_it(disk: WatchedDisk, root: str) -> None:
    assert ask(disk, root, "coverage", since=FIRST) == {
        "vault_looks": days(0, FOLDED_DAYS - 1),
        "open_looks": LAST_FOLDED,
        "open_jobs": LAST_FOLDED,
        "vaults": OPEN,
        "observations": OPEN,
    }


def test_coverage_of_some_days_opens_those_and_what_was_known_before_them(disk: WatchedDisk, root: str) -> None:
    opened = ask(disk, root, "coverage", since=FIRST + timedelta(days=4), until=FIRST + timedelta(days=6))

    assert opened == {"vault_looks": days(4, 6), "open_looks": days(3, 3)}


def test_vaults_that_could_not_be_listed_are_told_without_a_raw_file_of_a_folded_day(
    disk: WatchedDisk, root: str
) -> None:
    assert ask(disk, root, "unlisted_vaults") == {
        "vault_looks": days(4, FOLDED_DAYS - 1),
        "open_looks": sorted(days(3, 3) + LAST_FOLDED),
        "open_jobs": LAST_FOLDED,
        "vaults": OPEN,
        "observations": OPEN,
    }


@pytest.mark.parametrize("question", ["job_history", "retrieval_times", "daily_volume", "jobs_over_time"])
def test_history_opens_one_file_a_folded_day_and_the_raw_ones_after_it(
    disk: WatchedDisk, tmp_path: Path, question: str
) -> None:
    dataset = local_dataset(tmp_path)
    for day in range(4):
        done = job("a", "Succeeded", created=NOON - timedelta(hours=1), completed=NOON)
        observe(dataset, NOON + timedelta(days=day), {"photos": [done], "films": [job(f"job-{day}")]})
    fold_closed_days(dataset, History.beside(dataset), now=closes_at(FIRST + timedelta(days=2)) + SETTLES_AFTER)

    opened = ask(disk, dataset.root, question, **({"since": FIRST} if question == "jobs_over_time" else {}))

    raw = days(3, 3)
    assert opened == {
        "job_history": days(0, 2), "open_jobs": days(2, 2), "open_looks": days(2, 2),
        "jobs": raw, "vaults": raw, "observations": raw,
    }  # fmt: skip


def test_several_questions_open_the_raw_files_that_they_share_once(disk: WatchedDisk, root: str) -> None:
    inquiry = reports.Inquiry.into(Dataset(filesystem=disk, root=root), now=NOW)
    for question in ("unlisted_vaults", "coverage", "job_history", "daily_volume", "jobs_over_time"):
        inquiry.ask(question)

    opened = disk.below(root)

    assert {table: opened[table] for table in ("jobs", "vaults", "observations")} == {
        "jobs": OPEN, "vaults": OPEN, "observations": OPEN,
    }  # fmt: skip


def test_the_newest_jobs_are_found_in_the_newest_observations(disk: WatchedDisk, root: str) -> None:
    newest, before = OPEN[-1:], OPEN[-3:]

    # The vault that could not be listed leads back to the observation before the last two.
    assert ask(disk, root, "latest_jobs") == {
        "open_looks": LAST_FOLDED, "vaults": before, "observations": before, "jobs": [*newest, *newest],
    }  # fmt: skip


def test_a_question_about_a_day_lists_no_folder_of_another(disk: WatchedDisk, root: str) -> None:
    ask(disk, root, "coverage", since=FIRST, until=FIRST + timedelta(days=2))

    partitions = [Path(path).name for path in disk.listed if "=" in Path(path).name]
    assert {name for name in partitions if name < f"snapshot_date={OPEN[0]}"} == set()


@given(random_observations(), st.integers(0, DAYS - 1))
@examples(8, in_drills=25)
def test_folded_days_tell_every_hour_that_was_observed_and_every_vault_that_is_unlisted(
    seen: list[RawObservation], folded_days: int
) -> None:
    period: dict[str, Any] = {"since": START, "now": START + timedelta(days=DAYS + 1)}
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        raw = {question: reports.run(question, dataset, **period) for question in ("coverage", "unlisted_vaults")}
        fold(dataset, folded_days)

        assert {question: reports.run(question, dataset, **period) for question in raw} == raw
    observed = {
        (row["vault_arn"], row["from_hour"] + timedelta(hours=hour))
        for row in raw["coverage"].to_pylist()
        for hour in range(row["hours"])
        if row["observed"]
    }
    assert observed == plain_observed_hours(seen)


@given(
    random_observations(overlapping=False), st.integers(0, DAYS - 1), st.integers(0, DAYS * 24 - 1), st.integers(1, 72)
)
@examples(8, in_drills=25)
def test_of_any_period_folded_days_tell_the_same_as_raw_files(
    seen: list[RawObservation], folded_days: int, first_hour: int, hours: int
) -> None:
    since = START + timedelta(hours=first_hour)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("coverage", {"since": since, "until": since + timedelta(hours=hours)}),
        ("unlisted_vaults", {"since": since, "now": since + timedelta(hours=hours)}),
    ]
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        raw = [reports.run(question, dataset, **params) for question, params in asked]
        fold(dataset, folded_days)

        assert [reports.run(question, dataset, **params) for question, params in asked] == raw


def fold(dataset: Dataset, days: int) -> None:
    fold_closed_days(dataset, History.beside(dataset), now=closes_at(FIRST_DAY + timedelta(days=days)) + SETTLES_AFTER)


def plain_observed_hours(seen: Sequence[RawObservation]) -> set[tuple[str, datetime]]:
    """Compute each vault's ARN with each hour in which a complete listing of it began."""
    return {
        (row["vault_arn"], row["listing_began_at"].replace(minute=0, second=0, microsecond=0))
        for observation in seen
        for row in observation.vaults
        if row["outcome"] == "listed"
    }
