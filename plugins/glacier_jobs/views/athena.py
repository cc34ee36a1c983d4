"""The statements that create the tables and views of a dataset in Amazon Athena (engine version 3)."""

from __future__ import annotations

import re

import pyarrow as pa

from glacier_jobs.dataset.uris import check_uri
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.history.files import VERSION_FOLDER
from glacier_jobs.views.tables import FILE_TABLES, FileTable, view_statements

_HEADER = """\
-- The tables and views of a dataset for Amazon Athena (engine version 3). Run the statements one at a time. Partitions
-- are projected: a new day needs no crawler and no MSCK REPAIR. snapshot_date and closed_date are text: 2026-11-22."""

#: Where Athena can read: the characters that need no escape in a key or in a string of SQL.
_PLACE = re.compile(r"[a-z0-9.-]+(/[\w.!()=+~ -]+)*", re.ASCII)

_DATABASE = re.compile(r"[a-z][a-z0-9_]{0,254}", re.ASCII)

#: No dataset has an earlier day.
_FIRST_DAY = "2026-01-01"


def athena_statements(dataset_uri: str, database: str = "glacier") -> str:
    """Return the statements that create the tables and views of a dataset, as text.

    Example::

        print(athena_statements("s3://aws_archive@my-bucket/glacier"))

    :param dataset_uri: ``s3://bucket/path`` or ``s3://conn_id@bucket/path``; nothing is opened.
    :param database: the database of the tables and views: small letters, digits and ``_``.
    :raises InvalidArgument: Athena cannot read the place of this dataset, or the name of the database is not valid.
    """
    place = _place(dataset_uri)
    if not _DATABASE.fullmatch(database):
        raise InvalidArgument(
            f"database is {database!r}; expected small letters, digits and _, beginning with a letter"
        )
    # Quoted, because it may be a reserved word: Athena reads tables by Hive's grammar, and views by Trino's.
    tables = [_table(f"`{database}`.{each.name}", each, place) for each in FILE_TABLES]
    created = f"create database if not exists `{database}`;"
    return "\n\n".join([_HEADER, created, *tables, view_statements(f'"{database}".')])


def _place(dataset_uri: str) -> str:
    check_uri(dataset_uri, "dataset_uri")
    scheme, _, rest = dataset_uri.partition("://")
    place = rest.rpartition("@")[2].rstrip("/")
    if scheme.lower() not in {"s3", "s3a"} or not _PLACE.fullmatch(place):
        raise InvalidArgument(
            f"Athena cannot read {scheme}://{place}; expected s3://bucket/path with letters, digits, spaces and "
            "_ . - ! ( ) = + ~ in the path (for a dataset on a disk: python -m glacier_jobs.views duckdb)"
        )
    return f"s3://{place}"


def _table(name: str, table: FileTable, place: str) -> str:
    columns = ",\n".join(f"    `{field.name}` {_type(field.type)}" for field in table.schema)
    files = _pointed_to(place) if table.newest_only else _partitioned(f"{place}/{table.folder}/", table.key)
    return f"-- {table.comment}\ncreate external table if not exists {name} (\n{columns}\n)\n{files};"


def _pointed_to(place: str) -> str:
    """Return the clauses of a table of one file, whose URI is in a file that is replaced in one step."""
    return f"""\
row format serde 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
stored as inputformat 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
outputformat 'org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat'
location '{place}/{VERSION_FOLDER}/jobs_latest_pointer/'"""


def _partitioned(location: str, key: str) -> str:
    """Return the clauses of a table whose partitions are days, and are projected."""
    return f"""\
partitioned by (`{key}` string)
stored as parquet
location '{location}'
tblproperties (
    'projection.enabled' = 'true',
    'projection.{key}.type' = 'date',
    'projection.{key}.format' = 'yyyy-MM-dd',
    'projection.{key}.range' = '{_FIRST_DAY},NOW+1DAYS',
    'projection.{key}.interval' = '1',
    'projection.{key}.interval.unit' = 'DAYS'
)"""


def _type(data_type: pa.DataType) -> str:
    if pa.types.is_timestamp(data_type):
        return "timestamp"
    if pa.types.is_struct(data_type):
        return f"struct<{', '.join(f'{field.name}: {_type(field.type)}' for field in data_type)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "boolean"}[data_type]
