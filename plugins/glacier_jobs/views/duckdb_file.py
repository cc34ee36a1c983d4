"""A DuckDB file with the views of a dataset on a disk, for programs that open DuckDB files."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.views.tables import FILE_TABLES, FileTable, view_statements


def create_views(dataset: Dataset, file: Path) -> list[str]:
    """Create the views of a dataset in a DuckDB file, or replace them. What else is in the file stays.

    The views contain the path of the dataset and none of its rows: they show what is there when they are queried. No
    file is found by a view that was created before the first file of its kind was written, for example before the first
    day was compacted. Such a view raises an error as soon as there is one, and has to be created again. Without a
    report, ``jobs_latest`` and ``job_history`` raise an error at once.

    Example::

        create_views(open_dataset("file:///data/glacier"), Path("glacier.duckdb"))

    :param file: the DuckDB file; it need not exist.
    :return: the names of the views to query.
    :raises InvalidArgument: the dataset is not on a disk, or has neither snapshots nor inventories; or the file cannot
        be written, or is not DuckDB's.
    """
    if not isinstance(dataset.filesystem, LocalFileSystem):
        raise InvalidArgument(
            f"{dataset.root} is not on a disk of this machine; expected file:///absolute/path (for S3: "
            "python -m glacier_jobs.views athena, or Dataset.scan)"
        )
    # Without a schema: its name would be ambiguous in a file of the same name.
    views = view_statements("")
    if "\\" in dataset.root:
        raise InvalidArgument(f"DuckDB cannot search below {dataset.root}; expected a path without \\")
    if not dataset.dates() and not dataset.inventory_ids():
        raise InvalidArgument(
            f"there is no snapshot below {dataset.root}, and no inventory; expected the root of a dataset"
        )
    try:
        with duckdb.connect(file) as database:
            database.begin()
            for table in FILE_TABLES:
                database.execute(f"create or replace view {table.name} as {_files(database, dataset, table)}")
            database.execute(views)
            database.commit()
    except duckdb.Error as error:
        raise InvalidArgument(f"the views could not be created in {file}: {error}") from error
    return re.findall(r"^create or replace view (\S+) as", views, re.MULTILINE)


def _files(database: duckdb.DuckDBPyConnection, dataset: Dataset, table: FileTable) -> str:
    """Return a query of the rows of a table's files."""
    # A name may contain what has a meaning in a pattern.
    root = re.sub(r"([*?\[])", r"[\1]", dataset.root)
    pattern = _quoted(f"{root}/{table.folder}/{table.key}=*/*.parquet")
    if not database.execute(f"from glob({pattern}) limit 1").fetchone():
        return _no_files(database, table, pattern)
    columns = ", ".join(field.name for field in table.schema)
    # Not as a Hive partition: DuckDB would take each "name=value" in the path of the dataset for one, too.
    files = f"read_parquet({pattern}, hive_partitioning = false, filename = true)"
    if table.newest_only:
        # The names are in the order of time. DuckDB lists the folders in the order of this text: one that is published
        # in between is not the newest one. After the other order, it would be, and its rows would be missing. It lists
        # the files in the folders later, in any order, but a folder is published with its file.
        newest = f"(from glob({pattern}) select max(file) as file) newest"
        return f"from {newest} join {files} rows on rows.filename = newest.file select {columns}"
    key = f"regexp_extract(filename, '/{table.key}=([^/]+)/[^/]+$', 1)"
    return f"from {files} select {columns}, cast({key} as date) as {table.key}"


def _no_files(database: duckdb.DuckDBPyConnection, table: FileTable, pattern: str) -> str:
    """Return a query that raises an error: once there are files, or at once if their rows are missing already."""
    # For read_parquet, a pattern without files is an error.
    what, where = f"the first files of {table.name} were written after its view was created", f"glob({pattern})"
    if table.newest_only:
        what, where = f"there was no report when the view of {table.name} was created: make one", "range(1)"
    message = _quoted(f"{what}; then create the views again, with python -m glacier_jobs.views duckdb")
    partition = [] if table.newest_only else [(table.key, pa.date32())]
    empty = pa.schema([*table.schema, *partition]).empty_table()
    types = zip(empty.schema.names, database.from_arrow(empty).types, strict=True)
    # In each column, too: DuckDB skips a condition if it can tell without it that there are no rows.
    columns = ", ".join(f"cast(error({message}) as {type_}) as {name}" for name, type_ in types)
    return f"from {where} select {columns} where error({message}) is null"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
