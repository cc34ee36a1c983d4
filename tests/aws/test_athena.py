"""The statements for Amazon Athena: compared with the schema, parsed, and run over real files in DuckDB."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from glacier_jobs import reports
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import INVENTORY_TABLES, TABLES
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.views.__main__ import main
from glacier_jobs.views.athena import athena_statements
from glacier_jobs.views.duckdb_file import create_views
from glacier_jobs.views.tables import FILE_TABLES
from tests.hand_written import job, observe
from tests.inventory.documents import publish_inventory
from tests.observations import expire, local_dataset, publish
from tests.test_docs import bi_query

FIRST = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)

#: One statement each, as one pastes them into Athena's editor.
STATEMENTS = [each for each in athena_statements("s3://conn@my-bucket/PREFIX").split(";\n") if each.strip()]
VIEWS = [
    "committed_jobs",
    "committed_vaults",
    "committed_observations",
    "jobs_latest",
    "job_history",
    "latest_archives",
]


def statement_of(table: str) -> str:
    [found] = [each for each in STATEMENTS if f"exists `glacier`.{table} (" in each]
    return found


def test_each_statement_is_one_in_athenas_dialect_and_each_table_also_in_hives() -> None:
    kinds = []
    for text in STATEMENTS:
        [created] = sqlglot.parse(text, dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)
        assert isinstance(created, exp.Create)
        kinds.append((created.kind, created.this.find(exp.Table).name or created.this.find(exp.Table).db))
        # Athena runs tables by Hive's grammar, and views by Trino's.
        other = "trino" if created.kind == "VIEW" else "hive"
        [same] = sqlglot.parse(text, dialect=other, error_level=sqlglot.ErrorLevel.RAISE)
        assert isinstance(same, exp.Create)
        assert not same.find(exp.Command)

    assert kinds == [
        ("DATABASE", "glacier"),
        *[("TABLE", table.name) for table in FILE_TABLES],
        *[("VIEW", name) for name in VIEWS],
    ]


@pytest.mark.parametrize("table", FILE_TABLES, ids=lambda table: table.name)
def test_a_table_has_the_columns_of_its_files_in_their_order_and_types(table: Any) -> None:
    columns = re.findall(r"^    `(\w+)` (.*?),?$", statement_of(table.name), re.MULTILINE)

    assert columns == [(field.name, _athena_type(field.type)) for field in table.schema]


def test_a_table_lies_where_its_files_are_written(tmp_path: Path) -> None:
    dataset = local_dataset(Path("/dataset"))
    history = History.beside(dataset)
    raw = "123456789012_us-east-1_20261122T010203Z_abcdef"
    day = date(2026, 11, 22)
    paths = {
        **{table: (dataset.path(table, raw), "snapshot_date") for table in TABLES},
        **{f"compacted_{table}": (dataset.compacted_path(table, day), "snapshot_date") for table in TABLES},
        "closed_jobs": (history.path("job_history", day), "closed_date"),
        "latest_generation": (history.generations.pointer, None),
        **{table: (dataset.path(table, raw), "inventory_date") for table in INVENTORY_TABLES},
    }
    assert list(paths) == [table.name for table in FILE_TABLES]
    for name, (path, key) in paths.items():
        [location] = re.findall(r"^location 's3://my-bucket/PREFIX/(.*?)'$", statement_of(name), re.MULTILINE)
        partition = f"{key}=2026-11-22/" if key else ""
        assert re.fullmatch(rf"/dataset/{re.escape(location + partition)}[^/]+", path)
        assert (f"partitioned by (`{key}` string)" in statement_of(name)) == bool(key)
        assert ("SymlinkTextInputFormat" in statement_of(name)) == (not key)


def test_the_views_show_each_row_of_committed_observations_once_whatever_is_compacted(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    for day in range(3):
        publish(dataset, FIRST + timedelta(days=day), ["a", f"job-{day}"])
        publish(dataset, FIRST + timedelta(days=day, minutes=1), [])
    crashed = publish(dataset, FIRST + timedelta(hours=1), ["b", "c"])
    Path(dataset.path("observations", crashed.observation_id)).unlink()
    before = _shown(dataset)
    assert [len(before[f"committed_{table}"]) for table in TABLES] == [6, 6, 6]
    assert not any("b" in row for row in before["committed_jobs"])
    settled = closes_at(FIRST.date() + timedelta(days=1)) + SETTLES_AFTER

    # During compaction: the files of a day whose commit mark does not exist yet.
    compact_closed_days(dataset, now=settled, limit=1)
    mark = Path(dataset.compacted_path("observations", FIRST.date()))
    mark.rename(tmp_path / "aside")
    assert _shown(dataset) == before
    (tmp_path / "aside").rename(mark)
    assert _shown(dataset) == before
    assert compact_closed_days(dataset, now=settled)
    assert _shown(dataset) == before
    # During expiry: the raw files of some tables.
    raw = list((tmp_path / "observations").glob("*/*.parquet"))
    for file in raw[::2]:
        if file.parent.name < "snapshot_date=2026-11-23":
            file.unlink()
    assert _shown(dataset) == before
    expire(dataset, until=FIRST.date() + timedelta(days=1))
    assert _shown(dataset) == before


def test_job_history_and_jobs_latest_mean_the_same_in_athenas_sql_as_in_duckdbs(tmp_path: Path) -> None:
    dataset, file = local_dataset(tmp_path / "records"), tmp_path / "views.duckdb"
    ended = FIRST - timedelta(hours=2, milliseconds=1)
    jobs = [
        job("whole", "Succeeded", created=FIRST - timedelta(hours=5), completed=ended, ArchiveSizeInBytes=7),
        job("range", "Succeeded", completed=ended, RetrievalByteRange="1048576-2097151", ArchiveSizeInBytes=9),
        job("absurd", "Succeeded", RetrievalByteRange="0-9223372036854775807", ArchiveSizeInBytes=8),
        job("failed", "Failed"),
    ]
    observe(dataset, FIRST, {"photos": [*jobs, job("running")]})
    observe(dataset, FIRST + timedelta(hours=1), {"photos": [job("running")]})
    observe(dataset, FIRST + timedelta(days=1), {"photos": [job("running"), jobs[0]]})
    fold_closed_days(dataset, History.beside(dataset), now=closes_at(FIRST.date()) + SETTLES_AFTER)
    now = FIRST + timedelta(days=2)
    tables = reports.Inquiry.into(dataset, now=now).tables
    tables.history.generations.publish(tables.jobs_latest(), made_at=now)

    found = _shown(dataset)

    create_views(dataset, file)
    with duckdb.connect(file) as database:
        for view in ("jobs_latest", "job_history"):
            assert found[view] == sorted(database.execute(f"from {view}").fetchall(), key=repr)
    assert len(found["job_history"]) == 5


def test_latest_archives_means_the_same_in_athenas_sql_as_in_duckdbs(tmp_path: Path) -> None:
    dataset, file = local_dataset(tmp_path / "records"), tmp_path / "views.duckdb"
    publish_inventory(dataset, FIRST, ["a", "b"])
    newest = publish_inventory(dataset, FIRST + timedelta(days=1), ["b", "c"])
    publish_inventory(dataset, FIRST + timedelta(days=1), ["b", "c"], rows_in=newest)

    found = _shown(dataset)["latest_archives"]

    create_views(dataset, file)
    with duckdb.connect(file) as database:
        assert found == sorted(database.execute("from latest_archives").fetchall(), key=repr)
    assert [row[4] for row in found] == ["b", "c"]


def _shown(dataset: Dataset) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each view, without the column ``compacted``, by what its SQL means in Trino's dialect."""
    history = History.beside(dataset)
    with duckdb.connect() as database:
        database.execute("create schema glacier")
        for table in FILE_TABLES:
            partition = [] if table.newest_only else [(table.key, pa.date32())]
            database.register("empty", pa.schema([*table.schema, *partition]).empty_table())
            pattern = f"{dataset.root}/{table.folder}/*/*.parquet"
            if table.newest_only and (names := history.generations.names()):
                pattern = history.generations.path(names[-1])
            found = bool(database.execute(f"from glob('{pattern}')").fetchall())
            partitioned = f"hive_partitioning = {not table.newest_only}"
            source = f"read_parquet('{pattern}', {partitioned})" if found else "empty"
            database.execute(f"create table glacier.{table.name} as from {source}")
        for text in STATEMENTS[-len(VIEWS) :]:
            [translated] = sqlglot.transpile(text, read="athena", write="duckdb")
            database.execute(translated)
        rows = {view: database.sql(f"from glacier.{view}") for view in VIEWS}
        rows |= {
            view: each.select("* exclude (compacted)") for view, each in rows.items() if "compacted" in each.columns
        }
        return {view: sorted(each.fetchall(), key=repr) for view, each in rows.items()}


def test_the_query_of_the_page_about_bi_tools_is_one_in_athenas_dialect() -> None:
    [query] = sqlglot.parse(bi_query(), dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)

    assert isinstance(query, exp.Select)


def test_the_command_prints_the_statements_for_the_bucket_and_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["athena", "s3://aws_archive@my-bucket/a/b c/", "--database", "archive_jobs"]) == 0

    printed = capsys.readouterr().out
    locations = re.findall(r"location '(.*?)'", printed)
    assert len(locations) == len(FILE_TABLES)
    assert all(location.startswith("s3://my-bucket/a/b c/") for location in locations)
    assert "glacier" not in printed
    assert printed.replace("archive_jobs", "glacier").replace("my-bucket/a/b c", "my-bucket/PREFIX") == (
        athena_statements("s3://my-bucket/PREFIX") + "\n"
    )


@pytest.mark.parametrize(
    ("uri", "database", "found"),
    [
        ("file:///data/glacier", "glacier", "file:///data/glacier"),
        ("s3://bucket/it's", "glacier", "it's"),
        ("s3://bucket/a\\b", "glacier", "a\\b"),
        ("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/name/x", "glacier", "accesspoint"),
        ("s3://bucket/x", "glacier; drop table x", "drop table"),
        ("s3://bucket/x", "Glacier", "Glacier"),
        ("s3://bucket/x", "a`b", "a`b"),
    ],
)
def test_what_athena_cannot_read_is_refused(uri: str, database: str, found: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        athena_statements(uri, database)

    assert found in str(caught.value)
    assert "expected" in str(caught.value)


def test_secrets_in_a_uri_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["athena", "s3://AKIAIOSFODNN7EXAMPLE:secret@bucket/x"]) == 1

    assert "secret@" not in capsys.readouterr().err


def _athena_type(data_type: pa.DataType) -> str:
    if pa.types.is_timestamp(data_type):
        return "timestamp"
    if pa.types.is_struct(data_type):
        return f"struct<{', '.join(f'{field.name}: {_athena_type(field.type)}' for field in data_type)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.bool_(): "boolean", pa.float64(): "double"}[data_type]
