"""Measures each client in a separate process, so that measurements do not affect each other."""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.clients import CLIENTS
from local_airflow.environment import clean_environment

ROOT = Path(__file__).resolve().parents[2]

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Time and memory of a client; memory is the peak minus the memory of the idle process after the warm-up."""

    jobs: int
    wall_seconds: float
    cpu_seconds: float
    memory_mib: float


def measure(client: str, *, endpoint: str, vaults: int, folder: Path) -> Usage:
    """Run one client over all vaults in a new process.

    :param folder: the folder for its files, created if it does not exist.
    :raises subprocess.CalledProcessError: the process failed; stderr contains its messages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.measuring", client, endpoint, str(vaults), str(folder)]
    completed = subprocess.run(  # noqa: S603 - a fixed command
        command, env=environment(), stdout=subprocess.PIPE, text=True, check=True
    )
    return Usage(**json.loads(completed.stdout.splitlines()[-1]))


def measure_in_turn(clients: dict[str, int], *, endpoint: str, vaults: int, folder: Path) -> dict[str, list[Usage]]:
    """Run clients in turn, so that other load on the machine affects all of them.

    :param clients: number of runs by name.
    :return: measurements by name.
    """
    usages: dict[str, list[Usage]] = {client: [] for client in clients}
    for turn in range(max(clients.values())):
        for client, turns in clients.items():
            if turn < turns:
                usages[client].append(
                    measure(client, endpoint=endpoint, vaults=vaults, folder=folder / f"{client}-{turn}")
                )
    return usages


def environment() -> dict[str, str]:
    """Return the environment of a process that imports this project and has no AWS settings."""
    return {
        **clean_environment(),
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT / 'include'}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def peak_mib() -> float:
    """Return the peak memory of this process."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    # Not getrusage: it returns the peak of the parent if that was higher.
    (peak_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak_kib) / 1024


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=sorted(CLIENTS))
    parser.add_argument("endpoint")
    parser.add_argument("vaults", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    run_client = CLIENTS[options.client](options.endpoint, options.vaults, options.folder)
    idle_bytes = psutil.Process().memory_info().rss
    wall, cpu = time.perf_counter(), time.process_time()
    jobs = run_client()
    usage = Usage(
        jobs=jobs,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        memory_mib=peak_mib() - idle_bytes / MIB,
    )
    print(json.dumps(asdict(usage)))


if __name__ == "__main__":
    _main()
