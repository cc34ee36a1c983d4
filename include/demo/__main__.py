"""``make demo``: snapshot a local AWS's Glacier jobs into Parquet through Airflow, and ask the table a question."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from demo.answer import answer
from local_airflow.environment import ROOT, airflow_environment
from local_aws.process import running

FOLDER = ROOT / ".local" / "demo"
DATASET = FOLDER / "dataset"
HOME = FOLDER / "airflow"
LOG = FOLDER / "airflow.log"

#: The DAGs that are run, in this order.
DAG_IDS = ["glacier_jobs_snapshot", "glacier_wait_for_inventory", "glacier_jobs_report"]

#: The vault whose inventory is waited for, and how long its job takes: hours elsewhere, but it is a demo.
WAITED_FOR = "photo-archive"
INVENTORY_SECONDS = 5.0

_SHOWN_LOG_LINES = 40


def main() -> int:
    """Run the demo; the result is the exit code."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another `make demo` is running in this folder; wait for its end.", file=sys.stderr)
            return 1
        with running("--seed", "demo") as local_aws:
            print(
                f"1. The local AWS runs at {local_aws.endpoint}; it has vaults in us-east-1 and eu-west-1.", flush=True
            )
            local_aws.next_outcome(vault_name=WAITED_FOR, duration_seconds=INVENTORY_SECONDS)
            print(f"2. Airflow, with a home of its own; what it says goes to {_shown(LOG)}.", flush=True)
            if not _run_dags(local_aws.endpoint):
                return 1
        print("3. The answer, by SQL from the Parquet files:\n", flush=True)
        print(answer(DATASET))
        print(f"The dataset: {_shown(DATASET)}; it grows with each run. Go on with your own query:\n")
        print(f"  {_command()}\n")
        print(f"The report, for a browser: {_shown(DATASET / 'reports' / 'latest.html')}\n")
        print(f"Done in {time.monotonic() - began:.0f} s; the local AWS is stopped.")
    return 0


def _run_dags(endpoint: str) -> bool:
    # What an earlier demo left, perhaps killed in the middle or of an older Airflow, shall not matter.
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    command = [sys.executable, "-m", "local_airflow.dag_runs", *DAG_IDS]
    environment = airflow_environment(HOME, endpoint=endpoint, dataset=DATASET)
    with LOG.open("w") as log:
        ended = subprocess.run(command, env=environment, stderr=log, check=False)  # noqa: S603 - our own command
    if ended.returncode:
        lines = LOG.read_text(errors="replace").splitlines()[-_SHOWN_LOG_LINES:]
        print(f"\nThat failed. The last lines of {_shown(LOG)}:\n", *lines, sep="\n", file=sys.stderr)
    return not ended.returncode


def _command() -> str:
    jobs = f"{_shown(DATASET)}/jobs/*/*.parquet"
    query = f"from '{jobs}' select tier, status_code, count(*) group by all order by all"
    return f'''{_shown(Path(sys.executable))} -c "import duckdb; duckdb.sql(\'\'\'{query}\'\'\').show()"'''


def _shown(path: Path) -> str:
    """Return a path as it is typed in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
