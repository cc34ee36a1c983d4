"""Partial aggregates: each observation is read once, and the answers stay the same."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from fsspec.implementations.local import LocalFileSystem

from benchmarks.history_maker import make_dataset
from glacier_jobs import reports
from glacier_jobs.dataset import publisher as publishing
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import TookTooLong
from glacier_jobs.history import History, aggregate_open_days, fold_closed_days
from glacier_jobs.history.__main__ import main
from glacier_jobs.history.files import KEPT_FOR
from glacier_jobs.history.partials import Partial, disjoint
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import Connect
from tests.hand_written import job, observe
from tests.observations import local_dataset
from tests.partials import make_partial
from tests.recording_disk import RecordingDisk

#: In the future: a question as of a time in the past also opens files to see what was published by then.
MIDNIGHT = datetime(2126, 11, 18, tzinfo=timezone.utc)
DAY = MIDNIGHT.date()
RAW = ("jobs", "vaults", "observations")


def at(hour: float) -> datetime:
    return MIDNIGHT + timedelta(hours=hour)


def partial(name: str, *observation_ids: str) -> Partial:
    return Partial(name=name, day=DAY, observation_ids=frozenset(observation_ids), jobs=1)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A dataset with three hourly observations of a day."""
    dataset = local_dataset(tmp_path / "records")
    for hour in range(3):
        observe_hour(dataset, hour)
    return dataset


def observe_hour(dataset: Dataset, hour: float) -> None:
    ended = "Succeeded" if hour > 1 else "InProgress"
    observe(dataset, at(hour), {"photos": [job("a", ended), job(f"b{hour}")], "films": [] if hour else "failed"})


def aggregated(dataset: Dataset, hour: float) -> list[Partial]:
    return aggregate_open_days(dataset, History.beside(dataset), now=at(hour))


def partials(dataset: Dataset) -> list[Partial]:
    return History.beside(dataset).partials.find(since=None)


def files(dataset: Dataset) -> set[str]:
    """Return the paths of the files of partial aggregates, below their folder."""
    folder = Path(dataset.root, "history", "v2", "partials")
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}


def answers(dataset: Dataset, hour: float) -> dict[str, list[dict[str, Any]]]:
    return {name: reports.run(name, dataset, now=at(hour)).to_pylist() for name in reports.QUESTIONS}


def test_a_partial_aggregate_has_four_files_and_the_exact_set_of_observations(dataset: Dataset) -> None:
    [made] = aggregated(dataset, 3)

    assert made.observation_ids == set(dataset.observation_ids())
    assert (made.day, made.jobs, made.made_at) == (DAY, 4, at(3))
    assert partials(dataset) == [made]
    assert files(dataset) == {
        f"{table}/snapshot_date=2126-11-18/{made.name}.parquet" for table in ("job_summaries", "newest_jobs", *RAW[1:])
    }


def test_only_new_observations_are_read(dataset: Dataset) -> None:
    aggregated(dataset, 3)
    observe_hour(dataset, 3)
    disk = RecordingDisk()

    [made] = aggregate_open_days(Dataset(filesystem=disk, root=dataset.root), History.beside(dataset), now=at(4))

    assert made.observation_ids == set(dataset.observation_ids())
    [newest] = dataset.observation_ids()[-1:]
    # Its jobs twice: a summary of each, and all columns of those that a newest listing shows.
    assert sorted(disk.opened) == sorted(dataset.path(table, newest) for table in ("jobs", *RAW))


@pytest.mark.parametrize("question", [*reports.QUESTIONS, "found_jobs", "job_counts"])
def test_a_question_opens_raw_files_of_new_observations_only(dataset: Dataset, question: str) -> None:
    expected = reports.run(question, dataset, now=at(4)).to_pylist()
    aggregated(dataset, 3)
    disk = RecordingDisk()

    answer = reports.run(question, Dataset(filesystem=disk, root=dataset.root), now=at(4))

    assert answer.to_pylist() == expected
    opened = [Path(path).relative_to(dataset.root).parts for path in disk.opened]
    assert {parts[0] for parts in opened} == {"history"}


def test_it_has_the_jobs_of_each_vaults_newest_complete_listing_and_no_others(dataset: Dataset) -> None:
    observe(dataset, at(3), {"photos": "failed", "films": [job("c")], "music": []})
    expected = reports.run("latest_jobs", dataset, now=at(4))

    [made] = aggregated(dataset, 4)

    rows = History.beside(dataset).partials.read("newest_jobs", made, columns=["job_id"])
    assert rows is not None
    assert sorted(rows["job_id"].to_pylist()) == ["a", "b2", "c"]
    assert reports.run("latest_jobs", dataset, now=at(4)).equals(expected)
    assert expected.num_rows == 3


def test_the_files_that_the_newest_jobs_take_do_not_grow_with_targets_and_hours(tmp_path: Path) -> None:
    make_dataset(tmp_path, until=at(5), hours=6, targets=20, jobs_an_hour=1)
    dataset = local_dataset(tmp_path)
    expected = reports.run("latest_jobs", dataset, now=at(6))
    aggregated(dataset, 6)
    disk = RecordingDisk()

    assert reports.run("latest_jobs", Dataset(filesystem=disk, root=dataset.root), now=at(6)).equals(expected)
    assert len(dataset.observation_ids()) == 120
    assert len(disk.opened) == 4


def test_nothing_is_made_without_new_observations_nor_within_fifteen_minutes(dataset: Dataset) -> None:
    assert aggregated(dataset, 3)
    observe_hour(dataset, 3)
    assert not aggregated(dataset, 3.24)

    assert aggregated(dataset, 3.25)
    assert not aggregated(dataset, 4)


def test_each_day_has_partial_aggregates_of_its_own(dataset: Dataset) -> None:
    observe_hour(dataset, 25)

    assert [(made.day, len(made.observation_ids)) for made in aggregated(dataset, 26)] == [
        (DAY, 3),
        (DAY + timedelta(days=1), 1),
    ]


def test_an_aggregated_day_is_made_from_them_and_is_the_same_as_from_raw_files(
    dataset: Dataset, tmp_path: Path
) -> None:
    other = History(filesystem=dataset.filesystem, root=str(tmp_path / "other"))
    aggregated(dataset, 2.5)
    observe_hour(dataset, 3)
    observe_hour(dataset, 25)
    fold_closed_days(dataset, other, now=at(32))
    disk = RecordingDisk()

    fold_closed_days(Dataset(filesystem=disk, root=dataset.root), History.beside(dataset), now=at(32))

    newest = dataset.observation_ids()[-2]
    assert set(disk.opened) == {dataset.path(table, newest) for table in RAW}
    assert History.beside(dataset).folded_days() == other.folded_days() == [DAY]
    for table in ("job_history", "vault_listings", "open_vault_listings", "open_jobs"):
        made, expected = (Path(each.path(table, DAY)).read_bytes() for each in (History.beside(dataset), other))
        assert made == expected


def test_overlapping_sets_are_never_read_together() -> None:
    large, small, apart, other = (
        partial("1", "a", "b", "c"),
        partial("3", "c", "d"),
        partial("2", "d"),
        partial("4", "x"),
    )

    assert disjoint([small, apart, large, other], ["a", "b", "c", "d"]) == [large, apart]
    assert disjoint([small, apart, large, other], ["a", "c", "d"]) == [small]
    assert disjoint([partial("1", "a", "b"), partial("2", "b", "c")], "abc") == [partial("2", "b", "c")]


def test_two_runs_at_the_same_time_do_not_change_the_answers(dataset: Dataset) -> None:
    expected = answers(dataset, 4)
    first, second, third = dataset.observation_ids()
    make_partial(dataset, [first, second], made_at=at(3))
    make_partial(dataset, [second, third], made_at=at(3))

    assert answers(dataset, 4) == expected
    assert len(aggregated(dataset, 4)) == 1
    assert max(len(each.observation_ids) for each in partials(dataset)) == 3
    assert answers(dataset, 4) == expected


@pytest.mark.parametrize(("step", "moment"), [*itertools.product(range(4), ["before"]), (3, "after")])
def test_what_a_killed_run_leaves_is_not_read_and_is_deleted_later(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, step: int, moment: str
) -> None:
    expected = answers(dataset, 4)
    real, steps = publishing._LocalPublisher.publish, itertools.count()

    def publish(self: Any, staged: Path, path: str) -> None:
        now = next(steps)
        if now < step or (now, moment) == (step, "after"):
            real(self, staged, path)
        if now == step:
            os._exit(9)

    if (child := os.fork()) == 0:
        monkeypatch.setattr(publishing._LocalPublisher, "publish", publish)
        aggregated(dataset, 3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    left = files(dataset)
    assert len(left) == step + (moment == "after")
    assert len(partials(dataset)) == (moment == "after")
    assert answers(dataset, 4) == expected
    observe_hour(dataset, 3)
    committed = partials(dataset)
    [made] = aggregated(dataset, 3 + KEPT_FOR / timedelta(hours=1))
    # A committed one is superseded only now.
    assert {each.name for each in partials(dataset)} == {each.name for each in [made, *committed]}
    assert {Path(path).stem for path in files(dataset)} == {each.name for each in [made, *committed]}


class TestOneThatCannotBeRead:
    """The raw files of its observations are read in its place."""

    @pytest.mark.parametrize("table", ["job_summaries", "newest_jobs", "vaults", "observations"])
    @pytest.mark.parametrize("content", [None, b"", b"no Parquet", b"PAR1"], ids=["missing", "empty", "text", "pages"])
    def test_changes_no_answer_and_no_history_and_is_replaced(
        self, dataset: Dataset, table: str, content: bytes | None
    ) -> None:
        expected = answers(dataset, 4)
        [broken] = aggregated(dataset, 3)
        path = Path(History.beside(dataset).partials.path(table, DAY, broken.name))
        if content is None:
            path.unlink()
        elif content == b"PAR1":
            # The footer is as it was, the pages are not.
            before = path.read_bytes()
            path.write_bytes(content + b"\xff" * 400 + before[404:])
        else:
            path.write_bytes(content)

        assert answers(dataset, 4) == expected
        observe_hour(dataset, 3)
        expected = answers(dataset, 4)
        assert len(aggregated(dataset, 4)) == 1
        assert answers(dataset, 4) == expected
        assert fold_closed_days(dataset, History.beside(dataset), now=at(32)) == [DAY]

    @pytest.mark.parametrize("table", ["job_summaries", "newest_jobs", "vaults"])
    def test_is_deleted_after_three_hours_if_a_file_is_missing(self, dataset: Dataset, table: str) -> None:
        [broken] = aggregated(dataset, 3)
        Path(History.beside(dataset).partials.path(table, DAY, broken.name)).unlink()

        assert aggregated(dataset, 7) == []
        assert files(dataset) == set()
        assert len(aggregated(dataset, 7.1)) == 1

    def test_on_s3_changes_no_answer(self, s3_dataset: Dataset) -> None:
        for hour in range(3):
            observe_hour(s3_dataset, hour)
        expected = answers(s3_dataset, 4)
        history = History.beside(s3_dataset)
        [broken] = aggregate_open_days(s3_dataset, history, now=at(3))
        for table in ("job_summaries", "newest_jobs", "vaults"):
            s3_dataset.filesystem.rm_file(history.partials.path(table, DAY, broken.name))

        assert answers(s3_dataset, 4) == expected

    def test_that_is_deleted_between_two_questions_of_an_inquiry_changes_no_answer(self, dataset: Dataset) -> None:
        expected = answers(dataset, 4)
        [made] = aggregated(dataset, 3)
        inquiry = reports.Inquiry.into(dataset, now=at(4))
        assert inquiry.ask("latest_vaults").to_pylist() == expected["latest_vaults"]

        for path in Path(dataset.root).rglob(f"{made.name}.parquet"):
            path.unlink()

        assert {name: inquiry.ask(name).to_pylist() for name in reports.QUESTIONS} == expected

    def test_and_is_deleted_while_marks_are_read_is_not_found(self, dataset: Dataset) -> None:
        [first] = aggregated(dataset, 3)
        observe_hour(dataset, 3)
        [second] = aggregated(dataset, 4)
        mark = Path(History.beside(dataset).partials.path("observations", DAY, first.name))

        class Disk(RecordingDisk):
            def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
                found = super().ls(path, detail=detail)
                mark.unlink(missing_ok=True)
                return [*found, str(mark)] if path == str(mark.parent) else found

        found = History(filesystem=Disk(), root=dataset.root).partials.find(since=None)

        assert found == [second]


def test_another_file_beside_the_marks_is_ignored(dataset: Dataset) -> None:
    [made] = aggregated(dataset, 3)
    Path(History.beside(dataset).partials.path("observations", DAY, "._copy")).write_bytes(b"")

    assert partials(dataset) == [made]


def test_one_that_another_clock_dated_in_the_future_does_not_stop_the_next(dataset: Dataset) -> None:
    aggregated(dataset, 12)
    observe_hour(dataset, 3)

    assert len(aggregated(dataset, 4)) == 1


def test_one_that_takes_more_than_an_hour_is_not_committed(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 1801)
    monkeypatch.setattr("glacier_jobs.history.partials.time.monotonic", lambda: next(clock))

    with pytest.raises(TookTooLong, match="was not written within an hour"):
        aggregated(dataset, 3)

    assert partials(dataset) == []
    assert not any("observations" in path for path in files(dataset))


class TestSweeping:
    def test_deletes_what_was_superseded_three_hours_ago(self, dataset: Dataset) -> None:
        [first] = aggregated(dataset, 3)
        observe_hour(dataset, 3)
        [second] = aggregated(dataset, 4)
        observe_hour(dataset, 4)
        [third] = aggregated(dataset, 6.9)
        assert {each.name for each in partials(dataset)} == {first.name, second.name, third.name}

        observe_hour(dataset, 5)
        [fourth] = aggregated(dataset, 7.2)

        assert {each.name for each in partials(dataset)} == {second.name, third.name, fourth.name}
        assert first.name not in str(files(dataset))

    def test_deletes_those_of_a_day_that_was_aggregated_three_hours_ago(self, dataset: Dataset) -> None:
        aggregated(dataset, 3)
        fold_closed_days(dataset, History.beside(dataset), now=at(32))
        [mark] = Path(dataset.root).glob("history/v2/open_jobs/*/*")
        os.utime(mark, (at(32).timestamp(),) * 2)

        aggregated(dataset, 34.9)
        assert len(files(dataset)) == 4

        aggregated(dataset, 35.1)
        assert files(dataset) == set()
        assert not list(Path(dataset.root).glob("history/v2/partials/*/*"))

    def test_never_deletes_a_raw_file_or_one_of_the_history(self, dataset: Dataset) -> None:
        def others() -> set[Path]:
            return {path for path in Path(dataset.root).rglob("*.parquet") if "partials" not in path.parts}

        fold_closed_days(dataset, History.beside(dataset), now=at(32))
        observe_hour(dataset, 33)
        aggregated(dataset, 34)
        before = others()

        observe_hour(dataset, 35)
        aggregated(dataset, 1000)

        assert others() - before == {Path(dataset.path(table, dataset.observation_ids()[-1])) for table in RAW}
        assert before <= others()

    def test_deletes_the_commit_mark_first(self, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        aggregated(dataset, 3)
        observe_hour(dataset, 3)
        aggregated(dataset, 4)
        deleted = []
        real = LocalFileSystem.rm_file

        def rm_file(self: LocalFileSystem, path: str) -> None:
            deleted.append(Path(path).parts[-3])
            real(self, path)

        monkeypatch.setattr(LocalFileSystem, "rm_file", rm_file)
        aggregated(dataset, 8)

        assert deleted[0] == "observations"
        assert sorted(deleted) == ["job_summaries", "newest_jobs", "observations", "vaults"]

    def test_is_given_up_with_a_warning_if_the_store_refuses(
        self, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(self: LocalFileSystem, path: str) -> None:
            raise PermissionError(path)

        aggregated(dataset, 3)
        observe_hour(dataset, 3)
        monkeypatch.setattr(LocalFileSystem, "rm_file", refuse)
        aggregated(dataset, 4)
        observe_hour(dataset, 4)

        with caplog.at_level(logging.WARNING):
            assert aggregated(dataset, 8)

        assert "is not needed any more, but could not be deleted" in caplog.text
        assert len(files(dataset)) == 12


def bytes_below(root: Path, *tables: str) -> int:
    return sum(path.stat().st_size for table in tables for path in (root / table).rglob("*.parquet"))


#: (number of runs, number of jobs of each run's observation, whether each run observes other jobs)
LOADS = {"the same jobs": (24, 400, False), "few jobs": (24, 4, False), "other jobs": (64, 400, True)}


@pytest.mark.parametrize(("runs", "jobs", "apart"), LOADS.values(), ids=LOADS)
def test_a_day_of_runs_writes_at_most_ten_times_the_raw_bytes_and_leaves_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int, jobs: int, apart: bool
) -> None:
    written = 0
    real = publishing._LocalPublisher.publish

    def publish(self: Any, staged: Path, path: str) -> None:
        nonlocal written
        written += staged.stat().st_size * ("partials" in path)
        real(self, staged, path)

    monkeypatch.setattr(publishing._LocalPublisher, "publish", publish)
    dataset = local_dataset(tmp_path)
    for run in range(runs):
        # As long as Glacier's, and as little compressible.
        names = [hashlib.sha512(f"{apart and run} {number}".encode()).hexdigest()[:92] for number in range(jobs)]
        observe(dataset, at(run / 4), {"photos": [job(name) for name in names]})
        aggregated(dataset, run / 4 + 0.1)

    chosen = disjoint(partials(dataset), dataset.observation_ids())

    assert sum(len(each.observation_ids) for each in chosen) == runs
    assert written <= 10 * bytes_below(tmp_path, *RAW)
    assert len(chosen) <= 6
    assert len(files(dataset)) <= 4 * (6 + 12)


@pytest.fixture
def s3_dataset(local_aws: Control, connect: Connect) -> Dataset:
    client = boto3.client("s3", **local_aws.boto3_arguments())
    client.create_bucket(Bucket="records")
    return open_dataset(f"s3://{connect()}@records/root")


def test_on_s3_they_are_made_read_and_deleted_too(dataset: Dataset, s3_dataset: Dataset) -> None:
    for hour in range(3):
        observe_hour(s3_dataset, hour)
    expected = {name: reports.run(name, s3_dataset, now=at(9)).to_pylist() for name in reports.QUESTIONS}
    history = History.beside(s3_dataset)
    [first] = aggregate_open_days(s3_dataset, history, now=at(3))
    assert {name: reports.run(name, s3_dataset, now=at(9)).to_pylist() for name in reports.QUESTIONS} == expected

    observe_hour(s3_dataset, 4)
    [second] = aggregate_open_days(s3_dataset, history, now=at(5))
    assert {each.name for each in history.partials.find(since=None)} == {first.name, second.name}
    aggregate_open_days(s3_dataset, history, now=at(9))

    assert [each.name for each in history.partials.find(since=None)] == [second.name]


def test_the_command_line_makes_them(dataset: Dataset) -> None:
    # The observations are of the future: no day is finalized.
    assert main(["fold", f"file://{dataset.root}"]) == 0

    [made] = partials(dataset)
    assert made.observation_ids == set(dataset.observation_ids())
    assert made.day == date(2126, 11, 18)
