"""Read the dataset with Apache Spark."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import weakref
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import new_observation
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.dataset.writer import ObservationWriter
from tests.drills.table import RecordDrill
from tests.observations import expire, local_dataset, observation_row, vault_row, write_jobs
from tests.test_docs import QUERYING, between, python_blocks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="Spark needs Java"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

#: 23:45 in New York, which is the next day in UTC.
MOMENT = datetime(2026, 11, 22, 4, 45, 0, 123456, tzinfo=timezone.utc)
JOBS: list[dict[str, Any]] = [
    {
        "JobId": "archive",
        "Action": "ArchiveRetrieval",
        "ArchiveSizeInBytes": 2**62,
        "Completed": True,
        "CompletionDate": "2026-11-01T05:30:00.001Z",
        "CreationDate": "2012-05-01T00:00:06.663Z",
        "StatusCode": "Succeeded",
        "JobDescription": 'said "so", with, commas',
        "AddedLater": {"kept": True},
    },
    {
        "JobId": "inventory",
        "Action": "InventoryRetrieval",
        "Completed": False,
        "InventoryRetrievalParameters": {"Format": "CSV", "Limit": "17", "StartDate": "2026-03-08T07:30:00Z"},
        "StatusCode": "InProgress",
    },
    {"JobId": "bare"},
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two observations, on two UTC days."""
    root = tmp_path_factory.mktemp("dataset")
    for moment in (MOMENT - timedelta(days=1), MOMENT):
        observation = new_observation("123456789012", "us-east-1", moment)
        with ObservationWriter(local_dataset(root), observation, clock=partial(_same, moment)) as writer:
            write_jobs(writer, observation, JOBS)
            writer.finish_jobs()
            writer.publish(
                vaults=[vault_row("photos", moment, jobs=len(JOBS))],
                observation=observation_row(moment, jobs=len(JOBS)),
            )
    return root


def _same(moment: datetime) -> datetime:
    return moment


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    """A Spark session on this machine, in the time zone of New York."""
    from py4j.clientserver import ClientServerConnection
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    interrupted = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        # Without this, Spark looks up the address and the name of this machine.
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("TZ", "America/New_York")
        session = (
            SparkSession.builder.master("local[2]")
            .config("spark.sql.session.timeZone", "America/New_York")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate()
        )
        # pytest would keep the session, and so the connections to Java, until it exits. They would then log to a
        # closed stream. Yield a weak reference instead.
        yield weakref.proxy(session)
    gateway = SparkContext._gateway
    assert gateway is not None
    session.stop()
    gateway.shutdown()
    # Java exits when its stdin closes.
    gateway.proc.communicate()
    # Spark's signal handler refers to its context.
    signal.signal(signal.SIGINT, interrupted)
    SparkContext._gateway = SparkContext._jvm = None
    del session, gateway
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is ClientServerConnection]


@pytest.mark.parametrize("table", TABLES)
def test_spark_reads_every_value_as_pyarrow_does(
    table: str, dataset: Path, spark: SparkSession, record_drill: RecordDrill
) -> None:
    read = spark.read.parquet(str(dataset / table)).toArrow()

    assert read.column_names == [*TABLES[table].names, "snapshot_date"]
    expected = pads.dataset(dataset / table).to_table(columns=TABLES[table].names)
    assert _rows(read.select(TABLES[table].names)) == _rows(expected)
    record_drill("the tables read by Spark in New York's time zone", "the same values as pyarrow reads")


@pytest.mark.parametrize("table", TABLES)
def test_spark_reads_the_types_that_were_written(
    table: str, dataset: Path, spark: SparkSession, record_drill: RecordDrill
) -> None:
    read = {field.name: field.dataType.simpleString() for field in spark.read.parquet(str(dataset / table)).schema}

    assert read == {field.name: _spark_type(field.type) for field in TABLES[table]} | {"snapshot_date": "date"}
    record_drill("the tables' types in Spark", "the types that were written")


def test_spark_finds_a_day_by_its_partition_whatever_the_session_time_zone(
    dataset: Path, spark: SparkSession, record_drill: RecordDrill
) -> None:
    jobs = spark.read.parquet(str(dataset / "jobs"))

    found = jobs.where("snapshot_date = date '2026-11-22'").select("observation_id").distinct().toArrow()

    assert found["observation_id"].to_pylist() == [
        file.stem for file in (dataset / "jobs" / "snapshot_date=2026-11-22").iterdir()
    ]
    record_drill("a query for one day in Spark, in New York's time zone", "the day is found by its partition")


def test_the_documented_query_in_spark_reads_each_job_once_whatever_is_compacted(
    dataset: Path, spark: SparkSession, tmp_path: Path, record_drill: RecordDrill
) -> None:
    [files] = python_blocks(between(QUERYING, "files of a table", "end of files of a table"))
    [block] = [block for block in python_blocks(QUERYING) if block.startswith("# Spark:")]
    copy = tmp_path / "compacted"
    shutil.copytree(dataset, copy)

    def jobs() -> list[dict[str, Any]]:
        names: dict[str, Any] = {"root": str(copy), "spark": spark}
        try:
            exec(compile(files + block, "documents", "exec"), names)  # noqa: S102 - code from our documents
            return _rows(names["jobs"].toArrow())
        finally:
            spark.conf.set("spark.sql.session.timeZone", "America/New_York")

    before = jobs()
    scanned = _rows(local_dataset(copy).scan("jobs").to_table())
    assert [{name: row[name] for name in TABLES["jobs"].names} for row in before] == scanned
    assert {row["snapshot_date"] for row in before} == {MOMENT.date(), MOMENT.date() - timedelta(days=1)}
    for day in sorted({row["snapshot_date"] for row in before}):
        compact_closed_days(local_dataset(copy), now=closes_at(day) + SETTLES_AFTER)
        assert jobs() == before
        expire(local_dataset(copy), until=day)
        assert jobs() == before
    record_drill("the documented query in Spark, during compaction and expiry", "each committed job is read once")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows in a fixed order, with times in UTC."""
    rows = [{name: _in_utc(value) for name, value in row.items()} for row in table.to_pylist()]
    return sorted(rows, key=repr)


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    if isinstance(value, dict):
        return {name: _in_utc(each) for name, each in value.items()}
    return value


def _spark_type(data_type: pa.DataType) -> str:
    if pa.types.is_timestamp(data_type):
        return "timestamp"
    if pa.types.is_struct(data_type):
        return f"struct<{','.join(f'{field.name}:{_spark_type(field.type)}' for field in data_type)}>"
    return {pa.string(): "string", pa.int64(): "bigint", pa.bool_(): "boolean"}[data_type]
