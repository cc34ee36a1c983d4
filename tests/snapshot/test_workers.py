"""The threads of a snapshot end with it, whatever their requests wait for."""

from __future__ import annotations

import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import Connect
from tests.observations import local_dataset


class Interrupted(BaseException):
    """Raised in the main thread while it waits, as Airflow's ``execution_timeout`` is."""


@contextmanager
def interrupted_when(local_aws: Control, requests: int) -> Iterator[list[float]]:
    """Interrupt the main thread when List Jobs was requested so often; yield when that was."""
    moment: list[float] = []
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename == weakref.__file__ or frame.f_code.co_name == "__del__":
                # Python ignores what is raised while it finalizes an object: try again soon.
                threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1)).start()
                return
            frame = frame.f_back
        raise Interrupted

    def watch() -> None:
        while local_aws.calls().by_operation.get("ListJobs", 0) < requests:
            time.sleep(0.01)
        moment.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, interrupt)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield moment
    finally:
        watcher.join()
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "latency", "seconds": 120.0},
        {"kind": "dripping_body"},
        {"kind": "throttling"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_an_interrupted_snapshot_ends_its_requests_and_is_left_within_seconds(
    connect: Connect, local_aws: Control, tmp_path: Path, fault: dict[str, Any]
) -> None:
    local_aws.add_vaults(*(f"vault-{number}" for number in range(12)))
    local_aws.fault(operation="ListJobs", **fault)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), max_requests=4)

    with interrupted_when(local_aws, requests=4) as moment, pytest.raises(Interrupted):
        observe(hook, local_dataset(tmp_path))

    assert time.monotonic() - moment[0] < 10
    assert not list(tmp_path.rglob("*.p*"))
    if fault["kind"] != "throttling":
        # botocore waits for its next attempt without a way to interrupt it; the thread then ends without a request.
        assert not any(thread.name.startswith("list-jobs") for thread in threading.enumerate())


def test_an_error_of_the_disk_ends_the_requests_too(
    connect: Connect, local_aws: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_aws.add_jobs("quick", [{"JobId": "a"}])
    local_aws.add_jobs("slow", [{"JobId": "b"}])
    local_aws.fault("latency", seconds=120.0, operation="ListJobs", vault_name="slow")

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(ObservationWriter, "write_jobs", full)
    began = time.monotonic()

    with pytest.raises(OSError, match="No space left"):
        observe(GlacierJobsHook(aws_conn_id=connect()), local_dataset(tmp_path))

    assert time.monotonic() - began < 10


def test_the_hook_works_after_a_snapshot_was_interrupted(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("dripping_body", operation="ListJobs")
    hook = GlacierJobsHook(aws_conn_id=connect())
    with interrupted_when(local_aws, requests=1), pytest.raises(Interrupted):
        observe(hook, local_dataset(tmp_path))
    local_aws.clear_faults()

    assert observe(hook, local_dataset(tmp_path)).jobs == 1
