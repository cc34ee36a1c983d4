"""Many Parquet files read as one stream, as quickly as their store allows.

An hourly observation of a few vaults is a small file, and years of them are very many. On an object store the
time goes into round trips: so a file is fetched whole, by one request, and many at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.dataset as pads
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import LocalFileSystem as ArrowLocalFileSystem

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
    where: pads.Expression | None = None,
) -> pa.RecordBatchReader:
    """Return the rows of files of one schema, to be read once, without holding more than some files at a time.

    :param paths: the files; no other is opened.
    :param columns: those wanted, in the order in which they are to come; ``None`` for all.
    :param where: which rows are wanted; ``None`` for all.
    :raises OSError: a file cannot be read.
    """
    wanted = list(columns) if columns is not None else schema.names
    if isinstance(filesystem, LocalFileSystem):
        found = pads.FileSystemDataset.from_paths(
            list(paths), schema=schema, format=pads.ParquetFileFormat(), filesystem=ArrowLocalFileSystem()
        )
        return found.scanner(columns=wanted, filter=where).to_reader()
    narrowed = pa.schema([schema.field(name) for name in wanted])
    return pa.RecordBatchReader.from_batches(narrowed, _fetched(filesystem, paths, schema, narrowed, where))


def _fetched(
    filesystem: AbstractFileSystem,
    paths: Sequence[str],
    schema: pa.Schema,
    narrowed: pa.Schema,
    where: pads.Expression | None,
) -> Iterator[pa.RecordBatch]:
    file_format = pads.ParquetFileFormat()
    for body in _bodies(filesystem, paths):
        file = file_format.make_fragment(pa.BufferReader(body))
        yield from file.to_batches(schema=schema, columns=narrowed.names, filter=where)


def _bodies(filesystem: AbstractFileSystem, paths: Sequence[str]) -> Iterator[bytes]:
    """Yield the contents of the files in their order."""
    first, count, largest = 0, 1, 1
    while first < len(paths):
        bundle = list(paths[first : first + count])
        fetched = filesystem.cat(bundle)
        bodies = [fetched[path] for path in bundle] if isinstance(fetched, dict) else [fetched]
        yield from bodies
        first += len(bundle)
        largest = max(largest, *map(len, bodies))
        count = max(1, min(count * _BUNDLE_GROWTH, _BUNDLE_FILES, _BUNDLE_BYTES // largest))
