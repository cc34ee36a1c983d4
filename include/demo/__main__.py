"""``make demo``: snapshot the Glacier jobs of a local AWS into Parquet with Airflow, and query them."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from demo.query import jobs_by_vault
from local_airflow.environment import ROOT, airflow_environment
from local_aws.process import running

FOLDER = ROOT / ".local" / "demo"
DATASET = FOLDER / "dataset"
HOME = FOLDER / "airflow"
LOG = FOLDER / "airflow.log"

#: The DAGs to run, in this order.
DAG_IDS = ["glacier_jobs_snapshot", "glacier_wait_for_inventory", "glacier_jobs_report"]

#: The vault whose inventory a DAG awaits, and the duration of its job, which takes hours in the real Glacier.
INVENTORY_VAULT = "photo-archive"
INVENTORY_SECONDS = 5.0

_PRINTED_LOG_LINES = 40


def main() -> int:
    """Run the demo and return the exit code."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another `make demo` is running in this folder. Wait until it has finished.", file=sys.stderr)
            return 1
        with running("--seed", "demo") as local_aws:
            print(
                f"1. The local AWS runs at {local_aws.endpoint}; it has vaults in us-east-1 and eu-west-1.", flush=True
            )
            local_aws.next_outcome(vault_name=INVENTORY_VAULT, duration_seconds=INVENTORY_SECONDS)
            print(f"2. Airflow runs the DAGs in a new home; its log is {_relative(LOG)}.", flush=True)
            if not _run_dags(local_aws.endpoint):
                return 1
        print("3. The jobs by vault, from a SQL query of the Parquet files:\n", flush=True)
        print(jobs_by_vault(DATASET))
        print(f"The dataset is {_relative(DATASET)}; each run adds to it. To run your own query:\n")
        print(f"  {_command()}\n")
        print(f"The HTML report: {_relative(DATASET / 'reports' / 'latest.html')}\n")
        print(f"Done in {time.monotonic() - started:.0f} s; the local AWS is stopped.")
    return 0


def _run_dags(endpoint: str) -> bool:
    # Remove the files of an earlier demo, which may have been killed or may have used an older Airflow.
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    command = [sys.executable, "-m", "local_airflow.dag_runs", *DAG_IDS]
    environment = airflow_environment(HOME, endpoint=endpoint, dataset=DATASET)
    with LOG.open("w") as log:
        completed = subprocess.run(command, env=environment, stderr=log, check=False)  # noqa: S603 - a fixed command
    if completed.returncode:
        lines = LOG.read_text(errors="replace").splitlines()[-_PRINTED_LOG_LINES:]
        print(f"\nThe demo failed. The last lines of {_relative(LOG)}:\n", *lines, sep="\n", file=sys.stderr)
    return not completed.returncode


def _command() -> str:
    jobs = f"{_relative(DATASET)}/jobs/*/*.parquet"
    query = f"from '{jobs}' select tier, status_code, count(*) group by all order by all"
    return f'''{_relative(Path(sys.executable))} -c "import duckdb; duckdb.sql(\'\'\'{query}\'\'\').show()"'''


def _relative(path: Path) -> str:
    """Return a path relative to the folder of the project, if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
