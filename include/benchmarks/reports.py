"""Benchmark of the questions: time and memory over months and years of hourly snapshots.

::

    python -m benchmarks.reports                         # 30 days of 12 targets, on disk; 2 days of them on S3
    python -m benchmarks.reports --days 365 --s3-days 30 # a year: 105,120 files a table
    python -m benchmarks.reports --days 0 --s3-days 0 --s3-targets 0    # only jobs of days that are not finalized

The benchmark first aggregates all finalized days into the history, compacts them, aggregates them again from the
compacted files, and makes partial aggregates of the other days. The later measurements use all of these. Each
measurement runs in a separate process and has the CPU time, the wall clock time, and the peak memory minus the memory
before.

On disk, each question is asked three times in turn with DuckDB alone (:mod:`benchmarks.direct_sql`), and the medians
are compared. S3 is a local AWS in a separate process, and each request to it has a delay like that of a network. The
real S3 processes more requests in parallel.

Then it measures the newest listings of many targets on S3, and many jobs that are not closed yet
(:mod:`benchmarks.open_days`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from benchmarks.measuring import environment, peak_mib

_BUCKET = "bench"
_REBUILD, _COMPACT, _REBUILD_COMPACTED = "rebuild all days", "compact all days", "rebuild, compacted"
_AGGREGATE_OPEN, _AGGREGATE_ONE = "aggregate open days", "aggregate one day"
_REPORT, _COVERAGE = "report", "coverage of all days"
_LATEST = "latest_jobs"
#: Folders of what is made from the raw snapshots, which are kept.
_DERIVED = ("history", "reports", "compacted", "rebuilt")

#: How often a question is asked on disk, in turn with DuckDB alone.
_TURNS = 3
#: The largest share by which the rows of DuckDB alone may differ: it does not judge the jobs that are not listed.
_OTHER_ROWS = 0.05
#: Hourly snapshots of many targets.
_TARGETS_HOURS = 2

#: What each kind of request to S3 is called in the table.
_REQUESTS = {"get_object": "GET", "list_objects_v2": "LIST", "head_object": "HEAD", "put_object": "PUT"}


def _prepared(work: str, root: str, filesystem: Any) -> Callable[[], int]:
    """Return a function that does one piece of work and returns the number of rows; everything is imported."""
    from glacier_jobs import reports
    from glacier_jobs.compaction import compact_closed_days
    from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
    from glacier_jobs.dataset.layout import Dataset
    from glacier_jobs.history import History, aggregate_open_days, fold_closed_days, rebuild
    from glacier_jobs.html_report.build import make_report

    dataset, now = Dataset(filesystem=filesystem, root=root), datetime.now(timezone.utc)
    history = History.beside(dataset)

    def aggregate_one_day() -> int:
        last_day = history.last_folded_day() or min(dataset.dates())
        return len(fold_closed_days(dataset, history, now=closes_at(last_day + timedelta(days=1)) + SETTLES_AFTER))

    other = History(filesystem=filesystem, root=f"{root}/rebuilt")
    works: Mapping[str, Callable[[], int]] = {
        _REBUILD: lambda: len(fold_closed_days(dataset, history, now=now)),
        _COMPACT: lambda: len(compact_closed_days(dataset, now=now)),
        _REBUILD_COMPACTED: lambda: len(rebuild(dataset, other, now=now)),
        _AGGREGATE_OPEN: lambda: len(aggregate_open_days(dataset, history, now=now)),
        _AGGREGATE_ONE: aggregate_one_day,
        _REPORT: lambda: len(make_report(dataset, root)["answers"]),
        _COVERAGE: lambda: reports.run("coverage", dataset, since=min(dataset.dates())).num_rows,
    }
    return works.get(work, lambda: reports.run(work, dataset).num_rows)


def _prepared_direct(work: str, root: str) -> Callable[[], int]:
    """Return a function that answers a question with DuckDB alone, like :func:`_prepared`."""
    from benchmarks.direct_sql import answer, snapshot_days

    now = datetime.now(timezone.utc)
    if work == _COVERAGE:
        since = datetime.combine(snapshot_days(root)[0], datetime.min.time(), timezone.utc)
        return lambda: answer("coverage", root, now, since=since).num_rows
    return lambda: answer(work, root, now).num_rows


def _measure(work: str, root: str, endpoint: str | None, latency_ms: float, *, direct: bool) -> dict[str, Any]:
    """Do one piece of work in this process, and return its times, memory, rows and requests to S3."""
    from fsspec.implementations.local import LocalFileSystem

    from benchmarks.delayed_s3 import DelayedS3

    filesystem = DelayedS3(endpoint, latency_ms) if endpoint else LocalFileSystem()
    run = _prepared_direct(work, root) if direct else _prepared(work, root, filesystem)
    before, cpu, wall = peak_mib(), time.process_time(), time.perf_counter()
    rows = run()
    figures = {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - wall,
        "mib": peak_mib() - before,
        "rows": rows,
    }
    return {**figures, "requests": dict(filesystem.requests)} if endpoint else figures


def _measure_in_process(
    work: str, root: str, endpoint: str | None, latency_ms: float, *, direct: bool = False
) -> dict[str, Any]:
    """Do one piece of work in a separate process."""
    arguments = ["--work", work, "--root", root, "--latency-ms", str(latency_ms), *(["--direct"] if direct else [])]
    arguments += ["--endpoint", endpoint] if endpoint else []
    done = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "benchmarks.reports", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _compared(work: str, root: str) -> dict[str, Any]:
    """Ask a question on disk in turn with DuckDB alone; return the medians of both.

    :raises ValueError: the numbers of rows differ by too much to be answers to the same question.
    """
    turns = [
        (_measure_in_process(work, root, None, 0), _measure_in_process(work, root, None, 0, direct=True))
        for _ in range(_TURNS)
    ]
    ours, direct = (
        {name: statistics.median(turn[name] for turn in same) for name in same[0]} for same in zip(*turns, strict=True)
    )
    if abs(ours["rows"] - direct["rows"]) > _OTHER_ROWS * max(ours["rows"], direct["rows"]):
        raise ValueError(f"{work} has {ours['rows']:,} rows, and {direct['rows']:,} by DuckDB alone")
    return {**ours, **{f"direct_{name}": value for name, value in direct.items()}}


def _measure_all(
    place: str, root: str, endpoint: str | None, latency_ms: float, works: Sequence[str]
) -> Iterator[dict[str, Any]]:
    from glacier_jobs.reports import QUESTIONS

    for work in works:
        if endpoint is None and work in {*QUESTIONS, _COVERAGE}:
            figures = _compared(work, root)
        else:
            figures = _measure_in_process(work, root, endpoint, latency_ms)
        if endpoint is None and work == _COMPACT:
            figures |= _sizes(Path(root))
        print(f"{place:<22} {work:<26} {_described(figures)}", flush=True)
        yield {"place": place, "work": work, **figures}


def _described(figures: Mapping[str, Any]) -> str:
    texts = [
        f"{figures['cpu_seconds']:7.2f} s CPU {figures['seconds']:7.2f} s {figures['mib']:6.0f} MiB "
        f"{figures['rows']:9,.0f} rows"
    ]
    if "direct_rows" in figures:
        ratio = figures["cpu_seconds"] / figures["direct_cpu_seconds"]
        texts.append(
            f"{ratio:5.2f} x DuckDB alone ({figures['direct_cpu_seconds']:.2f} s CPU, "
            f"{figures['direct_mib']:.0f} MiB, {figures['direct_rows']:,.0f} rows)"
        )
    if "compacted_files" in figures:
        raw, compacted = figures["raw_bytes"], figures["compacted_bytes"]
        texts.append(
            f"{figures['raw_files']:,} raw files, {raw / 1e6:,.1f} MB, became {figures['compacted_files']:,} files, "
            f"{compacted / 1e6:,.1f} MB: {compacted / raw:.1%}"
        )
    if requests := figures.get("requests"):
        texts.append(", ".join(f"{count:,} {_REQUESTS.get(name, name)}" for name, count in sorted(requests.items())))
    return "  ".join(texts)


def _sizes(root: Path) -> dict[str, int]:
    """Return the number and size of the raw files of the compacted days, and of all files that compaction wrote."""
    days = {date.fromisoformat(path.name) for path in Path(root, "compacted", "checked").iterdir()}
    raw = [path for day in days for path in root.glob(f"*/snapshot_date={day}/*.parquet")]
    compacted = [path for path in Path(root, "compacted").rglob("*") if path.is_file()]
    return {
        "raw_files": len(raw),
        "raw_bytes": sum(path.stat().st_size for path in raw),
        "compacted_files": len(compacted),
        "compacted_bytes": sum(path.stat().st_size for path in compacted),
    }


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
    from benchmarks.delayed_s3 import DelayedS3
    from local_aws.process import running

    with running() as local_aws:
        filesystem = DelayedS3(local_aws.endpoint, 0)
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
    parser.add_argument(
        "--s3-targets", type=int, default=1_000, help="accounts and Regions on S3 for latest_jobs; 0 for none"
    )
    parser.add_argument("--latency-ms", type=float, default=20.0, help="delay of each request to S3")
    parser.add_argument(
        "--open-jobs", type=int, nargs="*", default=[100_000, 300_000], help="jobs that are not closed yet"
    )
    parser.add_argument("--folder", type=Path, help="folder for the datasets, which are kept and reused")
    parser.add_argument("--json", type=Path, help="path of the JSON file")
    for hidden in ("--work", "--root", "--endpoint"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--direct", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        print(json.dumps(_measure(given.work, given.root, given.endpoint, given.latency_ms, direct=given.direct)))
        return 0
    from benchmarks.history_maker import make_dataset
    from glacier_jobs.reports import QUESTIONS

    works = [_REBUILD, _COMPACT, _REBUILD_COMPACTED, _AGGREGATE_OPEN, *QUESTIONS, _COVERAGE, _REPORT, _AGGREGATE_ONE]
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
                    figures += _measure_all(place, s3_root, endpoint, given.latency_ms, works)
            else:
                figures += _measure_all(f"disk, {days} days", str(root), None, 0, works)
    if given.s3_targets:
        with tempfile.TemporaryDirectory(prefix="glacier-jobs-bench-") as made_here:
            root = Path(made_here, "records")
            make_dataset(root, until=until, hours=_TARGETS_HOURS, targets=given.s3_targets, jobs_an_hour=1)
            with _s3_copy(root) as (s3_root, endpoint):
                place = f"S3, {given.s3_targets:,} targets"
                figures += _measure_all(place, s3_root, endpoint, given.latency_ms, [_AGGREGATE_OPEN, _LATEST])
    for jobs in given.open_jobs:
        figures += _measure_open_days(jobs)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
