"""Benchmarks of listings: time for many vaults, CPU time per page, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.clients import EMPTY_VAULT
from benchmarks.figures import Figure, Target
from benchmarks.measuring import measure, measure_in_turn
from local_aws.client import Control
from local_aws.process import running

BASELINE_NAME = "boto3 → pandas"
_PAGE_JOBS = 50


@contextmanager
def large_aws(*, vaults: int, jobs: int, latency_ms: float = 0) -> Iterator[Control]:
    """Run a local AWS in a separate process, with the large seed, whose pages are precomputed."""
    arguments = ("--seed", "large", "--vaults", str(vaults), "--jobs", str(jobs), "--latency-ms", str(latency_ms))
    with running(*arguments) as local_aws:
        local_aws.add_vaults(EMPTY_VAULT)
        yield local_aws


def many_vaults(folder: Path, *, vaults: int = 20, jobs: int = 5_000, latency_ms: float = 20) -> Iterator[Figure]:
    """Yield the time and the memory for a snapshot of many vaults."""
    with large_aws(vaults=vaults, jobs=jobs, latency_ms=latency_ms) as local_aws:
        usages = measure_in_turn({"baseline": 1, "ours": 3}, endpoint=local_aws.endpoint, vaults=vaults, folder=folder)
    yield Figure(
        name=f"snapshot of {vaults} vaults x {jobs:,} jobs, {latency_ms:g} ms latency per request",
        unit="s",
        ours=median(usage.wall_seconds for usage in usages["ours"]),
        other=usages["baseline"][0].wall_seconds,
        other_name=BASELINE_NAME,
        reads="more",
        target=Target(of="ratio", at_least=8),
    )
    yield Figure(
        name=f"memory above idle, {vaults * jobs:,} jobs in {vaults} vaults",
        unit="MiB",
        ours=max(usage.memory_mib for usage in usages["ours"]),
        other=usages["baseline"][0].memory_mib,
        other_name=BASELINE_NAME,
        target=Target(of="ours", at_most=150),
    )


def memory_growth(folder: Path, *, vaults: int = 20, few: int = 5_000, many: int = 50_000) -> Iterator[Figure]:
    """Yield the additional memory for ten times as many jobs."""
    usages = []
    for jobs in (few, many):
        with large_aws(vaults=vaults, jobs=jobs) as local_aws:
            usages.append(measure("ours", endpoint=local_aws.endpoint, vaults=vaults, folder=folder / f"memory-{jobs}"))
    small, large = usages
    yield Figure(
        name=f"additional memory for {vaults * many:,} jobs",
        unit="MiB",
        ours=large.memory_mib - small.memory_mib,
        other=small.memory_mib,
        other_name=f"ours for {vaults * few:,}",
        target=Target(of="ours", at_most=80),
    )


def one_long_vault(folder: Path, *, jobs: int = 50_000, turns: int = 3) -> Iterator[Figure]:
    """Yield the CPU time per page, compared with a minimal client."""
    with large_aws(vaults=1, jobs=jobs) as local_aws:
        usages = measure_in_turn(
            {"minimal": turns, "baseline": turns, "ours": turns}, endpoint=local_aws.endpoint, vaults=1, folder=folder
        )
    page_ms = {
        client: median(usage.cpu_seconds for usage in turns) / (jobs / _PAGE_JOBS) * 1000
        for client, turns in usages.items()
    }
    minimal = "urllib3, unsigned, nothing written"
    yield Figure(
        name=f"CPU time per page, one vault of {jobs:,} jobs, Parquet included",
        unit="ms",
        ours=page_ms["ours"],
        other=page_ms["minimal"],
        other_name=minimal,
        target=Target(of="ratio", at_most=2.5),
    )
    yield Figure(
        name="CPU time per page of boto3 → pandas → to_parquet",
        unit="ms",
        ours=page_ms["baseline"],
        other=page_ms["minimal"],
        other_name=minimal,
    )
