"""Benchmarks of the files: their size, and the time of a query for the latest jobs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.clients import BASELINE_FILE, OUR_DATASET
from benchmarks.figures import Figure
from benchmarks.listing import BASELINE_NAME, large_aws
from benchmarks.measuring import MIB, environment, measure

_TURNS = 3


def files(folder: Path, *, vaults: int = 1, jobs: int = 100_000, observations: int = 6) -> Iterator[Figure]:
    """Yield the size and the query time of several snapshots of the same jobs."""
    baseline, ours = folder / "baseline", folder / "ours"
    with large_aws(vaults=vaults, jobs=jobs) as local_aws:
        measure("baseline", endpoint=local_aws.endpoint, vaults=vaults, folder=baseline)
        for _ in range(observations):
            measure("ours", endpoint=local_aws.endpoint, vaults=vaults, folder=ours)
    our_files = sorted((ours / OUR_DATASET / "jobs").rglob("*.parquet"))
    yield Figure(
        name=f"size of {vaults * jobs:,} jobs in Parquet",
        unit="MiB",
        ours=our_files[0].stat().st_size / MIB,
        other=(baseline / BASELINE_FILE).stat().st_size / MIB,
        other_name="pandas' default",
    )
    seconds = {
        subject: _query_seconds(subject, root, observations)
        for subject, root in {"ours": ours / OUR_DATASET, "baseline": baseline / BASELINE_FILE}.items()
    }
    yield Figure(
        name=f"latest_jobs over {observations} observations of {vaults * jobs:,} jobs",
        unit="s",
        ours=seconds["ours"],
        other=seconds["baseline"],
        other_name=BASELINE_NAME,
        reads="more",
    )


def _query_seconds(subject: str, root: Path, observations: int) -> float:
    command = [sys.executable, "-m", "benchmarks.files", subject, str(root), str(observations)]
    completed = subprocess.run(  # noqa: S603 - a fixed command
        command, env=environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(completed.stdout.splitlines()[-1]))


def _query_ours(root: Path) -> int:
    from glacier_jobs import reports

    return int(reports.run("latest_jobs", root.as_uri()).num_rows)


def _query_baseline(root: Path, observations: int) -> int:
    """Return the newest row of each job from one file per hour, as a user would with pandas."""
    import pandas as pd

    frames = [pd.read_parquet(root).assign(snapshot_at=hour) for hour in range(observations)]
    rows = pd.concat(frames, ignore_index=True).sort_values("snapshot_at")
    return len(rows.drop_duplicates(["VaultARN", "JobId"], keep="last"))


def _main() -> None:
    subject, root, observations = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    seconds = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        rows = _query_ours(root) if subject == "ours" else _query_baseline(root, observations)
        seconds.append(time.perf_counter() - started)
        if not rows:
            raise SystemExit(f"{subject}: no rows")
    print(json.dumps(median(seconds)))


if __name__ == "__main__":
    _main()
