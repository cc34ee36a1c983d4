"""How the files of the history are written and deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.dataset.writer import repeating_columns

#: The folder of the version of the rules and of the columns, below the root.
VERSION_FOLDER = "history/v2"

#: How long a superseded file is kept, for those that read it: a task of the report DAG runs for two hours at most.
KEPT_FOR = timedelta(hours=3)

#: As in the raw files: readers hold one group of rows in memory.
_ROW_GROUP_ROWS = 16_384


def delete(filesystem: AbstractFileSystem, path: str) -> None:
    """Delete a file, and on a disk its folder if it was the last file in it. A missing file is no error."""
    with contextlib.suppress(FileNotFoundError):
        filesystem.rm_file(path)
    if isinstance(filesystem, LocalFileSystem):
        with contextlib.suppress(OSError):
            Path(path).parent.rmdir()


def write_rows(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write rows to a Parquet file, without holding all of them in memory."""
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating_columns(schema)) as writer:
        for rows in _groups(schema, batches):
            writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the same rows in groups of at least as many rows as a group of the file has, except the last."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= _ROW_GROUP_ROWS:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)
