"""Benchmark of an inventory: from the JSON of a job's output to Parquet, in time and memory."""

from __future__ import annotations

import json
import random
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import psutil

from benchmarks.figures import Figure, Target
from benchmarks.measuring import MIB, Usage, environment, peak_mib

_BASELINE_NAME = "json.load → DataFrame → to_parquet"
_CLIENTS = ("ours", "baseline")
_TURNS = 3
_LETTERS = string.ascii_letters + string.digits + "-_"
_ARN = "arn:aws:glacier:us-east-1:123456789012:vaults/photos"


def inventories(folder: Path, *, archives: int = 1_000_000) -> Iterator[Figure]:
    """Yield the time and the memory for one inventory, in turn with what a script would do."""
    output = folder / "inventory.json"
    write_inventory(output, archives)
    usages: dict[str, list[Usage]] = {client: [] for client in _CLIENTS}
    for turn in range(_TURNS):
        for client in _CLIENTS:
            usages[client].append(_measured(client, output, folder / f"{client}-{turn}"))
    if {usage.jobs for each in usages.values() for usage in each} != {archives}:
        raise AssertionError(f"not all {archives} archives were stored")
    ours, baseline = usages["ours"], usages["baseline"]
    size = f"{archives:,} archives, {output.stat().st_size / 1e6:,.0f} MB of JSON"
    yield Figure(
        name=f"inventory of {size}, to Parquet",
        unit="s",
        ours=median(usage.wall_seconds for usage in ours),
        other=median(usage.wall_seconds for usage in baseline),
        other_name=_BASELINE_NAME,
        target=Target(of="ratio", at_most=1.0),
    )
    yield Figure(
        name="memory above idle for this inventory",
        unit="MiB",
        ours=max(usage.memory_mib for usage in ours),
        other=max(usage.memory_mib for usage in baseline),
        other_name=_BASELINE_NAME,
        target=Target(of="ours", at_most=150),
    )


def write_inventory(path: Path, archives: int) -> None:
    """Write an inventory as Glacier sends it: the same for each run."""
    rng = random.Random(archives)  # noqa: S311 - not a secret
    with path.open("w") as file:
        file.write(f'{{"VaultARN":"{_ARN}","InventoryDate":"2026-11-22T06:00:00Z","ArchiveList":[')
        for number in range(archives):
            archive = {
                "ArchiveId": "".join(rng.choices(_LETTERS, k=138)),
                "ArchiveDescription": f"photos/2019/{number // 1000:04d}/IMG_{number:07d}.jpg",
                "CreationDate": f"2019-{number % 12 + 1:02d}-{number % 28 + 1:02d}T{number % 24:02d}:00:00Z",
                "Size": rng.randrange(1, 10**9),
                "SHA256TreeHash": f"{rng.getrandbits(256):064x}",
            }
            file.write(("," if number else "") + json.dumps(archive, separators=(",", ":")))
        file.write("]}")


def _measured(client: str, output: Path, folder: Path) -> Usage:
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.inventories", client, str(output), str(folder)]
    completed = subprocess.run(  # noqa: S603 - a fixed command
        command, env=environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return Usage(**json.loads(completed.stdout.splitlines()[-1]))


def _ours(output: Path, folder: Path) -> int:
    from fsspec.implementations.local import LocalFileSystem

    from glacier_jobs.dataset.inventory_writer import InventoryWriter
    from glacier_jobs.dataset.layout import Dataset, new_inventory
    from glacier_jobs.inventory.reader import InventoryReader
    from glacier_jobs.inventory.rows import converted_archives

    dataset = Dataset(filesystem=LocalFileSystem(), root=str(folder))
    taken_at = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)
    inventory = new_inventory("123456789012", "us-east-1", "photos", taken_at)
    row = {"vault_arn": _ARN, "job_id": "job", "jobs": 1, "scope": "full", "package_version": "1", "schema_version": 1}
    with output.open("rb") as body, InventoryWriter(dataset, inventory) as writer:
        reader = InventoryReader(body, "vault photos")
        for piece in reader.pieces():
            writer.write(converted_archives(piece, inventory).batch)
        writer.publish(row)
    return int(dataset.scan("archives").count_rows())


def _baseline(output: Path, folder: Path) -> int:
    import pandas as pd

    with output.open("rb") as body:
        frame = pd.DataFrame(json.load(body)["ArchiveList"])
    frame.to_parquet(folder / "archives.parquet")
    return len(frame)


def _main() -> None:
    client, output, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    run = _ours if client == "ours" else _baseline
    small = folder / "warm-up"
    small.mkdir()
    write_inventory(small / "inventory.json", 1)
    run(small / "inventory.json", small)
    idle_bytes = psutil.Process().memory_info().rss
    wall, cpu = time.perf_counter(), time.process_time()
    archives = run(output, folder)
    usage = Usage(
        jobs=archives,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        memory_mib=peak_mib() - idle_bytes / MIB,
    )
    print(json.dumps(asdict(usage)))


if __name__ == "__main__":
    _main()
