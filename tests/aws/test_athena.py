"""Compare the DDL for Amazon Athena with the schema, and run its views over real files in DuckDB."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from glacier_jobs.dataset.schema import TABLES
from tests.conftest import ROOT
from tests.observations import local_dataset, publish

TABLES_SQL = (ROOT / "include" / "aws" / "athena-tables.sql").read_text()
VIEWS_SQL = (ROOT / "include" / "aws" / "athena-views.sql").read_text()


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_schemas_columns_in_their_order_and_types(table: str) -> None:
    match = re.search(rf"table if not exists glacier\.{table} \((.*?)\n\)\npartitioned", TABLES_SQL, re.DOTALL)
    assert match

    columns = re.findall(r"^    `(\w+)` (.*?),?$", match[1], re.MULTILINE)

    assert columns == [(field.name, _athena_type(field.type)) for field in TABLES[table]]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_lies_where_the_writer_puts_its_files(table: str) -> None:
    assert f"location 's3://BUCKET/PREFIX/{table}/'" in TABLES_SQL
    path = local_dataset(Path("/dataset")).path(table, "123456789012_us-east-1_20261122T010203Z_abcdef")
    assert path.startswith(f"/dataset/{table}/snapshot_date=2026-11-22/")


def test_the_views_show_committed_observations_only(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    publish(dataset, datetime(2026, 11, 21, 23, tzinfo=timezone.utc), ["a", "b"])
    crashed = publish(dataset, datetime(2026, 11, 22, 1, tzinfo=timezone.utc), ["b", "c"])
    Path(dataset.path("observations", crashed.observation_id)).unlink()

    with duckdb.connect() as database:
        database.execute("create schema glacier")
        for table in TABLES:
            files = f"{tmp_path}/{table}/*/*.parquet"
            database.execute(f"create view glacier.{table} as from read_parquet('{files}')")
        database.execute(VIEWS_SQL)
        jobs = database.execute("select job_id from glacier.committed_jobs order by job_id").fetchall()
        vaults = database.execute("select jobs from glacier.committed_vaults").fetchall()

    assert jobs == [("a",), ("b",)]
    assert vaults == [(2,)]


def _athena_type(data_type: pa.DataType) -> str:
    if pa.types.is_timestamp(data_type):
        return "timestamp"
    if pa.types.is_struct(data_type):
        return f"struct<{', '.join(f'{field.name}: {_athena_type(field.type)}' for field in data_type)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.bool_(): "boolean"}[data_type]
