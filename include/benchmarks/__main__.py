"""``python -m benchmarks``: run all benchmarks, print the table, and write it as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.airflow_share import airflow_share
from benchmarks.figures import Figure, table
from benchmarks.files import files
from benchmarks.inventories import inventories
from benchmarks.killed_outputs import killed_outputs
from benchmarks.listing import many_vaults, memory_growth, one_long_vault
from benchmarks.measuring import ROOT
from benchmarks.outputs import outputs
from benchmarks.sensors import waiting

BENCHMARKS: Mapping[str, Callable[[Path], Iterator[Figure]]] = {
    "many_vaults": many_vaults,
    "one_long_vault": one_long_vault,
    "memory_growth": memory_growth,
    "waiting": waiting,
    "files": files,
    "outputs": outputs,
    "killed_outputs": killed_outputs,
    "inventories": inventories,
    "airflow_share": airflow_share,
}


def main() -> int:
    """Run the selected benchmarks and return the exit code: 0 even if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--json", type=Path, default=ROOT / ".local" / "benchmarks.json", help="path of the JSON file")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    figures: list[Figure] = []
    for name in options.names or BENCHMARKS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
            figures += BENCHMARKS[name](Path(folder))
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    print()
    print(table(figures))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps({"machine": _machine(), "figures": [each.as_json() for each in figures]}, indent=1)
    )
    print(f"\nAs JSON: {options.json}")
    return 0


def _machine() -> dict[str, str]:
    packages = ("apache-airflow", "boto3", "pandas", "pyarrow", "urllib3")
    return {"python": platform.python_version(), "platform": platform.platform()} | {
        package: version(package) for package in packages
    }


if __name__ == "__main__":
    sys.exit(main())
