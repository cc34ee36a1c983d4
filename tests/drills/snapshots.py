"""Snapshots that are made in children of their own, which a drill can kill at any moment.

The children are forked from a process that has imported everything, so that a moment of their lives is one of the
snapshot, and hardly ever one of importing.
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

# Not conftest's: importing it would take the environment of the children away.
ROOT = Path(__file__).resolve().parents[2]


class Snapshots:
    """Makes snapshots of all vaults in children."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, dataset_uri: str, *, file_bytes: int | None = None) -> int:
        """Begin a snapshot, and return the process id of the child that makes it.

        :param file_bytes: how large a file it can write; stands for the disk that is full.
        """
        child: int = self._ask({"dataset_uri": dataset_uri, "file_bytes": file_bytes})
        return child

    def end(self) -> int:
        """Wait for the snapshot that was begun; the result is its exit code, negative where a signal ended it."""
        code: int = self._ask({"end": True})
        return code

    def make(self, dataset_uri: str, *, file_bytes: int | None = None) -> int:
        """Make a snapshot, and return its exit code."""
        self.begin(dataset_uri, file_bytes=file_bytes)
        return self.end()

    def kill_after(self, dataset_uri: str, seconds: float) -> int:
        """Begin a snapshot, kill it (-9) after some time, and return its exit code."""
        child = self.begin(dataset_uri)
        time.sleep(seconds)
        # Until it is asked for its end, its process id stays its own.
        os.kill(child, signal.SIGKILL)
        return self.end()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def snapshots(log: Path) -> Iterator[Snapshots]:
    """Run the process that snapshots are forked from, for as long as the block lasts.

    :param log: takes what the children say.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "plugins", ROOT / "include", ROOT)))}
    with (
        log.open("wb") as told,
        subprocess.Popen(
            [sys.executable, "-m", "tests.drills.snapshots"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=told,
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
    """Return how many jobs each committed observation has, having read all that is visible to its last row.

    :raises AssertionError: something partial is visible.
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
    import glacier_jobs.storage  # noqa: F401 - once, and not in each child

    # Airflow logs on stdout, which here is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    child = 0
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("end"):
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        else:
            answer = child = os.fork() or _observe(order["dataset_uri"], order["file_bytes"])
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
