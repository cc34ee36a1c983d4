from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
import urllib3

from local_aws.client import Control, ControlError
from local_aws.process import clean_environment, running
from local_aws.server import LocalAws
from tests.local_aws.conftest import signed_headers


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Control]]:
    """Start the process and return it, so that a test can stop it."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-W", "error", "-m", "local_aws", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        text=True,
    ) as process:
        assert process.stdout is not None
        control = Control(process.stdout.readline().strip())
        try:
            yield process, control
        finally:
            control.close()
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_endpoint_and_stops_on_a_signal(number: signal.Signals) -> None:
    with started() as (process, control):
        assert control.endpoint.startswith("http://127.0.0.1:")
        assert control.vaults() == []
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_stops_with_an_open_connection_and_a_waiting_call() -> None:
    with started("--latency-ms", "60000") as (process, control), urllib3.PoolManager() as pool:
        control.fault("crowd", size=9, seconds=60)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            pool.request("GET", f"{control.endpoint}/-/vaults", headers=signed_headers(), retries=False, timeout=0.1)
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_it_stops_at_the_end_of_stdin_if_configured() -> None:
    with started("--end-with-stdin") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_the_clock_and_the_limit_are_options() -> None:
    with running("--manual-clock", "2026-03-01T12:00:00Z", "--max-limit", "1000") as control:
        noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
        assert control.now() == noon
        assert control.settings()["max_limit"] == 1000
        control.advance(60)
        control.settings(max_limit=5)
        control.reset()
        assert control.now() == noon
        assert control.settings()["max_limit"] == 1000


def test_the_clock_can_run_faster() -> None:
    with running("--speed", "1000000") as control:
        started_at = control.now()
        while control.now() < started_at + timedelta(hours=1):
            pass
        assert control.now() < started_at + timedelta(days=365)


def test_the_large_seed_has_all_vaults_and_jobs_at_start() -> None:
    with running("--seed", "large", "--vaults", "30", "--jobs", "120") as control:
        jobs = control.jobs()
        assert len(control.vaults()) == 30
        assert len({(job["VaultARN"], job["JobId"]) for job in jobs}) == len({job["JobId"] for job in jobs}) == 3600


def test_a_failed_start_is_reported() -> None:
    with pytest.raises(RuntimeError, match="did not start"), running("--seed", "nonsense"):
        pass


def test_the_process_gets_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a real one")
    assert not [name for name in clean_environment() if name.startswith("AWS_")]


def test_it_can_serve_in_this_process() -> None:
    with LocalAws() as server:
        control = Control(server.endpoint)
        control.add_vaults("v")
        assert [vault["VaultName"] for vault in control.vaults()] == ["v"]
        control.close()
    with pytest.raises(urllib3.exceptions.HTTPError):
        control.vaults()


def test_an_invalid_command_is_rejected(local_aws: Control) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", f"{local_aws.endpoint}/_local_aws/explode", body=json.dumps({}))
    assert (response.status, "unknown command: 'explode'" in response.json()["error"]) == (400, True)
    with pytest.raises(
        ControlError, match="vault does not exist: arn:aws:glacier:us-east-1:123456789012:vaults/nowhere"
    ):
        local_aws.jobs("nowhere")
    with pytest.raises(ControlError, match="unknown settings"):
        local_aws.settings(page_size=3)
    with pytest.raises(ControlError, match="unknown seed"):
        local_aws.seed("nonsense")
