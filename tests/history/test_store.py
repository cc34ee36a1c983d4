from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow.parquet as pq
import pytest

from glacier_jobs import reports
from glacier_jobs.dataset import writer
from glacier_jobs.dataset.cutoff import CLOSES_AFTER, SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.errors import DayClosed, HistoryDiffers, InvalidArgument
from glacier_jobs.history import History, fold_closed_days, rebuild
from glacier_jobs.history.__main__ import main
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot import listing
from glacier_jobs.snapshot import observe as snapshot
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.hand_written import job, observe
from tests.observations import local_dataset, observation_row

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
FIRST, SECOND, THIRD = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)
#: The partition key of each table of the history, sorted by table.
TABLES = {
    "job_history": "closed_date",
    "open_jobs": "snapshot_date",
    "open_vault_listings": "snapshot_date",
    "vault_listings": "snapshot_date",
}
#: The earliest time at which the first two days can be aggregated.
TWO_DAYS_SETTLED = closes_at(SECOND) + SETTLES_AFTER


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def write_three_days(dataset: Dataset) -> None:
    """Publish observations of three days, with jobs that succeed, fail, vanish and keep running."""
    observe(dataset, NOON, {"photos": [job("done"), job("lost"), job("fails")], "films": [job("stays")]})
    observe(
        dataset,
        NOON + hours(6),
        {"photos": [job("done", "Succeeded"), job("fails", "Failed")], "films": [job("stays")]},
    )
    observe(dataset, NOON + hours(24), {"photos": [job("done", "Succeeded")], "films": "failed"})
    observe(dataset, NOON + hours(48), {"photos": [], "films": [job("stays")]})


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = local_dataset(tmp_path / "records")
    write_three_days(dataset)
    return dataset


def with_the_observations_of(dataset: Dataset, root: Path) -> Path:
    """Return the root of another dataset that has the same observations, and no history."""
    root.mkdir()
    for table in ("jobs", "vaults", "observations"):
        (root / table).symlink_to(Path(dataset.root) / table)
    return root


def run_python(program: str, *arguments: str) -> str:
    """Return what a program prints that imports the package."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/plugins:{ROOT}/include:{ROOT}"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own command


def contents(root: str | Path) -> dict[str, bytes]:
    """Return the contents of the history's files by path below its folder."""
    history = Path(root, "history/v2")
    return {
        path.relative_to(history).as_posix(): path.read_bytes()
        for table in TABLES
        for path in Path(history, table).rglob("*")
        if path.is_file()
    }


def expected_contents(dataset: Dataset, root: Path) -> dict[str, bytes]:
    """Return the files of the first two days' history after an undisturbed run."""
    fold_closed_days(dataset, History(filesystem=dataset.filesystem, root=str(root)), now=TWO_DAYS_SETTLED)
    return contents(root)


def test_each_finalized_day_has_four_files(dataset: Dataset) -> None:
    days = fold_closed_days(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED)

    assert days == [FIRST, SECOND]
    assert sorted(contents(dataset.root)) == [
        f"{table}/{key}={day}/{table}.parquet" for table, key in TABLES.items() for day in (FIRST, SECOND)
    ]


def test_what_another_version_wrote_is_ignored(dataset: Dataset, tmp_path: Path) -> None:
    expected = expected_contents(dataset, tmp_path / "undisturbed")
    for path in ("job_history/closed_date={}/job_history", "open_jobs/as_of={}/open_jobs"):
        for folder in (dataset.root, f"{dataset.root}/history/v1"):
            other = Path(folder, f"{path.format(FIRST)}.parquet")
            other.parent.mkdir(parents=True)
            other.write_bytes(b"of another version")

    assert fold_closed_days(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED) == [FIRST, SECOND]
    assert contents(dataset.root) == expected
    assert reports.run("job_history", dataset).num_rows == 4


def test_a_hive_partitioned_reader_sees_every_column_of_every_table(dataset: Dataset) -> None:
    history = History.beside(dataset)
    fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED)

    for table, key in TABLES.items():
        file = Path(history.path(table, SECOND))
        columns = pq.read_schema(file).names
        read = duckdb.read_parquet(f"{file.parents[1]}/*/*.parquet", hive_partitioning=True)

        assert read.columns == [*columns, key]


def test_a_job_is_open_until_the_day_on_which_it_was_no_longer_listed(dataset: Dataset) -> None:
    history = History.beside(dataset)
    fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED)

    def job_ids(table: str, day: date) -> list[str]:
        found: list[str] = pq.read_table(history.path(table, day), partitioning=None)["job_id"].to_pylist()
        return found

    assert job_ids("job_history", FIRST) == ["lost"]
    assert job_ids("open_jobs", FIRST) == ["stays", "done", "fails"]
    assert job_ids("job_history", SECOND) == ["fails"]
    assert job_ids("open_jobs", SECOND) == ["stays", "done"]


def test_a_day_is_not_aggregated_before_it_is_finalized_and_has_settled(dataset: Dataset) -> None:
    history = History.beside(dataset)
    settled = closes_at(FIRST) + SETTLES_AFTER

    assert fold_closed_days(dataset, history, now=settled - timedelta(microseconds=1)) == []
    assert fold_closed_days(dataset, history, now=settled) == [FIRST]


def test_without_any_observation_nothing_is_aggregated(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path / "records")

    assert fold_closed_days(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED) == []
    assert not Path(dataset.root).exists()


def test_a_rerun_changes_nothing(dataset: Dataset) -> None:
    history = History.beside(dataset)
    fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED)
    before = {path: path.stat().st_mtime_ns for path in Path(dataset.root).rglob("*.parquet")}

    assert fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED) == []
    assert {path: path.stat().st_mtime_ns for path in Path(dataset.root).rglob("*.parquet")} == before


def test_a_day_without_observations_is_aggregated_too(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    observe(dataset, NOON, {"photos": [job("a")]})
    observe(dataset, NOON + hours(72), {"photos": []})

    days = fold_closed_days(dataset, History.beside(dataset), now=NOON + hours(96))

    assert days == [FIRST, SECOND, THIRD, date(2026, 11, 21)]
    assert reports.run("job_history", dataset)["outcome"].to_pylist() == ["unknown_gap"]


class TestAnObservationOfAFinalizedDay:
    def test_is_not_published(self, dataset: Dataset) -> None:
        before = dataset.observation_ids()

        with pytest.raises(DayClosed, match=r"belongs to 2026-11-18, which was finalized at 2026-11-19T07:00Z"):
            observe(dataset, NOON, {"photos": []}, clock=closes_at(FIRST))

        assert dataset.observation_ids() == before

    def test_is_published_until_the_day_is_finalized(self, dataset: Dataset) -> None:
        late = observe(dataset, NOON, {"photos": []}, clock=closes_at(FIRST) - timedelta(microseconds=1))

        assert late.observation_id in dataset.observation_ids()

    def test_is_not_committed_if_the_day_is_finalized_during_its_publication(self, tmp_path: Path) -> None:
        dataset = local_dataset(tmp_path)
        closes = closes_at(FIRST)
        ticks = iter([closes - hours(1), closes - hours(1), closes])
        observation = new_observation("123456789012", "us-east-1", NOON)

        with writer.ObservationWriter(dataset, observation, clock=lambda: next(ticks)) as observing:
            observing.finish_jobs()
            with pytest.raises(DayClosed):
                observing.publish(vaults=[], observation=observation_row(NOON))

        assert dataset.observation_ids() == []

    def test_cannot_come_from_the_snapshot_dag_because_its_tasks_time_out_earlier(self) -> None:
        from dags.glacier_jobs_snapshot import glacier_jobs_snapshot

        timeouts = {task.execution_timeout for task in glacier_jobs_snapshot().tasks}

        assert all(timeout is not None and timeout < CLOSES_AFTER for timeout in timeouts)


_KILLED_AT = """
import json, os, sys
from datetime import datetime
from pathlib import Path
from glacier_jobs.dataset import publisher as publishing
from glacier_jobs.history import History, fold_closed_days
from tests.observations import local_dataset

now, real = datetime.fromisoformat(sys.argv[1]), publishing._LocalPublisher.publish

def fold_until(root, step, moment):
    done = 0

    def publish(self, staged, path):
        nonlocal done
        if moment == "before" and done == step:
            os.kill(os.getpid(), 9)
        real(self, staged, path)
        if moment == "after" and done == step:
            os.kill(os.getpid(), 9)
        done += 1

    publishing._LocalPublisher.publish = publish
    dataset = local_dataset(Path(root))
    fold_closed_days(dataset, History.beside(dataset), now=now)

# Processes that begin with the imported package: importing it takes seconds.
for arguments in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        fold_until(*arguments)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_after_a_kill_at_any_step_the_next_run_writes_the_same_files(dataset: Dataset, tmp_path: Path) -> None:
    undisturbed = expected_contents(dataset, tmp_path / "undisturbed")
    steps = [*itertools.product(range(8), ["before"]), (7, "after")]
    roots = [with_the_observations_of(dataset, tmp_path / f"{step}-{moment}") for step, moment in steps]
    killed = run_python(
        _KILLED_AT,
        TWO_DAYS_SETTLED.isoformat(),
        json.dumps([(str(root), *step) for root, step in zip(roots, steps, strict=True)]),
    )
    assert killed.split() == ["-9"] * len(steps)

    for root, (step, moment) in zip(roots, steps, strict=True):
        assert len(contents(root)) == step + (moment == "after")
        assert sorted(contents(root).items() - undisturbed.items()) == []
        rest = local_dataset(root)

        fold_closed_days(rest, History.beside(rest), now=TWO_DAYS_SETTLED)

        assert contents(root) == undisturbed
        assert reports.run("job_history", rest).num_rows == 4


def test_simultaneous_runs_write_the_same_files(dataset: Dataset, tmp_path: Path) -> None:
    undisturbed = expected_contents(dataset, tmp_path / "undisturbed")
    barrier = threading.Barrier(4)
    errors: list[Exception] = []

    def run() -> None:
        try:
            barrier.wait()
            fold_closed_days(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert contents(dataset.root) == undisturbed


def test_existing_files_are_never_overwritten(dataset: Dataset) -> None:
    history = History.beside(dataset)
    fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED)
    Path(history.path("open_jobs", SECOND)).unlink()
    other = Path(history.path("job_history", SECOND))
    other.write_bytes(Path(history.path("job_history", FIRST)).read_bytes())
    before = other.read_bytes()

    with pytest.raises(HistoryDiffers, match=r"closed_date=2026-11-19.*nothing was changed"):
        fold_closed_days(dataset, history, now=TWO_DAYS_SETTLED)

    assert other.read_bytes() == before
    assert history.folded_days() == [FIRST]


class TestRebuilding:
    def test_writes_the_same_files_below_a_new_root(self, dataset: Dataset, tmp_path: Path) -> None:
        fold_closed_days(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED)
        new = History(filesystem=dataset.filesystem, root=str(tmp_path / "new"))

        assert rebuild(dataset, new, now=TWO_DAYS_SETTLED) == [FIRST, SECOND]
        assert contents(new.root) == contents(dataset.root)
        assert reports.run("job_history", dataset, history_uri=new).equals(reports.run("job_history", dataset))

    def test_refuses_the_datasets_own_root(self, dataset: Dataset) -> None:
        with pytest.raises(InvalidArgument, match="expected a new root"):
            rebuild(dataset, History.beside(dataset), now=TWO_DAYS_SETTLED)

        assert contents(dataset.root) == {}

    def test_is_a_command(self, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = main(["rebuild", f"file://{dataset.root}", f"file://{tmp_path}/new"])

        assert code == 0
        assert "days aggregated, 2026-11-18 to " in capsys.readouterr().out
        assert History.beside(local_dataset(tmp_path / "new")).folded_days()[:2] == [FIRST, SECOND]

    def test_prints_the_error_and_exits_with_1(self, dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
        uri = f"file://{dataset.root}"

        assert main(["rebuild", uri, uri]) == 1
        assert "expected a new root" in capsys.readouterr().err


@pytest.fixture
def s3_dataset(local_aws: Control, connect: Connect) -> Dataset:
    """An empty dataset in a bucket of the local AWS."""
    client = boto3.client("s3", **local_aws.boto3_arguments())
    client.create_bucket(Bucket="records")
    return open_dataset(f"s3://{connect()}@records/root")


def test_history_and_reports_are_the_same_on_s3(dataset: Dataset, s3_dataset: Dataset) -> None:
    for path in Path(dataset.root).rglob("*.parquet"):
        s3_dataset.filesystem.put_file(str(path), f"{s3_dataset.root}/{path.relative_to(dataset.root)}")

    for aggregated in (False, True):
        if aggregated:
            for each in (dataset, s3_dataset):
                assert fold_closed_days(each, History.beside(each), now=TWO_DAYS_SETTLED) == [FIRST, SECOND]
        for question in reports.QUESTIONS:
            expected = reports.run(question, dataset, now=NOON + hours(49))
            assert reports.run(question, s3_dataset, now=NOON + hours(49)).equals(expected)
    assert fold_closed_days(s3_dataset, History.beside(s3_dataset), now=TWO_DAYS_SETTLED) == []


_WRITE_ANSWERS = """
import json, os, sys, time
from datetime import datetime
from pathlib import Path
from glacier_jobs import reports
from glacier_jobs.history import History, fold_closed_days
from tests.observations import local_dataset

settled, now = map(datetime.fromisoformat, sys.argv[1:3])
for root, time_zone in json.loads(sys.argv[3]):
    child = os.fork()
    if child == 0:
        os.environ["TZ"] = time_zone
        time.tzset()
        dataset = local_dataset(Path(root))
        fold_closed_days(dataset, History.beside(dataset), now=settled)
        answers = {name: reports.run(name, dataset, now=now).to_pylist() for name in reports.QUESTIONS}
        (Path(root) / "answers").write_text(f"{time.tzname[0]} {answers}")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_the_time_zone_of_the_machine_makes_no_difference(dataset: Dataset, tmp_path: Path) -> None:
    zones = {"EST": "America/New_York", "UTC": "UTC"}
    roots = {zone: with_the_observations_of(dataset, tmp_path / zone) for zone in zones}

    ended = run_python(
        _WRITE_ANSWERS,
        TWO_DAYS_SETTLED.isoformat(),
        (NOON + hours(49)).isoformat(),
        json.dumps([(str(root), zones[zone]) for zone, root in roots.items()]),
    )

    assert ended.split() == ["0", "0"]
    answers = [(root / "answers").read_text().removeprefix(f"{zone} ") for zone, root in roots.items()]
    assert answers[0].startswith("{")
    assert answers[0] == answers[1]
    assert contents(roots["EST"]) == contents(roots["UTC"])


class TestJobsOnTheLocalAws:
    """Jobs that are listed from the local AWS. Its clock is also the clock of the package."""

    @pytest.fixture
    def clock(self, local_aws: Control, monkeypatch: pytest.MonkeyPatch) -> Control:
        local_aws.set_clock(NOON, speed=0)

        class LocalAwsClock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # always the local AWS's clock
                return local_aws.now()

        monkeypatch.setattr(snapshot, "datetime", LocalAwsClock)
        monkeypatch.setattr(listing, "datetime", LocalAwsClock)
        monkeypatch.setattr(writer, "datetime", LocalAwsClock)
        return local_aws

    def test_every_outcome_is_reported(self, clock: Control, connect: Connect, tmp_path: Path) -> None:
        hook = GlacierJobsHook(aws_conn_id=connect())
        dataset = local_dataset(tmp_path)

        def pass_hours(number: float, *, observed: bool = True) -> None:
            for _ in range(round(number)):
                clock.advance(3600)
                if observed:
                    snapshot.observe(hook, dataset, on_vault_error="record")

        def add(vault_name: str, name: str, hours_long: float, outcome: str = "Succeeded") -> None:
            lifecycle = {"duration_seconds": hours_long * 3600, "outcome": outcome}
            clock.add_jobs(vault_name, [{"JobDescription": name, "Action": "InventoryRetrieval", "_life": lifecycle}])

        clock.add_vaults("photos", "films", "forbidden")
        add("photos", "succeeds and expires", 4)
        add("photos", "fails", 3, "Failed")
        add("photos", "vanishes", 100)
        add("photos", "outlasts the outage", 100)
        add("photos", "ends during the outage", 40)
        add("films", "in a vault that is deleted", 100)
        add("forbidden", "in a vault that cannot be listed", 100)
        pass_hours(2)
        fault = clock.fault("access_denied", vault_name="forbidden")
        pass_hours(28)
        (vanishing,) = [each for each in clock.jobs("photos") if each["JobDescription"] == "vanishes"]
        clock.remove_jobs("photos", [vanishing["JobId"]])
        clock.delete_vault("films")
        pass_hours(2)
        pass_hours(36, observed=False)
        clock.remove_fault(fault)
        add("photos", "late", 5)
        pass_hours(1)
        now = clock.now()

        for aggregated in (False, True):
            if aggregated:
                assert fold_closed_days(dataset, History.beside(dataset), now=now)
            rows = reports.run("job_history", dataset, now=now).to_pylist()
            assert {row["job_description"]: row["outcome"] for row in rows} == {
                "succeeds and expires": "succeeded",
                "fails": "failed",
                "vanishes": "vanished",
                "outlasts the outage": "in_progress",
                "ends during the outage": "unknown_gap",
                "in a vault that is deleted": "vault_gone",
                "in a vault that cannot be listed": "in_progress",
                "late": "in_progress",
            }
            (succeeded,) = [row for row in rows if row["outcome"] == "succeeded"]
            assert succeeded["duration_seconds"] == 4 * 3600
            assert succeeded["last_seen_at"] - succeeded["completion_date"] >= hours(22)
            gaps = reports.run("coverage", dataset, now=now).to_pylist()
            assert {row["vault_name"] for row in gaps if row["beyond_retention"]} == {"photos", "forbidden"}
