"""Fast reading of many Parquet files as one stream.

The file of an hourly observation of a few vaults is small, and years of them are very many files. So the cost of each
file, and not that of its rows, determines the time. Therefore each small file is fetched whole by a single request,
many files are fetched concurrently, several are decoded concurrently, and their rows are combined into few large
batches.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import pyarrow as pa
import pyarrow.acero as acero
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.errors import GlacierJobsError, MalformedFile

#: Smaller files are fetched whole, and decoded concurrently. Larger files are read one at a time.
_SMALL_BYTES = 256 * 1024

#: How many small files are fetched concurrently. Multiplied by their size, this limits the memory that they take.
_FETCHED_AT_ONCE = 256

#: How many small files are decoded concurrently, and how many may be queued for that.
_DECODERS = min(4, os.cpu_count() or 1)
_DECODED_AHEAD = 32

#: How many rows are combined into one batch: as many as in a row group of this package's files.
_BATCH_ROWS = 16_384


def read_files(
    filesystem: AbstractFileSystem,
    paths: Sequence[str],
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
    missing: dict[str, FileNotFoundError] | None = None,
    exact: bool = False,
) -> pa.RecordBatchReader:
    """Return the rows of files with the same schema; they can be read once. Holds only few files in memory at a time.

    From an object store, at most 64 MiB of small files or one larger file are held in memory, and the rows of those
    small files that are being decoded.

    :param paths: the files to read; no other file is opened.
    :param columns: the columns to read, in the order of the result; ``None`` for all.
    :param where: a filter on these columns; ``None`` for all rows.
    :param missing: receives path -> error of each file that does not exist, while the rows are read, instead of raising
        the error; ``None`` to raise it.
    :param exact: whether a file with a column, or a field in a column, that is not in ``schema`` is an error.
    :raises OSError: a file cannot be read; raised while the rows are read.
    :raises MalformedFile: a file is not Parquet, or lacks a column, or has others; raised while the rows are read.
    """
    narrowed = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    opened = _mapped(paths) if isinstance(filesystem, LocalFileSystem) else _fetched(filesystem, paths)
    files = _existing(opened, missing)
    return pa.RecordBatchReader.from_batches(narrowed, _gathered(_decoded(files, narrowed, where, exact=exact)))


@contextmanager
def unreadable_as_os_error(path: str) -> Iterator[None]:
    """Convert the errors of a store's client, each of which has its own classes, to :class:`OSError` with the path."""
    try:
        yield
    except (OSError, GlacierJobsError):
        raise
    except Exception as error:
        raise OSError(f"{path} could not be read: {error}") from error


#: A file's path and its content.
_File = tuple[str, pa.NativeFile]

#: A file's path, and its content or the error that it does not exist.
_Opened = tuple[str, pa.NativeFile | FileNotFoundError]


def _existing(opened: Iterable[_Opened], missing: dict[str, FileNotFoundError] | None) -> Iterator[_File]:
    """Yield the files that exist, in their order; add the others to ``missing``, or raise their error without it."""
    for path, source in opened:
        if not isinstance(source, FileNotFoundError):
            yield path, source
        elif missing is None:
            raise FileNotFoundError(f"{path} does not exist") from source
        else:
            missing[path] = source


def _mapped(paths: Sequence[str]) -> Iterator[_Opened]:
    """Yield the files in their order, from this machine's disk."""
    for path in paths:
        try:
            yield path, pa.memory_map(path)
        except FileNotFoundError as error:
            yield path, error


def _fetched(filesystem: AbstractFileSystem, paths: Sequence[str]) -> Iterator[_Opened]:
    """Yield the files in their order, from an object store."""
    for first in range(0, len(paths), _FETCHED_AT_ONCE):
        bundle = list(paths[first : first + _FETCHED_AT_ONCE])
        # With a range, even if the file is shorter: without one, s3fs requests each file's size first.
        with unreadable_as_os_error(f"{bundle[0]}, or one of the {len(bundle) - 1} files after it"):
            bodies = filesystem.cat_ranges(bundle, 0, _SMALL_BYTES, on_error="return")
        for path, body in zip(bundle, bodies, strict=True):
            try:
                with unreadable_as_os_error(path):
                    if isinstance(body, Exception):
                        raise body
                    source = pa.BufferReader(body if len(body) < _SMALL_BYTES else filesystem.cat_file(path))
            except FileNotFoundError as error:
                yield path, error
            else:
                yield path, source


def _decoded(
    files: Iterable[_File], narrowed: pa.Schema, where: pc.Expression | None, *, exact: bool
) -> Iterator[pa.Table]:
    """Yield the rows of the files in their order: small files as a whole, others by row groups."""

    def decode(path: str, source: pa.NativeFile) -> list[pa.Table]:
        return list(_row_groups(path, source, narrowed, where, exact=exact))

    waiting: deque[Future[list[pa.Table]]] = deque()
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="read-files") as pool:
        for path, source in files:
            if source.size() < _SMALL_BYTES:
                waiting.append(pool.submit(decode, path, source))
                if len(waiting) == _DECODED_AHEAD:
                    yield from waiting.popleft().result()
            else:
                yield from chain.from_iterable(done.result() for done in waiting)
                waiting.clear()
                yield from _row_groups(path, source, narrowed, where, exact=exact)
        yield from chain.from_iterable(done.result() for done in waiting)


def _names(fields: Iterable[pa.Field], within: str = "") -> set[str]:
    """Return the names of columns, and of the fields in them as ``column.field``."""
    found = set()
    for field in fields:
        found.add(f"{within}{field.name}")
        found |= _names(field.type, f"{within}{field.name}.") if pa.types.is_struct(field.type) else set()
    return found


def _row_groups(
    path: str, source: pa.NativeFile, narrowed: pa.Schema, where: pc.Expression | None, *, exact: bool
) -> Iterator[pa.Table]:
    try:
        # Not pyarrow.dataset: it keeps the footer of every file in memory, which for a year of files is gigabytes.
        with source, pq.ParquetFile(source) as file:
            if missing := set(narrowed.names) - set(file.schema_arrow.names):
                raise MalformedFile(f"{path} lacks the columns {', '.join(sorted(missing))}")
            if exact and (others := _names(file.schema_arrow) - _names(narrowed)):
                raise MalformedFile(f"{path} has columns that this version does not know: {', '.join(sorted(others))}")
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=narrowed.names, use_threads=False)
                rows = rows.select(narrowed.names).cast(narrowed)
                yield rows if where is None else _filtered(rows, where)
    except MalformedFile:
        raise
    except (pa.ArrowException, OSError) as error:
        # The bytes are in memory, or mapped: Arrow raises OSError for some damaged pages.
        raise MalformedFile(f"{path} cannot be read as Parquet: {error}") from error


def _filtered(rows: pa.Table, where: pc.Expression) -> pa.Table:
    # Without Arrow's threads, unlike Table.filter: one of them may be waiting for these rows.
    steps = [
        acero.Declaration("table_source", acero.TableSourceNodeOptions(rows)),
        acero.Declaration("filter", acero.FilterNodeOptions(where)),
    ]
    return acero.Declaration.from_sequence(steps).to_table(use_threads=False).cast(rows.schema)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in fewer batches."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if rows >= _BATCH_ROWS:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()
