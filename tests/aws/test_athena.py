"""Compare the DDL for Amazon Athena with the schema, and run its views over real files in DuckDB."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import TABLES
from tests.conftest import ROOT
from tests.observations import expire, local_dataset, publish

FIRST = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)

TABLES_SQL = (ROOT / "include" / "aws" / "athena-tables.sql").read_text()
BLOCK = re.DOTALL | re.MULTILINE
VIEWS_SQL = (ROOT / "include" / "aws" / "athena-views.sql").read_text()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("prefix", ["", "compacted_"])
def test_a_table_has_the_schemas_columns_in_their_order_and_types(table: str, prefix: str) -> None:
    match = re.search(rf"table if not exists glacier\.{prefix}{table} \((.*?)\n\)\npartitioned", TABLES_SQL, re.DOTALL)
    assert match

    columns = re.findall(r"^    `(\w+)` (.*?),?$", match[1], re.MULTILINE)

    assert columns == [(field.name, _athena_type(field.type)) for field in TABLES[table]]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_lies_where_the_writer_puts_its_files(table: str) -> None:
    dataset = local_dataset(Path("/dataset"))
    raw = dataset.path(table, "123456789012_us-east-1_20261122T010203Z_abcdef")
    for name, path in ((table, raw), (f"compacted_{table}", dataset.compacted_path(table, date(2026, 11, 22)))):
        match = re.search(rf"exists glacier\.{name} \(.*?^location 's3://BUCKET/PREFIX/(.*?)'$", TABLES_SQL, BLOCK)
        assert match
        assert path.startswith(f"/dataset/{match[1]}snapshot_date=2026-11-22/")


def test_the_views_show_each_row_of_committed_observations_once_whatever_is_compacted(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    for day in range(3):
        publish(dataset, FIRST + timedelta(days=day), ["a", f"job-{day}"])
        publish(dataset, FIRST + timedelta(days=day, minutes=1), [])
    crashed = publish(dataset, FIRST + timedelta(hours=1), ["b", "c"])
    Path(dataset.path("observations", crashed.observation_id)).unlink()
    before = _shown(dataset)
    assert [len(before[table]) for table in TABLES] == [6, 6, 6]
    assert not any("b" in row for row in before["jobs"])
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


def _shown(dataset: Dataset) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each view without the column ``compacted``."""
    with duckdb.connect() as database:
        database.execute("create schema glacier")
        for table, schema in TABLES.items():
            database.register("empty", pa.schema([*schema, ("snapshot_date", pa.date32())]).empty_table())
            for name, folder in ((table, table), (f"compacted_{table}", f"compacted/{table}")):
                found = any(Path(dataset.root, folder).glob("*/*.parquet"))
                source = f"read_parquet('{dataset.root}/{folder}/*/*.parquet')" if found else "empty"
                database.execute(f"create table glacier.{name} as from {source}")
        database.execute(VIEWS_SQL)
        rows = {table: f"from glacier.committed_{table} select * exclude (compacted)" for table in TABLES}
        return {table: sorted(database.execute(query).fetchall(), key=repr) for table, query in rows.items()}


def _athena_type(data_type: pa.DataType) -> str:
    if pa.types.is_timestamp(data_type):
        return "timestamp"
    if pa.types.is_struct(data_type):
        return f"struct<{', '.join(f'{field.name}: {_athena_type(field.type)}' for field in data_type)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.bool_(): "boolean"}[data_type]
