"""Waiting measured: a thousand deferred sensors on one vault, by :mod:`benchmarks.waiting`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.measuring import environment


def waiting(folder: Path, *, triggers: int = 1_000, jobs: int = 5_000) -> Iterator[Figure]:
    """Yield how often Glacier is called for all sensors together, and how long the event loop stood still."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks.waiting", "--triggers", str(triggers), "--jobs", str(jobs), "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    held = json.loads(ended.stdout.splitlines()[-1])
    yield Figure(
        name=f"List Jobs calls per interval, {triggers:,} deferred sensors on one vault of {jobs:,} jobs",
        unit="calls",
        ours=held["calls"] / held["polls"],
        other=held["calls_of_one_listing"],
        other_name="one listing",
        target=Target(of="ratio", at_most=1.1),
    )
    yield Figure(
        name="longest event loop stall with these sensors, without full garbage collections",
        unit="ms",
        ours=held["longest_stall_seconds"] * 1000,
        other=100,
        other_name="allowed",
        target=Target(of="ours", at_most=100),
    )
    yield Figure(
        name="longest full garbage collection with these sensors",
        unit="ms",
        ours=held["longest_collection_seconds"] * 1000,
        other=held["longest_stall_seconds"] * 1000,
        other_name="event loop stall",
    )
