"""DuckDB as this package uses it: over registered Arrow tables, in UTC, without access to files or the network."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from glacier_jobs.errors import TookTooLong


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a computation.

    :param memory: how much DuckDB may hold before it spills to the temporary folder.
    :param deadline: when it is interrupted, by ``time.monotonic``; ``None`` for never.
    """

    memory: str = "2GiB"
    deadline: float | None = None


_LIMITS: ContextVar[Limits] = ContextVar("glacier_jobs_engine_limits", default=Limits())  # noqa: B039 - it is frozen

_BATCH_ROWS = 65_536

_INTERRUPTS_EVERY_SECONDS = 0.1


@cache
def statement(name: str) -> str:
    """Return an SQL statement of this package by its path below ``sql/``, without the ending."""
    return files("glacier_jobs.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@contextlib.contextmanager
def limits(*, memory: str, seconds: float | None = None) -> Iterator[None]:
    """Limit all computations inside the block.

    :param memory: how much DuckDB may hold before it spills to the temporary folder.
    :param seconds: how long they may take together; ``None`` for no limit.
    :raises TookTooLong: one of them exceeded the time limit, and was interrupted.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    token = _LIMITS.set(Limits(memory=memory, deadline=deadline))
    try:
        yield
    except duckdb.InterruptException as error:
        raise TookTooLong(f"the question was not answered within {seconds:g} s, and was interrupted") from error
    finally:
        _LIMITS.reset(token)


class _Database:
    """An empty DuckDB database in memory."""

    def __init__(self, memory: str) -> None:
        self._spill = tempfile.TemporaryDirectory(prefix="glacier-jobs-duckdb-")
        self._root = duckdb.connect()
        _set(
            self._root,
            memory_limit=memory,
            temp_directory=self._spill.name,
            autoinstall_known_extensions="false",
            autoload_known_extensions="false",
            # Last: it refuses a change of the temporary folder.
            enable_external_access="false",
        )

    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return a connection with settings and temporary tables of its own."""
        connection = self._root.cursor()
        _set(
            connection,
            TimeZone="UTC",
            # It would be written to the logs of tasks.
            enable_progress_bar="false",
            # An unknown table must be an error, and not a variable of the caller.
            python_enable_replacements="false",
        )
        return connection

    def close(self) -> None:
        self._root.close()
        # A thread that was handed work inside shared_database() keeps this object in its context: fsspec's thread does
        # until Python ends, when DuckDB can no longer be freed without aborting the process.
        del self._root
        self._spill.cleanup()


def _set(connection: duckdb.DuckDBPyConnection, **settings: str) -> None:
    for name, value in settings.items():
        connection.execute(f"SET {name} = '{value}'")


_SHARED: ContextVar[_Database | None] = ContextVar("glacier_jobs_engine_database", default=None)


@contextlib.contextmanager
def shared_database() -> Iterator[None]:
    """Let the engines inside the block share one database: opening one takes longer than many questions."""
    if _SHARED.get() is not None:
        yield
        return
    with contextlib.closing(_Database(_LIMITS.get().memory)) as database:
        token = _SHARED.set(database)
        try:
            yield
        finally:
            _SHARED.reset(token)


class Engine:
    """Registered tables, which no other engine sees, and SQL over them. A context manager.

    Example::

        with Engine() as engine:
            engine.register(jobs=jobs)
            answer = engine.query("SELECT count(*) AS jobs FROM jobs WHERE status_code = $status", status="Failed")
    """

    def __init__(self) -> None:
        limits = _LIMITS.get()
        shared = _SHARED.get()
        database = shared or _Database(limits.memory)
        self._own = None if shared else database
        self._connection = database.connection()
        self._reader_errors: list[Exception] = []
        self._done = threading.Event()
        self._watch: threading.Thread | None = None
        if limits.deadline is not None:
            self._watch = threading.Thread(target=self._interrupt_from, args=[limits.deadline], daemon=True)
            self._watch.start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        if self._watch is not None:
            self._watch.join()
        self._connection.close()
        if self._own is not None:
            self._own.close()

    def _interrupt_from(self, deadline: float) -> None:
        """From the deadline on, interrupt the running statement."""
        remaining_seconds = max(deadline - time.monotonic(), 0.0)
        while not self._done.wait(remaining_seconds):
            # Repeatedly: DuckDB ignores an interruption between two statements.
            self._connection.interrupt()
            remaining_seconds = _INTERRUPTS_EVERY_SECONDS

    def register(self, **tables: pa.Table | pa.RecordBatchReader) -> None:
        """Register Arrow tables by name; a reader can be read once.

        What a reader raises is raised by the method that reads it.
        """
        for name, table in tables.items():
            self._connection.register(
                name, self._recording_errors(table) if isinstance(table, pa.RecordBatchReader) else table
            )

    def register_reusable(self, name: str, table: pa.Table | pa.RecordBatchReader) -> None:
        """Register an Arrow table that can be read more than once."""
        if isinstance(table, pa.RecordBatchReader):
            # One chunk: the reader has one for each file.
            table = table.read_all().combine_chunks()
        self._connection.register(name, table)

    def create_table(self, name: str, sql: str, **arguments: Any) -> None:
        """Create a table from a query."""
        with self._reading():
            self._connection.execute(f"CREATE TEMP TABLE {name} AS {sql}", arguments or None)

    def create_view(self, name: str, sql: str) -> None:
        """Give a query a name; it is answered each time that it is read."""
        self._connection.execute(f"CREATE TEMP VIEW {name} AS {sql}")

    def query(self, sql: str, schema: pa.Schema | None = None, **arguments: Any) -> pa.Table:
        """Return the result of a query.

        :param schema: the schema that the result must have; another is an error.
        :param arguments: the values of the ``$names`` in the SQL.
        """
        with self._reading():
            found: pa.Table = self._connection.sql(sql, params=arguments).to_arrow_table(_BATCH_ROWS)
        return found if schema is None else _as_declared(found, schema)

    def stream(self, sql: str, schema: pa.Schema, **arguments: Any) -> Iterator[pa.RecordBatch]:
        """Yield the result of a query in batches, without holding all of it in memory.

        :param schema: the schema that the result must have; another is an error.
        :param arguments: the values of the ``$names`` in the SQL.
        """
        with self._reading():
            for batch in self._connection.sql(sql, params=arguments).to_arrow_reader(_BATCH_ROWS):
                yield from _as_declared(pa.Table.from_batches([batch]), schema).to_batches()

    def _recording_errors(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        # Not self: a thread of Arrow may be the last to hold the reader, and would free the connection.
        errors = self._reader_errors

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from reader
            except Exception as error:
                errors.append(error)
                raise

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise what a reader raised, which DuckDB, or Arrow for a stream, has only as text in an error of its own."""
        try:
            yield
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            if self._reader_errors:
                raise self._reader_errors[-1] from error
            raise


def _as_declared(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the same rows with the declared nullability and field order."""
    if table.schema.names != schema.names:
        raise ValueError(f"the result has the columns {table.schema.names}; expected {schema.names}")
    return pa.table(dict(zip(schema.names, table.columns, strict=True))).cast(schema)
