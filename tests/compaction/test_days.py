"""Compaction keeps every row, whatever happens in between, and tags only raw files whose rows it has compared."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st
from s3fs import S3FileSystem

from benchmarks.history_maker import make_dataset
from glacier_jobs import reports
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.compaction.__main__ import main
from glacier_jobs.compaction.tags import TAG
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.errors import AccessDenied, CompactedDiffers, MalformedFile
from local_aws.client import Control
from tests.conftest import ROOT
from tests.examples import examples
from tests.hand_written import job, observe
from tests.history.test_store import run_python
from tests.observations import expire, local_dataset, publish, s3_of
from tests.random_observations import DAYS, FIRST_DAY, RawObservation, random_observations, write_raw
from tests.recording_disk import RecordingDisk

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
FIRST, SECOND, THIRD = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)
LIFECYCLE = ROOT / "include" / "aws" / "s3-lifecycle.json"


def settled(day: date) -> datetime:
    """Return the earliest time at which a day can be compacted."""
    return closes_at(day) + SETTLES_AFTER


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def write_three_days(dataset: Dataset) -> None:
    """Publish two observations on each of three days, and on the first day one that is not committed."""
    for day in range(3):
        at = NOON + hours(24 * day)
        observe(dataset, at, {"photos": [job("b"), job("a")], "films": [job(f"job-{day}")]})
        observe(dataset, at + hours(1), {"photos": [job("a", "Succeeded", completed=at), job("b")], "films": "failed"})
    leftover = observe(dataset, NOON + hours(2), {"photos": [job("never")]})
    dataset.filesystem.rm(dataset.path("observations", leftover.observation_id))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = local_dataset(tmp_path / "records")
    write_three_days(dataset)
    return dataset


@pytest.fixture
def s3(local_aws: Control) -> Dataset:
    """The same dataset in a bucket of the local AWS."""
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    dataset = Dataset(filesystem=s3_of(local_aws), root="records/root")
    write_three_days(dataset)
    return dataset


def rows_of(table: pa.Table) -> list[str]:
    """Return all rows with all columns, in an order that does not depend on that of the files."""
    return sorted(map(repr, table.to_pylist()))


def contents(dataset: Dataset) -> dict[str, list[str]]:
    """Return the committed rows of each table, which both ways to read them have."""
    found = {table: rows_of(dataset.scan(table).to_table()) for table in TABLES}
    assert {table: rows_of(dataset.read(table, dataset.observation_ids()).read_all()) for table in TABLES} == found
    return found


def files(dataset: Dataset, below: str) -> list[str]:
    root = Path(dataset.root)
    return sorted(str(path.relative_to(root)) for path in (root / below).rglob("*") if path.is_file())


def compacted_bytes(dataset: Dataset) -> dict[str, bytes]:
    return {name: Path(dataset.root, name).read_bytes() for name in files(dataset, "compacted")}


def test_each_finalized_day_has_one_file_a_table_sorted_by_job(dataset: Dataset) -> None:
    assert compact_closed_days(dataset, now=settled(SECOND)) == [FIRST, SECOND]

    assert files(dataset, "compacted") == [
        *[f"compacted/checked/{day}" for day in (FIRST, SECOND)],
        *[
            f"compacted/{table}/snapshot_date={day}/{table}.parquet"
            for table in sorted(TABLES)
            for day in (FIRST, SECOND)
        ],
    ]
    with pq.ParquetFile(dataset.compacted_path("jobs", FIRST)) as file:
        assert file.schema_arrow.equals(TABLES["jobs"])
        jobs = file.read().to_pylist()
    assert [(row["vault_name"], row["job_id"]) for row in jobs] == [
        ("films", "job-0"), ("photos", "a"), ("photos", "a"), ("photos", "b"), ("photos", "b"),
    ]  # fmt: skip
    assert [row["status_code"] for row in jobs if row["job_id"] == "a"] == ["InProgress", "Succeeded"]


def test_a_day_of_twelve_targets_takes_three_files_and_less_than_a_tenth_of_the_bytes(tmp_path: Path) -> None:
    until = datetime(2026, 11, 18, 23, tzinfo=timezone.utc)
    assert make_dataset(tmp_path, until=until, hours=24, targets=12, jobs_an_hour=1) == 12 * 24
    dataset = local_dataset(tmp_path)
    raw = [path for table in TABLES for path in files(dataset, table)]
    before = rows_of(dataset.scan("jobs").to_table())

    assert compact_closed_days(dataset, now=settled(FIRST)) == [FIRST]

    compacted = [path for table in TABLES for path in files(dataset, f"compacted/{table}")]
    assert (len(raw), len(compacted)) == (12 * 24 * 3, 3)
    sizes = [sum(Path(tmp_path, path).stat().st_size for path in paths) for paths in (raw, compacted)]
    assert sizes[1] <= sizes[0] / 10
    assert rows_of(dataset.scan("jobs").to_table()) == before


@given(random_observations(), st.integers(0, DAYS - 1), st.integers(0, DAYS - 1), st.integers(0, DAYS - 1))
@examples(10, in_drills=60)
def test_every_row_column_and_id_is_kept(
    seen: list[RawObservation], first_run: int, second_run: int, expired: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        before, ids, dates = contents(dataset), dataset.observation_ids(), dataset.dates()
        newest = dataset.newest_observation_at()
        for last in sorted([first_run, second_run]):
            compact_closed_days(dataset, now=settled(FIRST_DAY + timedelta(days=last)))
            assert contents(dataset) == before
        expire(dataset, until=FIRST_DAY + timedelta(days=min(max(first_run, second_run), expired)))

        assert contents(dataset) == before
        assert (dataset.observation_ids(), dataset.dates(), dataset.newest_observation_at()) == (ids, dates, newest)
        some = ids[::2]
        for table in TABLES:
            wanted = dataset.read(table, some, columns=["region"]).read_all()
            assert wanted.num_rows == sum(any(each in row for each in some) for row in before[table])
        day = FIRST_DAY + timedelta(days=1)
        one_day = dataset.scan("observations", since=day, until=day).to_table()["observation_id"].to_pylist()
        assert sorted(one_day) == dataset.observation_ids(since=day, until=day)


def test_texts_and_values_that_engines_treat_differently_are_kept(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    odd = ["", "\0", "a\0b", "'; drop table jobs; --", "\ud800", "🧊", "é", "e\u0301", "\r\n\t", "NULL", "x" * 70_000]
    jobs: list[dict[str, Any]] = [{"JobId": f"{number}", "JobDescription": text} for number, text in enumerate(odd)]
    jobs += [{"JobId": text, "StatusMessage": text} for text in odd if text and text != "\ud800"]
    jobs += [{"JobId": f"at {year}", "CreationDate": f"{year}-12-31T23:59:59.999999Z"} for year in ("0001", "9999")]
    jobs += [
        {"JobId": "empty struct", "InventoryRetrievalParameters": {}},
        {"JobId": "no struct", "InventoryRetrievalParameters": None},
        {"JobId": "struct", "InventoryRetrievalParameters": {"Limit": str(2**63 - 1), "Marker": ""}},
        {"JobId": "large", "ArchiveSizeInBytes": 2**63 - 1, "Later": {"a": [1, None]}},
    ]
    publish(dataset, NOON, jobs)
    before = contents(dataset)

    assert compact_closed_days(dataset, now=settled(FIRST)) == [FIRST]
    expire(dataset, until=FIRST)
    assert contents(dataset) == before


def test_a_day_whose_folder_has_no_file_yet_is_read_from_its_raw_files(dataset: Dataset) -> None:
    before = contents(dataset)
    Path(dataset.compacted_path("observations", FIRST)).parent.mkdir(parents=True)

    assert contents(dataset) == before
    assert compact_closed_days(dataset, now=settled(FIRST)) == [FIRST]


def test_a_day_that_expires_while_the_days_are_listed_is_read_from_its_compacted_file(dataset: Dataset) -> None:
    class ExpiringDisk(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
        def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
            found = super().ls(path, detail, **kwargs)
            if path == f"{dataset.root}/observations":
                shutil.rmtree(f"{path}/snapshot_date={FIRST}", ignore_errors=True)
            return found

    before = rows_of(dataset.scan("jobs").to_table())
    compact_closed_days(dataset, now=settled(FIRST))

    assert rows_of(Dataset(filesystem=ExpiringDisk(), root=dataset.root).scan("jobs").to_table()) == before
    assert not Path(dataset.root, "observations", f"snapshot_date={FIRST}").exists()


def test_questions_about_open_days_make_no_request_for_each_compacted_day(dataset: Dataset) -> None:
    today = datetime.now(timezone.utc)
    observe(dataset, today, {"photos": [job("a")]})
    compact_closed_days(dataset, now=settled(THIRD))
    disk = RecordingDisk()
    recorded = Dataset(filesystem=disk, root=dataset.root)

    ids = recorded.observation_ids(since=today.date())
    assert [Path(path).name for path in disk.listed] == [
        "observations",
        f"snapshot_date={today.date()}",
        "observations",
    ]
    assert disk.opened == []
    assert recorded.read("jobs", ids).read_all().num_rows == 1
    assert len(disk.listed) == 3
    assert disk.opened == [dataset.path("jobs", ids[0])]


def test_days_are_compacted_when_they_have_settled_oldest_first_and_once(dataset: Dataset) -> None:
    assert compact_closed_days(dataset, now=settled(FIRST) - timedelta(microseconds=1)) == []
    assert compact_closed_days(dataset, now=settled(THIRD), limit=1) == [FIRST]
    assert compact_closed_days(dataset, now=settled(THIRD)) == [SECOND, THIRD]
    Path(dataset.root, "compacted/checked/notes.txt").write_text("of a person")
    before = compacted_bytes(dataset)

    assert compact_closed_days(dataset, now=settled(THIRD)) == []
    assert compacted_bytes(dataset) == before


def test_a_dataset_without_a_committed_observation_is_left_alone(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path / "records")
    assert compact_closed_days(dataset, now=settled(FIRST)) == []
    assert not Path(dataset.root).exists()

    crashed = observe(dataset, NOON, {"photos": [job("a")]})
    dataset.filesystem.rm(dataset.path("observations", crashed.observation_id))

    assert compact_closed_days(dataset, now=settled(FIRST)) == []
    assert files(dataset, "compacted") == []


_KILLED_AT = """
import json, os, sys
from datetime import datetime
from pathlib import Path
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset import publisher as publishing
from tests.observations import local_dataset

now, real = datetime.fromisoformat(sys.argv[1]), publishing._LocalPublisher.publish

def compact_until(root, step, moment):
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
    compact_closed_days(local_dataset(Path(root)), now=now)

# Processes that begin with the imported package: importing it takes seconds.
for arguments in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        compact_until(*arguments)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_after_a_kill_at_any_step_readers_have_each_row_and_the_next_run_completes_the_days(tmp_path: Path) -> None:
    undisturbed = local_dataset(tmp_path / "undisturbed")
    write_three_days(undisturbed)
    before = contents(undisturbed)
    steps = [*itertools.product(range(8), ["before"]), (3, "after"), (7, "after")]
    roots = [tmp_path / f"{step}-{moment}" for step, moment in steps]
    for root in roots:
        root.mkdir()
        for table in TABLES:
            (root / table).symlink_to(Path(undisturbed.root, table))
    arguments = [(str(root), *step) for root, step in zip(roots, steps, strict=True)]
    killed = run_python(_KILLED_AT, settled(SECOND).isoformat(), json.dumps(arguments))
    assert killed.split() == ["-9"] * len(steps)
    compact_closed_days(undisturbed, now=settled(SECOND))
    expected = compacted_bytes(undisturbed)

    for root in roots:
        rest = local_dataset(root)
        assert contents(rest) == before
        # One more folder than files may be there.
        assert compacted_bytes(rest).items() <= expected.items()

        compact_closed_days(rest, now=settled(SECOND))

        assert compacted_bytes(rest) == expected
        assert contents(rest) == before


def test_simultaneous_runs_write_the_same_files(dataset: Dataset, tmp_path: Path) -> None:
    before = contents(dataset)
    barrier = threading.Barrier(3)
    errors: list[Exception] = []

    def run() -> None:
        try:
            barrier.wait()
            compact_closed_days(dataset, now=settled(SECOND))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(files(dataset, "compacted")) == 8
    assert contents(dataset) == before


def changed(rows: pa.Table) -> pa.Table:
    values = ["another", *rows["status_message"].to_pylist()[1:]]
    return rows.set_column(rows.schema.get_field_index("status_message"), rows.schema.field("status_message"), [values])


def of_another_observation(rows: pa.Table) -> pa.Table:
    ids = [f"{rows['observation_id'][0].as_py()[:-6]}ffffff", *rows["observation_id"].to_pylist()]
    more = pa.concat_tables([rows.slice(0, 1), rows])
    return more.set_column(0, rows.schema.field(0), [ids])


WRONG: dict[str, Callable[[pa.Table], pa.Table]] = {
    "changed": changed,
    "fewer": lambda rows: rows.slice(1),
    "twice": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    "more": of_another_observation,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("marked", [False, True])
def test_a_wrong_compacted_file_is_an_error_and_nothing_is_tagged(s3: Dataset, wrong: str, marked: bool) -> None:
    other = Dataset(filesystem=s3.filesystem, root="records/other")
    s3.filesystem.copy("records/root", "records/other", recursive=True)
    compact_closed_days(other, now=settled(FIRST))
    path = s3.compacted_path("jobs", FIRST)
    with s3.filesystem.open(other.compacted_path("jobs", FIRST)) as file:
        jobs = pq.read_table(file)
    with s3.filesystem.open(path, "wb") as file:
        pq.write_table(WRONG[wrong](jobs), file)
    if marked:
        for table in ("vaults", "observations"):
            s3.filesystem.copy(other.compacted_path(table, FIRST), s3.compacted_path(table, FIRST))
    else:
        before = contents(s3)

    with pytest.raises(CompactedDiffers, match=r"compacted/jobs/snapshot_date=2026-11-18/jobs\.parquet differs from"):
        compact_closed_days(s3, now=settled(SECOND))

    assert not any(str(FIRST) in path for path in tagged(s3))
    assert not s3.filesystem.exists(f"{s3.root}/compacted/checked/{FIRST}")
    # The other day does not wait for this one.
    assert s3.filesystem.exists(f"{s3.root}/compacted/checked/{SECOND}")
    if not marked:
        assert contents(s3) == before


def test_a_raw_file_that_is_missing_is_an_error_that_names_it_and_nothing_is_published(dataset: Dataset) -> None:
    missing = Path(dataset.path("jobs", dataset.observation_ids()[0]))
    missing.unlink()

    with pytest.raises(FileNotFoundError, match=missing.name):
        compact_closed_days(dataset, now=settled(SECOND))

    assert {path for path in files(dataset, "compacted") if str(FIRST) in path} == set()
    assert Path(dataset.compacted_path("observations", SECOND)).exists()
    assert files(dataset, ".staging") == []


def _with_a_column(rows: pa.Table) -> pa.Table:
    return rows.append_column("later", pa.array(["x"] * rows.num_rows))


def _with_a_field(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("inventory_retrieval_parameters")
    kind = pa.struct([*rows.schema.field(place).type, pa.field("later", pa.string())])
    return rows.set_column(place, "inventory_retrieval_parameters", pa.nulls(rows.num_rows, kind))


def _of_version_2(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("schema_version")
    return rows.set_column(place, rows.schema.field(place), pa.array([2] * rows.num_rows))


@pytest.mark.parametrize(
    ("table", "changed", "message"),
    [
        ("jobs", _with_a_column, "does not know: later"),
        ("jobs", _with_a_field, "does not know: inventory_retrieval_parameters.later"),
        ("vaults", _with_a_column, "does not know: later"),
        ("observations", _with_a_column, "does not know: later"),
        ("observations", _of_version_2, "has the schema version 2; .* compacts version 1"),
        ("observations", lambda rows: rows.slice(0, 0), "do not name each of them once"),
    ],
)
def test_what_this_version_does_not_know_is_not_compacted_nor_tagged(
    s3: Dataset, table: str, changed: Callable[[pa.Table], pa.Table], message: str
) -> None:
    path = s3.path(table, s3.observation_ids(until=FIRST)[0])
    with s3.filesystem.open(path) as file:
        rows = pq.read_table(file)
    with s3.filesystem.open(path, "wb") as file:
        pq.write_table(changed(rows), file)

    with pytest.raises(MalformedFile, match=message):
        compact_closed_days(s3, now=settled(SECOND))

    assert not any(str(FIRST) in path for path in tagged(s3))
    assert not s3.filesystem.exists(s3.compacted_path("observations", FIRST))
    assert not s3.filesystem.exists(s3.compacted_path(table, FIRST))


def test_a_compacted_file_that_somebody_deleted_is_written_again(s3: Dataset) -> None:
    before = contents(s3)
    compact_closed_days(s3, now=settled(FIRST))
    s3.filesystem.rm_file(s3.compacted_path("jobs", FIRST))
    s3.filesystem.rm_file(f"{s3.root}/compacted/checked/{FIRST}")

    assert compact_closed_days(s3, now=settled(FIRST)) == [FIRST]
    assert contents(s3) == before


def test_an_observation_that_was_committed_too_late_is_read_from_its_raw_files(s3: Dataset) -> None:
    compact_closed_days(s3, now=settled(FIRST))
    late = observe(s3, NOON + hours(3), {"photos": [job("late")]})
    before = contents(s3)

    compact_closed_days(s3, now=settled(SECOND))

    assert contents(s3) == before
    assert late.observation_id in s3.observation_ids()
    assert not any(late.observation_id in path for path in tagged(s3))


def objects(dataset: Dataset) -> list[str]:
    """Return the keys below the root of all objects."""
    dataset.filesystem.invalidate_cache()
    return [path.removeprefix(f"{dataset.root}/") for path in dataset.filesystem.find(dataset.root)]


def tagged(dataset: Dataset) -> set[str]:
    """Return the keys below the root of the objects with the tag."""
    return {
        key for key in objects(dataset) if TAG.items() <= dataset.filesystem.get_tags(f"{dataset.root}/{key}").items()
    }


def expire_by_rule(dataset: Dataset, local_aws: Control) -> int:
    """Delete the objects to which the rule of the documents applies, regardless of their age; return how many."""
    client = boto3.client("s3", **local_aws.boto3_arguments())
    configuration = json.loads(LIFECYCLE.read_text().replace("PREFIX", "root"))
    client.put_bucket_lifecycle_configuration(Bucket="records", LifecycleConfiguration=configuration)
    accepted = client.get_bucket_lifecycle_configuration(Bucket="records")["Rules"]
    filters = [rule["Filter"]["And"] for rule in accepted if "Expiration" in rule]
    expired = 0
    for key in (f"root/{key}" for key in objects(dataset)):
        tags = client.get_object_tagging(Bucket="records", Key=key)["TagSet"]
        if any(key.startswith(each["Prefix"]) and all(tag in tags for tag in each["Tags"]) for each in filters):
            client.delete_object(Bucket="records", Key=key)
            expired += 1
    return expired


class TestTags:
    def test_are_on_the_raw_files_of_committed_observations_of_compacted_days_only(self, s3: Dataset) -> None:
        compacted = {
            f"{table}/snapshot_date={day}/{each}.parquet"
            for day in (FIRST, SECOND)
            for each in s3.observation_ids(since=day, until=day)
            for table in TABLES
        }

        compact_closed_days(s3, now=settled(SECOND))

        assert len(compacted) == 2 * 2 * 3
        assert tagged(s3) == compacted

    def test_are_added_to_those_that_an_object_has(self, s3: Dataset) -> None:
        path = s3.path("jobs", s3.observation_ids()[0])
        s3.filesystem.put_tags(path, {"team": "archive"})

        compact_closed_days(s3, now=settled(FIRST))

        assert s3.filesystem.get_tags(path) == {"team": "archive", **TAG}

    def test_are_completed_by_the_next_run_also_after_tagged_files_have_expired(
        self, s3: Dataset, local_aws: Control
    ) -> None:
        before = contents(s3)
        denied = Dataset(filesystem=SomeTags(**s3.filesystem.storage_options), root=s3.root)
        for _ in range(2):
            with pytest.raises(AccessDenied, match=r"may not be tagged .*allow s3:GetObjectTagging and s3:PutObj"):
                compact_closed_days(denied, now=settled(FIRST))
        expired = expire_by_rule(s3, local_aws)
        assert expired == 2
        assert contents(s3) == before

        assert compact_closed_days(s3, now=settled(FIRST)) == [FIRST]

        assert expired + expire_by_rule(s3, local_aws) == 2 * 3
        assert contents(s3) == before
        assert compact_closed_days(s3, now=settled(FIRST)) == []


def test_days_are_compacted_although_they_may_not_be_tagged(s3: Dataset) -> None:
    denied = Dataset(filesystem=SomeTags(**s3.filesystem.storage_options), root=s3.root)
    for _ in range(2):
        with pytest.raises(AccessDenied, match="may not be tagged"):
            compact_closed_days(denied, now=settled(SECOND), limit=1)

    assert all(s3.filesystem.exists(s3.compacted_path("observations", day)) for day in (FIRST, SECOND))


class SomeTags(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """A file system whose credentials may tag only some objects."""

    cachable = False

    def put_tags(self, path: str, tags: dict[str, str], mode: str = "o") -> None:
        if "/jobs/" not in path:
            raise PermissionError("Access Denied")
        super().put_tags(path, tags, mode)


def test_questions_and_scans_have_the_same_answers_before_and_after_compaction_and_expiry(
    s3: Dataset, local_aws: Control
) -> None:
    now = NOON + hours(60)
    expected = {question: reports.run(question, s3, now=now).to_pylist() for question in reports.QUESTIONS}
    before = contents(s3)

    for step in (lambda: compact_closed_days(s3, now=settled(SECOND)), lambda: expire_by_rule(s3, local_aws)):
        assert step()

        assert {question: reports.run(question, s3, now=now).to_pylist() for question in reports.QUESTIONS} == expected
        assert contents(s3) == before
    raw = [key for key in objects(s3) if key.startswith("observations/")]
    assert {key.split("/")[1] for key in raw} == {f"snapshot_date={THIRD}"}


class TestAReaderThatBeganBeforeTheRawFilesVanished:
    @pytest.fixture(params=["disk", "S3"])
    def any_dataset(self, request: pytest.FixtureRequest) -> Dataset:
        found: Dataset = request.getfixturevalue("dataset" if request.param == "disk" else "s3")
        return found

    def test_reads_the_rows_of_the_ids_that_it_has(self, any_dataset: Dataset) -> None:
        before = contents(any_dataset)
        readers = {table: any_dataset.read(table, any_dataset.observation_ids()) for table in TABLES}
        compact_closed_days(any_dataset, now=settled(SECOND))
        expire(any_dataset, until=SECOND)

        assert {table: rows_of(reader.read_all()) for table, reader in readers.items()} == before

    def test_reads_the_rest_of_the_rows(self, any_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        before = contents(any_dataset)
        ids = any_dataset.observation_ids()
        known = any_dataset.compacted_ids

        def then_compacts(included: Callable[[date], bool]) -> dict[date, list[str]]:
            found = known(included)
            monkeypatch.undo()
            compact_closed_days(any_dataset, now=settled(SECOND))
            expire(any_dataset, until=SECOND)
            return found

        for table in TABLES:
            monkeypatch.setattr(Dataset, "compacted_ids", lambda self, included: then_compacts(included))
            assert rows_of(any_dataset.read(table, ids, where=None).read_all()) == before[table]

    def test_scans_an_object_store(self, s3: Dataset, local_aws: Control) -> None:
        before = contents(s3)
        scans = {table: s3.scan(table) for table in TABLES}
        other = Dataset(filesystem=s3_of(local_aws), root=s3.root)
        compact_closed_days(other, now=settled(SECOND))
        expire(other, until=SECOND)

        assert {table: rows_of(scan.to_table()) for table, scan in scans.items()} == before

    def test_says_that_a_scan_that_has_read_the_file_must_be_repeated(self, s3: Dataset, local_aws: Control) -> None:
        before = contents(s3)
        scan = s3.scan("jobs")
        assert rows_of(scan.to_table()) == before["jobs"]
        other = Dataset(filesystem=s3_of(local_aws), root=s3.root)
        compact_closed_days(other, now=settled(SECOND))
        expire(other, until=SECOND)

        with pytest.raises(FileNotFoundError, match="was compacted after this scan read it; call scan again"):
            scan.to_table()
        assert rows_of(s3.scan("jobs").to_table()) == before["jobs"]

    def test_still_fails_if_no_compacted_file_has_the_rows(self, any_dataset: Dataset) -> None:
        ids = any_dataset.observation_ids()
        reader = any_dataset.read("jobs", ids)
        compact_closed_days(any_dataset, now=settled(FIRST))
        expire(any_dataset, until=SECOND)

        with pytest.raises(FileNotFoundError, match=ids[2]):
            reader.read_all()


class TestTheCommand:
    def test_compacts_all_days_that_are_finalized(self, dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([f"file://{dataset.root}"]) == 0

        assert "days compacted, 2026-11-18 to " in capsys.readouterr().out
        assert Path(dataset.compacted_path("observations", SECOND)).exists()

    def test_prints_the_error_and_exits_with_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["nowhere://at/all"]) == 1
        assert "nowhere://at/all" in capsys.readouterr().err
