"""``make airflow``: run Airflow with its UI on this machine, connected to a local AWS, until Ctrl-C."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
import time
from datetime import datetime, timezone
from types import FrameType

from demo.past import add_past
from local_airflow.environment import ROOT, airflow_environment
from local_airflow.standalone import USERNAME, DidNotStart, free_port, running
from local_aws.process import running as local_aws_running

FOLDER = ROOT / ".local" / "airflow"
DATASET = FOLDER / "dataset"
HOME = FOLDER / "home"

_PREFERRED_PORT = 8080
_POLL_SECONDS = 0.5


def main() -> int:
    """Serve until interrupted, and return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another `make airflow` is running in this folder.", file=sys.stderr)
            return 1
        try:
            _serve()
        except DidNotStart as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopped Airflow and the local AWS.", flush=True)
    return 0


def _serve() -> None:
    began = time.monotonic()

    def progress(done: str) -> None:
        print(f"   {done}, {time.monotonic() - began:.0f} s after the start", flush=True)

    with local_aws_running("--seed", "demo") as local_aws:
        print(f"1. The local AWS runs at {local_aws.endpoint}; it has vaults in us-east-1 and eu-west-1.", flush=True)
        print(
            "2. Airflow starts, with a generated history of a fictional account; this takes about half a minute.",
            flush=True,
        )
        # Created anew each time: nothing in an old history would still need attention.
        for folder in (HOME, DATASET):
            shutil.rmtree(folder, ignore_errors=True)
        snapshots = add_past(DATASET, now=datetime.now(timezone.utc))
        progress(f"history of {snapshots} snapshots: generated")
        print("   Airflow creates its database and starts its processes; this takes most of the time.", flush=True)
        environment = airflow_environment(HOME, endpoint=local_aws.endpoint, dataset=DATASET)
        with running(
            environment,
            port=free_port(_PREFERRED_PORT),
            started=lambda component: progress(f"{component.replace('_', ' ')}: healthy"),
        ) as airflow:
            print(f"3. Airflow is ready: {airflow.url}")
            print(f"   Page Glacier jobs: {airflow.url}/plugin/glacier-jobs")
            print(f"   User {USERNAME}, password {airflow.password}")
            print(
                f"   DAGs are unpaused. The dataset is {DATASET.relative_to(ROOT)}; the log of Airflow is "
                f"{airflow.log.relative_to(ROOT)}"
            )
            print("   Ctrl-C stops everything.", flush=True)
            while airflow.process.poll() is None:
                time.sleep(_POLL_SECONDS)
            raise DidNotStart(f"Airflow ended unexpectedly; its log is {airflow.log.relative_to(ROOT)}")


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
