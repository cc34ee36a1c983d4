"""Make snapshots in child processes, which a drill can kill at any moment.

The children are forked from a process that has already imported everything. A kill at a random moment therefore
almost always hits the snapshot itself and not an import.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

from glacier_jobs.dataset.layout import Dataset, list_partitions
from glacier_jobs.dataset.schema import TABLES

# Do not import this from tests.conftest, which removes the AWS and Airflow variables that the children need.
ROOT = Path(__file__).resolve().parents[2]


class Snapshots:
    """Makes snapshots of all vaults in child processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, dataset_uri: str, *, file_bytes: int | None = None) -> int:
        """Start a snapshot, and return the process id of the child that makes it.

        :param file_bytes: the largest file that the child can write, to simulate a full disk.
        """
        child: int = self._request({"dataset_uri": dataset_uri, "file_bytes": file_bytes})
        return child

    def end(self) -> int:
        """Wait for the started snapshot, and return its exit code, which is negative if a signal ended it."""
        code: int = self._request({"end": True})
        return code

    def make(self, dataset_uri: str, *, file_bytes: int | None = None) -> int:
        """Make a snapshot, and return its exit code."""
        self.begin(dataset_uri, file_bytes=file_bytes)
        return self.end()

    def kill_after(self, dataset_uri: str, seconds: float) -> int:
        """Start a snapshot, kill it (-9) after some seconds, and return its exit code."""
        child = self.begin(dataset_uri)
        time.sleep(seconds)
        # The process id is not reused before end() has collected the exit code.
        os.kill(child, signal.SIGKILL)
        return self.end()

    def _request(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def snapshots(log: Path) -> Iterator[Snapshots]:
    """Run the parent process of the snapshots until the block ends.

    :param log: receives the stderr of the children.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "plugins", ROOT / "include", ROOT)))}
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.drills.snapshots"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            cwd=ROOT,
            text=True,
        ) as process,
    ):
        try:
            yield Snapshots(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def jobs_by_committed_observation(dataset: Dataset) -> dict[str, int]:
    """Read every visible file to its last row, and return how many jobs each committed observation has.

    :raises AssertionError: a partial observation is visible.
    """
    read: dict[str, dict[str, int]] = {}
    for table in TABLES:
        partitions = list_partitions(dataset.filesystem, f"{dataset.root}/{table}", "snapshot_date")
        for file in (file for files in partitions.values() for file in files):
            rows = pq.read_table(file, filesystem=PyFileSystem(FSSpecHandler(dataset.filesystem)), partitioning=None)
            read.setdefault(Path(file).stem, {})[table] = rows.num_rows
    committed = dataset.observation_ids()
    for observation_id in committed:
        assert set(read[observation_id]) == set(TABLES), f"{observation_id} is committed without all its tables"
    return {observation_id: read[observation_id]["jobs"] for observation_id in committed}


def _serve() -> None:
    import glacier_jobs.hooks
    import glacier_jobs.snapshot.observe
    import glacier_jobs.storage  # noqa: F401 - imported once here and not in each child

    # Airflow logs to stdout, which carries the answers here. Send the logs to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    child = 0
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("end"):
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            answer = child = os.fork() or _observe(request["dataset_uri"], request["file_bytes"])
        print(answer, file=answers, flush=True)


def _observe(dataset_uri: str, file_bytes: int | None) -> int:
    from glacier_jobs.hooks import GlacierJobsHook
    from glacier_jobs.snapshot.observe import observe
    from glacier_jobs.storage import open_dataset

    try:
        if file_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))
        observe(GlacierJobsHook(aws_conn_id="local_aws"), open_dataset(dataset_uri))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _serve()
