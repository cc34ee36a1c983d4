"""Benchmark of many jobs that are not closed yet: 30 hourly snapshots, with and without partial aggregates.

Each measurement runs in a separate process and has the CPU time, and the peak memory minus the memory before. The
smallest possible work is DuckDB alone: one row a job with its newest values, from the same raw files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.measuring import environment, peak_mib

DIRECT, AGGREGATE = "DuckDB alone", "aggregate each hour"
#: What is asked of the raw files, and afterwards with partial aggregates.
ASKED = ("job_history", "latest_jobs", "failures", "report")

HOURS = 30
#: How many hours each of the generated jobs is listed, about.
_LISTED_HOURS = 30

_RAW_SUMMARIES = """
    CREATE VIEW gathered AS
    SELECT
        account_id, region, vault_name, vault_arn, job_id, action, tier, job_description, archive_id,
        retrieval_byte_range, creation_date, completion_date, status_code, status_message, archive_size_in_bytes,
        inventory_size_in_bytes, observed_at AS first_seen_at, observed_at AS last_seen_at,
        CASE status_code WHEN 'Failed' THEN observed_at END AS first_failed_at,
        observation_id AS last_observation_id, 1 AS observation_count
    FROM read_parquet('{root}/jobs/*/*.parquet')
"""


def measure_all(jobs: int) -> Iterator[dict[str, Any]]:
    """Generate 30 hourly snapshots that list ``jobs`` jobs in total, and yield the measurements."""
    from benchmarks.history_maker import make_dataset

    # In the present: a question as of a time in the past also reads what was published by then.
    until = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory(prefix="glacier-jobs-bench-") as folder:
        source, raw, aggregated = (Path(folder, name) for name in ("source", "raw", "aggregated"))
        make_dataset(source, until=until, hours=HOURS, targets=1, jobs_an_hour=jobs / _LISTED_HOURS)
        moments = [until - timedelta(hours=HOURS - 1 - hour) for hour in range(HOURS)]
        _arrive(source, raw, moments)
        yield _measured(DIRECT, raw, "raw")
        for work in ASKED:
            yield _measured(work, raw, "raw")
        yield _measured(AGGREGATE, aggregated, source, *(moment.isoformat() for moment in moments))
        for work in ASKED:
            yield _measured(work, aggregated, "aggregated")


def _arrive(source: Path, root: Path, moments: Iterable[datetime]) -> None:
    """Put the snapshots of some hours into a dataset, as links."""
    for moment in moments:
        for path in source.glob(f"*/*/*_{moment:%Y%m%dT%H%M%S}Z_*.parquet"):
            target = root / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)


def _measured(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.open_days", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())  # noqa: S603 - fixed
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _prepared(work: str, root: str) -> Callable[[], int]:
    """Return a function that does one piece of work and returns the number of rows; everything is imported."""
    if work == DIRECT:
        import duckdb

        from glacier_jobs.sql.engine import statement

        connection = duckdb.connect()
        connection.execute(_RAW_SUMMARIES.format(root=root))
        return lambda: connection.sql(statement("history/merged_summaries")).to_arrow_table().num_rows
    from fsspec.implementations.local import LocalFileSystem

    from glacier_jobs import reports
    from glacier_jobs.dataset.layout import Dataset
    from glacier_jobs.html_report.build import make_report

    dataset = Dataset(filesystem=LocalFileSystem(), root=root)
    if work == "report":
        return lambda: len(make_report(dataset, root)["answers"])
    return lambda: reports.run(work, dataset).num_rows


def _aggregate_each_hour(root: Path, source: Path, moments: list[datetime]) -> dict[str, Any]:
    """Aggregate after each snapshot; return the figures of the last time, and the bytes written relative to raw."""
    from fsspec.implementations.local import LocalFileSystem

    from glacier_jobs.dataset.layout import Dataset
    from glacier_jobs.history import History, aggregate_open_days

    dataset = Dataset(filesystem=LocalFileSystem(), root=str(root))
    sizes: dict[Path, int] = {}
    before = peak_mib()
    for moment in moments:
        _arrive(source, root, [moment])
        started = time.process_time()
        aggregate_open_days(dataset, History.beside(dataset), now=moment + timedelta(minutes=30))
        seconds = time.process_time() - started
        sizes |= {path: path.stat().st_size for path in (root / "history").rglob("*.parquet")}
    raw = sum(path.stat().st_size for path in source.rglob("*.parquet"))
    return {"cpu_seconds": seconds, "mib": peak_mib() - before, "written": sum(sizes.values()) / raw}


def _main() -> None:
    work, root, *others = sys.argv[1:]
    if work == AGGREGATE:
        figures = _aggregate_each_hour(
            Path(root), Path(others[0]), [datetime.fromisoformat(each) for each in others[1:]]
        )
        print(json.dumps({"work": work, **figures}))
        return
    run = _prepared(work, root)
    before, started = peak_mib(), time.process_time()
    rows = run()
    seconds = time.process_time() - started
    name = work if work == DIRECT else f"{work}, {others[0]}"
    print(json.dumps({"work": name, "cpu_seconds": seconds, "mib": peak_mib() - before, "rows": rows}))


if __name__ == "__main__":
    _main()
