"""``make demo``: with Airflow and a local AWS, snapshot jobs and an inventory into Parquet, and get an archive back."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from botocore.utils import calculate_tree_hash

from demo.query import Archive, archives_of, jobs_by_vault
from local_airflow.environment import ROOT, airflow_environment
from local_aws.process import running

FOLDER = ROOT / ".local" / "demo"
DATASET = FOLDER / "dataset"
HOME = FOLDER / "airflow"
LOG = FOLDER / "airflow.log"

RESTORED = FOLDER / "restored"

#: The vault whose inventory is stored, and the duration of its job, which takes hours in the real Glacier.
VAULT = "scanned-maps"
INVENTORY_SECONDS = 5.0

#: Its archives, with the descriptions of several backup programs.
ARCHIVES: list[dict[str, Any]] = [
    {
        "ArchiveDescription": "<m><v>4</v><p>bWFwcy8xODkzL2hhcmJvdXIudGlm</p><lm>20190412T081530Z</lm></m>",
        "ArchiveId": "nL0ggPvvxlSBW3zJ1DkoUqGVe8uWx3aTfBXuSxTYQ1k",
        "Size": 41_943_045,
    },
    {
        "ArchiveDescription": '{"Path":"maps/1901/canal.tif","UTCDateModified":"20190412T081711Z"}',
        "ArchiveId": "qPbH7e2WmT4yXkUuVd3cR9sZa8fLoN1iGj5vB6wE0tA",
        "Size": 27_262_976,
    },
    {
        "ArchiveDescription": "maps/1911/old town.tif",
        "ArchiveId": "zK3rY8oVnQ6bC1mJtX5hW0pDfS7uLg2eAi9kMv4xRcE",
        "Size": 35_651_589,
    },
]

#: The archive that is brought back. Its job ends at once.
ARCHIVE_ID = ARCHIVES[0]["ArchiveId"]
RESTORED_FILE = RESTORED / "harbour.tif"

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
            local_aws.add_vaults(VAULT)
            local_aws.add_archives(VAULT, ARCHIVES)
            local_aws.next_outcome(vault_name=VAULT, duration_seconds=INVENTORY_SECONDS)
            local_aws.next_outcome(vault_name=VAULT, duration_seconds=0)
            print(f"2. Airflow runs the DAGs in a new home; its log is {_relative(LOG)}.", flush=True)
            if not _run_dags(local_aws.endpoint):
                return 1
        print("3. The jobs by vault, from a SQL query of the Parquet files:\n", flush=True)
        print(jobs_by_vault(DATASET))
        print(f"4. The archives of the vault {VAULT}, from its inventory in Parquet:\n", flush=True)
        text, archive = archives_of(DATASET, VAULT, archive_id=ARCHIVE_ID)
        print(text)
        if not _is_verified(archive):
            return 1
        print(f"5. The archive {archive.file_path} is back: {_relative(RESTORED_FILE)}, verified: its tree hash is")
        print(f"   {archive.sha256_tree_hash}, as in the inventory.\n")
        print(f"The dataset is {_relative(DATASET)}; each run adds to it. To run your own query:\n")
        print(f"  {_command()}\n")
        print(f"The HTML report: {_relative(DATASET / 'reports' / 'latest.html')}\n")
        print(f"Done in {time.monotonic() - started:.0f} s; the local AWS is stopped.")
    return 0


def _run_dags(endpoint: str) -> bool:
    # Remove the files of an earlier demo, which may have been killed or may have used an older Airflow.
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    shutil.rmtree(RESTORED, ignore_errors=True)
    RESTORED.mkdir()
    inventory = {"vault_names": [VAULT]}
    archive = {
        "vault_name": VAULT,
        "archive_id": ARCHIVE_ID,
        "region_name": "us-east-1",
        "destination_uri": f"file://{RESTORED_FILE}",
    }
    runs = [
        "glacier_jobs_snapshot",
        f"glacier_inventory={json.dumps(inventory)}",
        f"glacier_retrieve_archive={json.dumps(archive)}",
        "glacier_jobs_report",
    ]
    command = [sys.executable, "-m", "local_airflow.dag_runs", *runs]
    environment = airflow_environment(HOME, endpoint=endpoint, dataset=DATASET)
    with LOG.open("w") as log:
        completed = subprocess.run(command, env=environment, stderr=log, check=False)  # noqa: S603 - a fixed command
    if completed.returncode:
        lines = LOG.read_text(errors="replace").splitlines()[-_PRINTED_LOG_LINES:]
        print(f"\nThe demo failed. The last lines of {_relative(LOG)}:\n", *lines, sep="\n", file=sys.stderr)
    return not completed.returncode


def _is_verified(archive: Archive) -> bool:
    """Compare the file with the inventory, and print what differs."""
    with RESTORED_FILE.open("rb") as file:
        content: Any = file
        found = calculate_tree_hash(content)
    if found != archive.sha256_tree_hash:
        print(
            f"The demo failed: the tree hash of {_relative(RESTORED_FILE)} is {found}; expected "
            f"{archive.sha256_tree_hash} as in the inventory.",
            file=sys.stderr,
        )
    return found == archive.sha256_tree_hash


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
