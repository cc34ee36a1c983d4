"""What lies on disk afterwards: its size, and how soon it answers which jobs there are."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.clients import OUR_DATASET, PEERS_FILE
from benchmarks.figures import Figure
from benchmarks.listing import PEER, large_aws
from benchmarks.measuring import MIB, environment, measure

_TURNS = 3


def files(folder: Path, *, vaults: int = 1, jobs: int = 100_000, observations: int = 6) -> Iterator[Figure]:
    """Yield size and speed of what several observations of the same jobs leave, one after the other."""
    peers, ours = folder / "peer", folder / "ours"
    with large_aws(vaults=vaults, jobs=jobs) as local_aws:
        measure("peer", endpoint=local_aws.endpoint, vaults=vaults, folder=peers)
        for _ in range(observations):
            measure("ours", endpoint=local_aws.endpoint, vaults=vaults, folder=ours)
    kept = sorted((ours / OUR_DATASET / "jobs").rglob("*.parquet"))
    yield Figure(
        name=f"size of {vaults * jobs:,} jobs in Parquet",
        unit="MiB",
        ours=kept[0].stat().st_size / MIB,
        other=(peers / PEERS_FILE).stat().st_size / MIB,
        other_name="pandas' default",
    )
    answers = {
        subject: _answer_seconds(subject, root, observations)
        for subject, root in {"ours": ours / OUR_DATASET, "peer": peers / PEERS_FILE}.items()
    }
    yield Figure(
        name=f"latest_jobs over {observations} observations of {vaults * jobs:,} jobs",
        unit="s",
        ours=answers["ours"],
        other=answers["peer"],
        other_name=PEER,
        reads="more",
    )


def _answer_seconds(subject: str, root: Path, observations: int) -> float:
    command = [sys.executable, "-m", "benchmarks.files", subject, str(root), str(observations)]
    ended = subprocess.run(  # noqa: S603 - our own command
        command, env=environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(ended.stdout.splitlines()[-1]))


def _ask_ours(root: Path) -> int:
    from glacier_jobs import reports

    return int(reports.run("latest_jobs", root.as_uri()).num_rows)


def _ask_peers(root: Path, observations: int) -> int:
    """Ask as one would of a file an hour: the newest row of each job."""
    import pandas as pd

    frames = [pd.read_parquet(root).assign(snapshot_at=hour) for hour in range(observations)]
    rows = pd.concat(frames, ignore_index=True).sort_values("snapshot_at")
    return len(rows.drop_duplicates(["VaultARN", "JobId"], keep="last"))


def _main() -> None:
    subject, root, observations = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    seconds = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        rows = _ask_ours(root) if subject == "ours" else _ask_peers(root, observations)
        seconds.append(time.perf_counter() - began)
        if not rows:
            raise SystemExit(f"{subject}: no answer")
    print(json.dumps(median(seconds)))


if __name__ == "__main__":
    _main()
