"""Benchmark of the questions: time and memory over months and years of hourly snapshots.

::

    python -m benchmarks.reports                         # 30 days of 12 targets, on disk; 2 days of them on S3
    python -m benchmarks.reports --days 365 --s3-days 30 # a year: 105,120 files a table
    python -m benchmarks.reports --days 0 --s3-days 0    # only the jobs of the days that are not finalized

The benchmark first aggregates all finalized days into the history. The later measurements use the history for all days
except the last ones. Each measurement runs in a separate process and has the wall clock time, and the peak memory
minus the memory before. S3 is a local AWS in a separate process, and each request to it has a delay like that of a
network. The real S3 processes more requests in parallel.

Then it measures many jobs that are not closed yet (:mod:`benchmarks.open_days`), relative to DuckDB alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.measuring import peak_mib
from local_aws.client import Control

_BUCKET = "bench"
_REBUILD, _AGGREGATE_ONE, _REPORT, _COVERAGE = "rebuild all days", "aggregate one day", "report", "coverage of all days"
#: Tables derived from the raw snapshots, which are kept.
_DERIVED = ("history", "reports")


def _s3_filesystem(endpoint: str, latency_ms: float) -> Any:
    from s3fs import S3FileSystem

    class DelayedS3(S3FileSystem):  # type: ignore[misc]  # fsspec has no types
        """An S3 filesystem that delays each request, as the network to a Region does."""

        async def _call_s3(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(latency_ms / 1000)
            return await super()._call_s3(*args, **kwargs)

    keys = Control(endpoint).boto3_arguments()
    return DelayedS3(
        key=keys["aws_access_key_id"],
        secret=keys["aws_secret_access_key"],
        endpoint_url=endpoint,
        skip_instance_cache=True,
    )


def _measure(work: str, root: str, endpoint: str | None, latency_ms: float) -> dict[str, float]:
    """Do one piece of work in this process, and return its time, memory and rows."""
    from fsspec.implementations.local import LocalFileSystem

    from glacier_jobs import reports
    from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
    from glacier_jobs.dataset.layout import Dataset
    from glacier_jobs.history import History, fold_closed_days
    from glacier_jobs.html_report.build import make_report

    filesystem = _s3_filesystem(endpoint, latency_ms) if endpoint else LocalFileSystem()
    dataset = Dataset(filesystem=filesystem, root=root)
    history = History.beside(dataset)
    rows = 0
    before, started = peak_mib(), time.perf_counter()
    if work == _REBUILD:
        rows = len(fold_closed_days(dataset, history, now=datetime.now(timezone.utc)))
    elif work == _AGGREGATE_ONE:
        last_day = history.last_folded_day() or min(dataset.dates())
        rows = len(fold_closed_days(dataset, history, now=closes_at(last_day + timedelta(days=1)) + SETTLES_AFTER))
    elif work == _REPORT:
        rows = len(make_report(dataset, root)["answers"])
    elif work == _COVERAGE:
        rows = reports.run("coverage", dataset, since=min(dataset.dates())).num_rows
    else:
        rows = reports.run(work, dataset).num_rows
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "mib": peak_mib() - before, "rows": rows}


def _measure_in_process(work: str, root: str, endpoint: str | None, latency_ms: float) -> dict[str, float]:
    """Do one piece of work in a separate process."""
    arguments = ["--work", work, "--root", root, "--latency-ms", str(latency_ms)]
    arguments += ["--endpoint", endpoint] if endpoint else []
    done = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "benchmarks.reports", *arguments], check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _measure_all(place: str, root: str, endpoint: str | None, latency_ms: float) -> Iterator[dict[str, Any]]:
    from glacier_jobs.reports import QUESTIONS

    for work in [_REBUILD, *QUESTIONS, _COVERAGE, _REPORT, _AGGREGATE_ONE]:
        figures = _measure_in_process(work, root, endpoint, latency_ms)
        took = f"{figures['seconds']:8.2f} s {figures['mib']:6.0f} MiB {figures['rows']:9,.0f} rows"
        print(f"{place:<22} {work:<20} {took}", flush=True)
        yield {"place": place, "work": work, **figures}


def _measure_open_days(jobs: int) -> Iterator[dict[str, Any]]:
    from benchmarks.open_days import DIRECT, HOURS, measure_all

    place, direct = f"{jobs:,} jobs x {HOURS} h", 0.0
    for figures in measure_all(jobs):
        seconds = figures["cpu_seconds"]
        direct = seconds if figures["work"] == DIRECT else direct
        written = f" {figures['written']:.2f} x the raw bytes written" if "written" in figures else ""
        took = f"{seconds:8.2f} s CPU {seconds / direct:6.2f} x {DIRECT} {figures['mib']:6.0f} MiB{written}"
        print(f"{place:<22} {figures['work']:<24} {took}", flush=True)
        yield {"place": place, **figures}


@contextlib.contextmanager
def _s3_copy(source: Path) -> Iterator[tuple[str, str]]:
    """Serve a copy of a dataset from a local S3; yield its root and endpoint."""
    from local_aws.process import running

    with running() as local_aws:
        filesystem = _s3_filesystem(local_aws.endpoint, 0)
        filesystem.mkdir(_BUCKET)
        filesystem.put(str(source), f"{_BUCKET}/records", recursive=True)
        yield f"{_BUCKET}/records", local_aws.endpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate datasets, run the measurements, and print a table; write JSON if selected."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description="Benchmark of the questions.")
    parser.add_argument("--days", type=int, default=30, help="days of hourly snapshots on disk (a year: 365)")
    parser.add_argument("--s3-days", type=int, default=2, help="days of hourly snapshots on S3; 0 for none")
    parser.add_argument("--targets", type=int, default=12, help="accounts and Regions")
    parser.add_argument("--jobs-an-hour", type=float, default=1.0, help="jobs initiated per hour in each target")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="delay of each request to S3")
    parser.add_argument(
        "--open-jobs", type=int, nargs="*", default=[100_000, 300_000], help="jobs that are not closed yet"
    )
    parser.add_argument("--folder", type=Path, help="folder for the datasets, which are kept and reused")
    parser.add_argument("--json", type=Path, help="path of the JSON file")
    for hidden in ("--work", "--root", "--endpoint"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        print(json.dumps(_measure(given.work, given.root, given.endpoint, given.latency_ms)))
        return 0
    from benchmarks.history_maker import make_dataset

    figures: list[dict[str, Any]] = []
    # In the present: a question as of a time in the past also reads what was published by then.
    until = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    with contextlib.ExitStack() as stack:
        folder = given.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="glacier-jobs-bench-"))
        for days, on_s3 in ((given.days, False), (given.s3_days, True)):
            if not days:
                continue
            root = Path(folder, f"{days}-days", "records")
            if root.exists():
                for table in _DERIVED:
                    shutil.rmtree(root / table, ignore_errors=True)
            else:
                started = time.perf_counter()
                made = make_dataset(
                    root, until=until, hours=days * 24, targets=given.targets, jobs_an_hour=given.jobs_an_hour
                )
                print(f"{made:,} observations of {given.targets} targets in {days} days, "
                      f"written in {time.perf_counter() - started:.0f} s", flush=True)  # fmt: skip
            if on_s3:
                with _s3_copy(root) as (s3_root, endpoint):
                    place = f"S3, {given.latency_ms:g} ms, {days} days"
                    figures += _measure_all(place, s3_root, endpoint, given.latency_ms)
            else:
                figures += _measure_all(f"disk, {days} days", str(root), None, 0)
    for jobs in given.open_jobs:
        figures += _measure_open_days(jobs)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
