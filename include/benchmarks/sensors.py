"""Benchmark of waiting: a thousand deferred sensors on one vault, with :mod:`benchmarks.waiting`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.measuring import environment


def waiting(folder: Path, *, triggers: int = 1_000, jobs: int = 5_000) -> Iterator[Figure]:
    """Yield the number of Glacier calls for all sensors together, and the longest stalls of the event loop."""
    completed = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-m", "benchmarks.waiting", "--triggers", str(triggers), "--jobs", str(jobs), "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(completed.stdout.splitlines()[-1])
    yield Figure(
        name=f"List Jobs calls per interval, {triggers:,} deferred sensors on one vault of {jobs:,} jobs",
        unit="calls",
        ours=result["calls"] / result["polls"],
        other=result["calls_of_one_listing"],
        other_name="one listing",
        target=Target(of="ratio", at_most=1.1),
    )
    yield Figure(
        name="longest event loop stall with these sensors, without full garbage collections",
        unit="ms",
        ours=result["longest_stall_seconds"] * 1000,
        other=100,
        other_name="allowed",
        target=Target(of="ours", at_most=100),
    )
    yield Figure(
        name="longest full garbage collection with these sensors",
        unit="ms",
        ours=result["longest_collection_seconds"] * 1000,
        other=result["longest_stall_seconds"] * 1000,
        other_name="event loop stall",
    )
