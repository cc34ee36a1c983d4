from __future__ import annotations

import contextlib
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from glacier_jobs.errors import TookTooLong
from glacier_jobs.sql.engine import Engine, limits, shared_database

_ENDLESS = "SELECT count(*) AS count FROM range(1000000000) a, range(1000000000) b"


def test_times_are_in_utc_in_any_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    late = datetime(2026, 11, 18, 23, 30, tzinfo=timezone.utc)

    with Engine() as engine:
        answer = engine.query("SELECT $at::DATE AS day, date_trunc('hour', $at) AS hour", at=late)

    assert answer.to_pylist() == [{"day": late.date(), "hour": late.replace(minute=0)}]
    assert answer.schema.field("hour").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize("database", [contextlib.nullcontext, shared_database], ids=["alone", "shared"])
@pytest.mark.parametrize("sql", ["FROM '{path}'", "COPY (SELECT 1) TO '{path}'", "INSTALL httpfs", "FROM secret"])
def test_sql_can_read_only_registered_tables(
    database: Callable[[], contextlib.AbstractContextManager[None]], sql: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.csv"
    path.write_text("a\n1\n")
    secret = pa.table({"a": [1]})
    assert secret.num_rows

    with database(), Engine(), Engine() as engine:
        with pytest.raises(duckdb.Error):
            engine.query(sql.format(path=path))
        assert engine.query("SELECT current_setting('TimeZone') AS zone")["zone"].to_pylist() == ["UTC"]


def test_a_reader_is_read_once_and_a_reusable_one_can_be_read_again() -> None:
    table = pa.table({"a": [1, 2, 3]})

    with Engine() as engine:
        engine.register(once=table.to_reader())
        engine.register_reusable("often", table.to_reader())
        engine.create_table("kept", "SELECT a FROM once WHERE a > $least", least=1)
        engine.create_view("twice", "FROM kept UNION ALL FROM often")

        assert sorted(engine.query("FROM twice UNION ALL FROM often")["a"].to_pylist()) == [1, 1, 2, 2, 2, 3, 3, 3]


def _query(engine: Engine, reader: pa.RecordBatchReader) -> None:
    engine.register(broken=reader)
    engine.query("FROM broken")


def _create_table(engine: Engine, reader: pa.RecordBatchReader) -> None:
    engine.register(broken=reader)
    engine.create_table("new", "FROM broken")


def _view(engine: Engine, reader: pa.RecordBatchReader) -> None:
    engine.register(broken=reader)
    engine.create_view("seen", "FROM broken")
    engine.query("FROM seen")


def _register_reusable(engine: Engine, reader: pa.RecordBatchReader) -> None:
    engine.register_reusable("broken", reader)


def _stream(engine: Engine, reader: pa.RecordBatchReader) -> None:
    engine.register(broken=reader)
    list(engine.stream("FROM broken", reader.schema))


@pytest.mark.parametrize("read", [_query, _create_table, _view, _register_reusable, _stream])
def test_an_exception_of_a_reader_is_raised_unchanged(read: Callable[[Engine, pa.RecordBatchReader], None]) -> None:
    def rows() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise PermissionError("the second file")

    with Engine() as engine:
        engine.create_table("kept", "SELECT 0::BIGINT AS a")
        with pytest.raises(PermissionError, match="the second file"):
            read(engine, pa.RecordBatchReader.from_batches(pa.schema([pa.field("a", pa.int64())]), rows()))


def test_an_answer_with_another_schema_than_declared_is_an_error() -> None:
    with Engine() as engine, pytest.raises(ValueError, match="expected"):
        engine.query("SELECT 1 AS a", pa.schema([pa.field("b", pa.int32())]))


def test_a_streamed_answer_comes_in_batches_with_the_declared_schema() -> None:
    schema = pa.schema([pa.field("number", pa.int64(), nullable=False), pa.field("text", pa.string())])
    numbers = pa.table({"number": list(range(200_000)), "text": ["a\0b"] * 200_000})
    with Engine() as engine:
        engine.register(numbers=numbers)
        batches = list(engine.stream("FROM numbers ORDER BY number DESC", schema))
        with pytest.raises(ValueError, match="expected"):
            next(engine.stream("SELECT 1 AS another", schema))

    assert len(batches) > 1
    assert {batch.schema for batch in batches} == {schema}
    found = pa.Table.from_batches(batches)
    assert found["number"].to_pylist() == list(range(199_999, -1, -1))
    assert found["text"].unique().to_pylist() == ["a\0b"]


def test_data_that_exceeds_the_memory_limit_is_spilled_to_disk() -> None:
    with limits(memory="50MiB", seconds=120), Engine() as engine:
        engine.create_table("many", "SELECT md5(range::VARCHAR) AS text FROM range(2000000)")

        assert engine.query("SELECT count(DISTINCT text) AS count FROM many")["count"].to_pylist() == [2000000]


def test_a_query_that_starts_after_the_time_limit_is_interrupted_too() -> None:
    def query_late() -> None:
        with limits(memory="50MiB", seconds=0.0), Engine() as engine:
            # DuckDB ignores an interruption while no query runs.
            threading.Event().wait(0.3)
            engine.query(_ENDLESS)

    with pytest.raises(TookTooLong):
        query_late()


def test_no_progress_bar_is_printed_to_the_logs() -> None:
    with Engine() as engine:
        answer = engine.query("SELECT current_setting('enable_progress_bar') AS enabled")

    assert answer["enabled"].to_pylist() == [False]


def test_engines_that_share_a_database_do_not_see_each_others_tables() -> None:
    with shared_database(), Engine() as one, Engine() as other:
        one.register(given=pa.table({"a": [1]}))
        one.create_table("kept", "SELECT a FROM given")
        other.register(given=pa.table({"a": [2]}))
        other.create_table("kept", "SELECT a FROM given")

        assert [engine.query("SELECT a FROM kept")["a"].to_pylist() for engine in (one, other)] == [[1], [2]]
        with Engine() as third, pytest.raises(duckdb.Error, match="kept"):
            third.query("FROM kept")


def test_interrupting_one_engine_does_not_affect_another_on_the_same_database() -> None:
    def query_late() -> None:
        with limits(memory="50MiB", seconds=0.0), Engine() as engine:
            engine.query(_ENDLESS)

    with shared_database(), Engine() as engine:
        with pytest.raises(TookTooLong):
            query_late()

        assert engine.query("SELECT sum(range) AS sum FROM range(1000000)")["sum"].to_pylist() == [499999500000]


def test_a_context_that_is_kept_after_a_shared_database_holds_nothing_of_duckdb() -> None:
    with shared_database(), Engine():
        context = contextvars.copy_context()

    kept = [vars(value) for value in context.values() if type(value).__module__.startswith("glacier_jobs")]
    assert kept
    assert not [value for values in kept for value in values.values() if isinstance(value, duckdb.DuckDBPyConnection)]


def test_a_reader_that_is_kept_holds_nothing_of_its_engine() -> None:
    engine = Engine()
    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), iter([]))
    with engine:
        kept = engine._recording_errors(reader)
    reference = weakref.ref(engine)

    del engine
    gc.collect()

    assert reference() is None
    assert kept.read_all().num_rows == 0
