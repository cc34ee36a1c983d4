"""The DuckDB file: its views show what the questions answer, whatever is aggregated or compacted."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs import reports
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.sql.engine import shared_database
from glacier_jobs.storage import open_dataset
from glacier_jobs.views.__main__ import main
from glacier_jobs.views.duckdb_file import create_views
from local_aws.client import Control
from tests.conftest import Connect
from tests.examples import examples
from tests.hand_written import job, observe
from tests.inventory.documents import publish_inventory
from tests.observations import expire, local_dataset, publish
from tests.random_observations import DAYS, FIRST_DAY, START, RawObservation, random_observations, write_raw

FIRST = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
AFTER_ALL = START + timedelta(days=DAYS + 1)
#: The columns that the view and the question have in common.
COMMON = (
    "account_id, region, vault_name, vault_arn, job_id, outcome, as_of, action, tier, job_description, archive_id, "
    "retrieval_byte_range, creation_date, completion_date, duration_seconds, bytes, status_code, status_message, "
    "first_seen_at, last_seen_at, observation_count"
)


def make_generation(dataset: Dataset, now: datetime) -> str:
    """Publish ``jobs_latest`` as a report does."""
    tables = reports.Inquiry.into(dataset, now=now).tables
    return tables.history.generations.publish(tables.jobs_latest(), made_at=now)


def rows(file: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(file, read_only=True) as database:
        database.execute("set TimeZone = 'UTC'")
        return database.sql(query).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def settled(day: date) -> datetime:
    """Return a moment at which the day is finalized."""
    return closes_at(day) + SETTLES_AFTER


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A dataset with two observations of each of three days, and one without a commit mark."""
    dataset = local_dataset(tmp_path / "region=mars" / "it's [a] *dataset*")
    for day in range(3):
        publish(dataset, FIRST + timedelta(days=day), ["a", f"job-{day}"])
        publish(dataset, FIRST + timedelta(days=day, minutes=1), [])
    crashed = publish(dataset, FIRST + timedelta(hours=1), ["never"])
    Path(dataset.path("observations", crashed.observation_id)).unlink()
    return dataset


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "glacier.duckdb"


def test_the_command_names_the_views_and_each_can_be_queried(dataset: Dataset, file: Path, capsys: Any) -> None:
    make_generation(dataset, FIRST + timedelta(days=3))

    assert main(["duckdb", f"file://{dataset.root}", str(file)]) == 0

    path, _, names = capsys.readouterr().out.strip().partition(": ")
    assert path == str(file)
    counts = {name: rows(file, f"from {name} select count(*) as found")[0]["found"] for name in names.split(", ")}
    assert counts == {
        "committed_jobs": 6,
        "committed_vaults": 6,
        "committed_observations": 6,
        "jobs_latest": 4,
        "job_history": 4,
        "latest_archives": 0,
    }


def test_committed_rows_are_there_once_during_and_after_compaction_and_expiry(dataset: Dataset, file: Path) -> None:
    def shown() -> dict[str, list[dict[str, Any]]]:
        return {
            table: rows(file, f"from committed_{table} select * exclude (compacted) order by all") for table in TABLES
        }

    first = FIRST.date()
    create_views(dataset, file)
    before = shown()
    assert [row["job_id"] for row in before["jobs"]].count("a") == 3
    assert "never" not in {row["job_id"] for row in before["jobs"]}
    # The path of the dataset has a folder "region=mars".
    assert {row["region"] for found in before.values() for row in found} == {"us-east-1"}

    compact_closed_days(dataset, now=settled(first))
    create_views(dataset, file)
    assert shown() == before
    compact_closed_days(dataset, now=settled(first + timedelta(days=1)))
    assert shown() == before
    expire(dataset, until=first)
    assert shown() == before


@pytest.mark.parametrize("query", ["from {}", "select count(*) from {}", "from {} where {} = 'x'"])
def test_a_view_that_was_created_before_its_files_does_not_leave_them_out(
    dataset: Dataset, file: Path, query: str
) -> None:
    create_views(dataset, file)
    views = ("committed_jobs", "job_history", "jobs_latest")
    assert len(rows(file, "from committed_jobs")) == 6
    for view in ("job_history", "jobs_latest"):
        with pytest.raises(duckdb.Error, match="there was no report"):
            rows(file, query.format(view, "job_id"))
    make_generation(dataset, FIRST + timedelta(days=3))
    create_views(dataset, file)
    assert [len(rows(file, f"from {view}")) for view in views] == [6, 4, 4]

    fold_closed_days(dataset, History.beside(dataset), now=settled(FIRST.date()))
    compact_closed_days(dataset, now=settled(FIRST.date()))
    for view in ("committed_jobs", "job_history"):
        with pytest.raises(duckdb.Error, match="create the views again"):
            rows(file, query.format(view, "job_id"))
    create_views(dataset, file)
    assert [len(rows(file, f"from {view}")) for view in views] == [6, 4, 4]


def test_latest_archives_are_those_of_the_newest_full_inventory_of_each_vault(tmp_path: Path, file: Path) -> None:
    dataset = local_dataset(tmp_path / "records")
    publish_inventory(dataset, FIRST, ["a", "b"])
    newest = publish_inventory(dataset, FIRST + timedelta(days=1), ["b", "c"])
    publish_inventory(dataset, FIRST + timedelta(days=1), ["b", "c"], rows_in=newest)
    publish_inventory(dataset, FIRST + timedelta(days=2), ["d"], scope="filtered")
    publish_inventory(dataset, FIRST, ["e"], vault_name="ledgers")
    crashed = publish_inventory(dataset, FIRST + timedelta(days=3), ["f"])
    Path(dataset.path("inventories", crashed)).unlink()

    create_views(dataset, file)

    assert [
        (row["vault_name"], row["archive_id"], row["inventory_at"])
        for row in rows(file, "from latest_archives order by vault_name, archive_id")
    ] == [
        ("ledgers", "e", FIRST),
        ("photos", "b", FIRST + timedelta(days=1)),
        ("photos", "c", FIRST + timedelta(days=1)),
    ]


def test_only_the_newest_generation_is_shown(dataset: Dataset, file: Path) -> None:
    make_generation(dataset, FIRST + timedelta(days=3))
    create_views(dataset, file)
    observe(dataset, FIRST + timedelta(days=3), {"photos": [job("new")]})
    make_generation(dataset, FIRST + timedelta(days=3, hours=1))

    found = rows(file, "from jobs_latest")

    assert {row["job_id"] for row in found} == {"a", "job-0", "job-1", "job-2", "new"}
    assert {row["made_at"] for row in found} == {FIRST + timedelta(days=3, hours=1)}


def test_no_row_is_missing_while_generations_are_published(dataset: Dataset, file: Path) -> None:
    made = Path(make_generation(dataset, FIRST + timedelta(days=3)))
    create_views(dataset, file)
    ended = threading.Event()
    publisher = publisher_for(dataset.filesystem, dataset.root)
    staging = publisher.stage("generations")

    def publish_many() -> None:
        for number in itertools.count(1):
            if ended.wait(0.002):
                return
            staged = staging / str(number)
            os.link(made, staged)
            publisher.publish(staged, str(made.parent.with_name(f"as_of=20270101T000000Z_{number:06x}") / made.name))

    with ThreadPoolExecutor(1) as pool, duckdb.connect(file, read_only=True) as database:
        publishing = pool.submit(publish_many)
        try:
            counts = {database.execute("select count(*) from jobs_latest").fetchall()[0][0] for _ in range(200)}
        finally:
            ended.set()
        publishing.result()
    publisher.discard(staging)
    assert counts == {4}


def test_a_query_about_a_day_reads_no_other_day(dataset: Dataset, file: Path) -> None:
    day = FIRST.date() + timedelta(days=2)
    create_views(dataset, file)
    for raw in Path(dataset.root, "jobs").glob(f"snapshot_date={day - timedelta(days=1)}/*.parquet"):
        raw.write_bytes(raw.read_bytes()[:-9] + b"not Parquet")

    with pytest.raises(duckdb.Error):
        rows(file, "from committed_jobs")

    found = rows(
        file, f"from committed_jobs select job_id, snapshot_date where snapshot_date = '{day}' order by job_id"
    )
    assert found == [{"job_id": "a", "snapshot_date": day}, {"job_id": "job-2", "snapshot_date": day}]


def test_what_a_day_knows_that_was_aggregated_after_the_newest_generation_counts(tmp_path: Path, file: Path) -> None:
    dataset = local_dataset(tmp_path / "records")
    observe(dataset, FIRST, {"photos": [job("a")]})
    make_generation(dataset, FIRST + timedelta(hours=1))
    observe(dataset, FIRST + timedelta(hours=2), {"photos": []})
    fold_closed_days(dataset, History.beside(dataset), now=settled(FIRST.date()))
    create_views(dataset, file)

    shown = {view: [row["outcome"] for row in rows(file, f"from {view}")] for view in ("jobs_latest", "job_history")}

    assert shown == {"jobs_latest": ["in_progress"], "job_history": ["vanished"]}


def test_a_job_that_was_closed_twice_has_its_newest_row(tmp_path: Path, file: Path) -> None:
    dataset = local_dataset(tmp_path / "records")
    for day, found in enumerate([[job("a")], [], [job("a", "Succeeded")], []]):
        observe(dataset, FIRST + timedelta(days=day), {"photos": found})
    fold_closed_days(dataset, History.beside(dataset), now=settled(FIRST.date() + timedelta(days=4)))
    make_generation(dataset, FIRST + timedelta(days=6))
    create_views(dataset, file)

    assert [row["outcome"] for row in rows(file, "from closed_jobs")] == ["unknown_gap", "succeeded"]
    assert [(row["outcome"], row["observation_count"]) for row in rows(file, "from job_history")] == [("succeeded", 2)]


def test_the_output_of_a_succeeded_job_expires_24_hours_after_its_completion(tmp_path: Path, file: Path) -> None:
    dataset = local_dataset(tmp_path / "records")
    ended = FIRST - timedelta(hours=2)
    found = [
        job("ready", "Succeeded", created=ended - timedelta(hours=4), completed=ended, RetrievalByteRange="0-1023"),
        job("no date", "Succeeded"),
        job("failed", "Failed", completed=ended),
        job("running"),
    ]
    observe(dataset, FIRST, {"photos": found})
    observe(dataset, FIRST + timedelta(days=2), {"photos": []})
    make_generation(dataset, FIRST + timedelta(days=2))
    create_views(dataset, file)
    expected = {
        "ready": (ended + timedelta(hours=24), 4 * 3600, 1024, "succeeded"),
        "no date": (None, None, None, "succeeded"),
        "failed": (None, None, None, "failed"),
        "running": (None, None, None, "unknown_gap"),
    }

    def shown(view: str) -> dict[str, tuple[Any, ...]]:
        found = rows(file, f"from {view}")
        return {
            row["job_id"]: tuple(row[name] for name in ("expires_at", "duration_seconds", "bytes", "outcome"))
            for row in found
        }

    assert shown("jobs_latest") == shown("job_history") == expected
    # From the file of the day on which they were closed.
    fold_closed_days(dataset, History.beside(dataset), now=settled(FIRST.date() + timedelta(days=2)))
    observe(dataset, FIRST + timedelta(days=4), {"photos": []})
    fold_closed_days(dataset, History.beside(dataset), now=settled(FIRST.date() + timedelta(days=4)))
    make_generation(dataset, FIRST + timedelta(days=6))
    create_views(dataset, file)
    assert shown("jobs_latest") == {}
    assert shown("job_history") == expected


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: (row["vault_arn"], row["job_id"]))


# Beside other drills, all examples take minutes.
@pytest.mark.timeout(900)
@given(random_observations(at_least=5), st.integers(0, DAYS - 1), st.integers(0, DAYS - 1))
@examples(12, in_drills=60)
def test_job_history_is_the_answer_to_its_question_whatever_a_reader_has_seen_of_the_newest_day(
    seen: list[RawObservation], folded_before: int, folded: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, shared_database():
        dataset, file = local_dataset(Path(folder, "records")), Path(folder, "views.duckdb")
        history = History.beside(dataset)
        write_raw(dataset, seen)

        def shown() -> list[dict[str, Any]]:
            create_views(dataset, file)
            return rows(file, f"from job_history select {COMMON} order by vault_arn, job_id")

        fold_closed_days(dataset, history, now=settled(FIRST_DAY + timedelta(days=folded_before)))
        make_generation(dataset, AFTER_ALL)
        expected = in_order(reports.run("job_history", dataset, now=AFTER_ALL).to_pylist())
        assert shown() == expected
        # Days are aggregated after the newest generation was made.
        fold_closed_days(dataset, history, now=settled(FIRST_DAY + timedelta(days=max(folded_before, folded))))
        assert shown() == expected
        # A reader has searched for the days before the newest one was written, and for generations afterwards.
        make_generation(dataset, AFTER_ALL + timedelta(seconds=1))
        assert shown() == expected
        if (last := history.last_folded_day()) is not None:
            Path(history.path("job_history", last)).unlink()
            assert shown() == expected


def refused(run: Callable[[], object]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        run()
    return str(caught.value)


def test_a_dataset_on_s3_is_refused(local_aws: Control, connect: Connect, file: Path) -> None:
    message = refused(lambda: create_views(open_dataset(f"s3://{connect()}@bucket/records"), file))

    assert "expected file:///absolute/path" in message
    assert not file.exists()


@pytest.mark.parametrize(("folder", "found"), [("typo", "no snapshot below"), ("a\\b", "without \\")])
def test_a_path_without_a_dataset_or_that_duckdb_cannot_search_is_refused(
    tmp_path: Path, file: Path, folder: str, found: str
) -> None:
    root = tmp_path / folder
    if found != "no snapshot below":
        publish(local_dataset(root), FIRST, ["a"])

    message = refused(lambda: create_views(local_dataset(root), file))

    assert found in message
    assert str(root) in message
    assert not file.exists()


def test_a_file_that_is_not_duckdbs_is_refused_and_stays(dataset: Dataset, file: Path, capsys: Any) -> None:
    file.write_text("my notes")

    assert main(["duckdb", f"file://{dataset.root}", str(file)]) == 1

    assert str(file) in capsys.readouterr().err
    assert file.read_text() == "my notes"


def test_what_else_is_in_the_file_stays_also_if_a_view_cannot_be_created(dataset: Dataset, file: Path) -> None:
    with duckdb.connect(file) as database:
        database.execute("create table mine as select 1 as x; create table job_history (y int)")

    assert "job_history" in refused(lambda: create_views(dataset, file))

    assert rows(file, "from mine") == [{"x": 1}]
    with duckdb.connect(file) as database:
        assert [row[2] for row in database.execute("show all tables").fetchall()] == ["job_history", "mine"]
        database.execute("drop table job_history")
    create_views(dataset, file)
    assert rows(file, "from mine") == [{"x": 1}]
