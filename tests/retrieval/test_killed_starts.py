"""A task whose process is killed while it starts a job, at each of its requests, and its next try."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.retrieval.tokens import has_token
from local_aws.client import Control
from tests.conftest import ROOT
from tests.retrieval.conftest import NewStarter
from tests.retrieval.test_starter import REQUEST, TOKEN
from tests.waits import StateStore

#: Starts the job as a task does in its first try. Its state store is a file, which outlives the process.
FIRST_TRY = """
import json, sys
from pathlib import Path
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.intents import Intents
from glacier_jobs.retrieval.starter import JobStarter

class Store:
    def get(self, key, default=None):
        return default
    def set(self, key, value):
        Path(sys.argv[1]).write_text(json.dumps({key: value}))

request = JobRequest.checked(**json.loads(sys.argv[2]))
context = {"ti": object(), "task_state_store": Store()} if sys.argv[1] else {}
JobStarter(hook=GlacierJobsHook(aws_conn_id="local_aws"), intents=Intents(context)).start(
    request, sys.argv[3], may_exist=False
)
"""

ARGUMENTS = {
    "vault_name": "photos", "job_type": "archive-retrieval", "archive_id": "a1", "tier": "Bulk",
    "description": "one of many",
}  # fmt: skip

#: Where the process is killed: while it waits for the answer to this operation, which Glacier executes before or after.
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "the listing": ("ListJobs", {"seconds": 60}),
    "a request that is executed later": ("InitiateJob", {"seconds": 0.5}),
    "a request that was executed": ("InitiateJob", {"seconds": 60, "after_effect": True}),
    "the description": ("DescribeJob", {"seconds": 60}),
}


@pytest.mark.parametrize("has_store", [False, True], ids=["no store", "store"])
@pytest.mark.parametrize("step", STEPS)
def test_the_next_try_of_a_killed_task_starts_no_second_job(
    step: str, has_store: bool, new_starter: NewStarter, local_aws: Control, tmp_path: Path
) -> None:
    operation, latency = STEPS[step]
    assert {name: getattr(REQUEST, name) for name in ARGUMENTS} == ARGUMENTS
    local_aws.settings(listed_after_seconds=120)
    local_aws.fault("latency", operation=operation, **latency)
    stored = tmp_path / "state.json"
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", FIRST_TRY, str(stored) if has_store else "", json.dumps(ARGUMENTS), TOKEN],
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
    )
    try:
        while operation not in local_aws.calls().by_operation:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    local_aws.clear_faults()
    while operation == "InitiateJob" and not local_aws.jobs("photos", unlisted=True):
        time.sleep(0.02)

    job = new_starter(_store(stored) if has_store else None).start(REQUEST, TOKEN, may_exist=True)

    started = local_aws.jobs("photos", unlisted=True)
    assert [each["JobId"] for each in started] == [job.description["JobId"]]
    assert has_token(started[0], TOKEN)


def _store(stored: Path) -> StateStore:
    """Return the state store with what the killed process stored."""
    store = StateStore()
    if stored.exists():
        [(key, value)] = json.loads(stored.read_text()).items()
        store.set(key, value)
    return store
