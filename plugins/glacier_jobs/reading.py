"""Many Parquet files read as one stream, as quickly as their store allows.

An hourly observation of a few vaults is a small file, and years of them are very many. On an object store the
time goes into round trips: so a file is fetched whole, by one request, and many at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

#: Bytes that are held at a time of files fetched whole, and how many files that may be.
_BUNDLE_BYTES = 64 * 1024 * 1024
_BUNDLE_FILES = 256

#: How much larger the next bundle may be than the one before, as long as the files' sizes are not known.
_BUNDLE_GROWTH = 8


def read_files(
    filesystem: AbstractFileSystem,
    paths: Sequence[str],
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
) -> pa.RecordBatchReader:
    """Return the rows of files of one schema, to be read once, without holding more than some files at a time.

    :param paths: the files; no other is opened.
    :param columns: those wanted, in the order in which they are to come; ``None`` for all.
    :param where: which rows are wanted, by the wanted columns; ``None`` for all.
    :raises OSError: a file cannot be read.
    :raises ValueError: a file lacks a column.
    """
    narrowed = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    sources = _mapped(paths) if isinstance(filesystem, LocalFileSystem) else _fetched(filesystem, paths)
    return pa.RecordBatchReader.from_batches(narrowed, _batches(sources, narrowed, where))


def _batches(
    sources: Iterator[pa.NativeFile], narrowed: pa.Schema, where: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    for source in sources:
        # Not pyarrow.dataset: it keeps the footer of every file that it has read, which for a year is gigabytes.
        with source, pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=narrowed.names, use_threads=False)
                if missing := set(narrowed.names) - set(rows.schema.names):
                    raise ValueError(f"a Parquet file lacks the columns {', '.join(sorted(missing))}")
                rows = rows.select(narrowed.names).cast(narrowed)
                yield from (rows if where is None else rows.filter(where)).to_batches()


def _mapped(paths: Sequence[str]) -> Iterator[pa.NativeFile]:
    """Yield the files in their order, from this machine's disk."""
    for path in paths:
        yield pa.memory_map(path)


def _fetched(filesystem: AbstractFileSystem, paths: Sequence[str]) -> Iterator[pa.NativeFile]:
    """Yield the files in their order, from an object store."""
    first, count, largest = 0, 1, 1
    while first < len(paths):
        bundle = list(paths[first : first + count])
        fetched = filesystem.cat(bundle)
        bodies = [fetched[path] for path in bundle] if isinstance(fetched, dict) else [fetched]
        largest = max(largest, *map(len, bodies))
        for body in bodies:
            yield pa.BufferReader(body)
        first += len(bundle)
        count = max(1, min(count * _BUNDLE_GROWTH, _BUNDLE_FILES, _BUNDLE_BYTES // largest))
