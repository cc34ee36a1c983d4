"""Runs ``airflow standalone``: scheduler, DAG processor, API server and triggerer."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from local_airflow.rest import COMPONENTS, AirflowApi

HOST = "127.0.0.1"
USERNAME = "admin"

_START_TIMEOUT_SECONDS = 300.0
_STOP_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.2

# Airflow's processes leave the process group of their parent. This environment variable identifies them.
# SPT_NOENV prevents setproctitle from overwriting the environment.
_INSTANCE_VARIABLE = "GLACIER_JOBS_LOCAL_AIRFLOW"


class DidNotStart(Exception):
    """Airflow ended, or was not healthy in time; the message contains the path of its log."""


class DidNotStop(Exception):
    """Airflow, or a process that it started, could not be stopped."""


@dataclass(frozen=True, kw_only=True)
class Standalone:
    """A running Airflow; ``api`` is logged in as :data:`USERNAME`."""

    url: str
    password: str
    api: AirflowApi
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(
    environment: Mapping[str, str],
    *,
    port: int | None = None,
    paused: bool = False,
    started: Callable[[str], None] = lambda component: None,
) -> Iterator[Standalone]:
    """Run ``airflow standalone`` until the ``with`` block ends.

    :param environment: from :func:`local_airflow.environment.airflow_environment`; the Airflow home must be empty.
    :param port: the port of the UI and the REST API; ``None`` selects a free one.
    :param paused: whether new DAGs are paused, so that no schedule starts a run.
    :param started: called with each of :data:`local_airflow.rest.COMPONENTS` when it is healthy.
    :raises DidNotStart: Airflow ended, or was not healthy in time.
    """
    home = Path(environment["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://{HOST}:{port or free_port()}"
    password = secrets.token_urlsafe(9)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USERNAME: password}))
    log = home / "standalone.log"
    instance_id = secrets.token_hex(8)
    with log.open("wb") as output:
        # In a new session, so that Ctrl-C in the terminal reaches only this process, which then stops Airflow properly.
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env={**environment, **_settings(url, passwords, paused), _INSTANCE_VARIABLE: instance_id, "SPT_NOENV": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        api = AirflowApi(url)
        _wait_until_healthy(api, process, log, started)
        api.log_in(USERNAME, password)
        yield Standalone(url=url, password=password, api=api, log=log, process=process)
    finally:
        _stop(process, instance_id)


def free_port(preferred: int = 0) -> int:
    """Return the preferred port if it is free, or else another free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, preferred))
        except OSError:
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _settings(url: str, passwords: Path, paused: bool) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": str(paused),
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        # On a cold machine, the first task takes longer than the default of 5 s.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    }


def _wait_until_healthy(
    api: AirflowApi, process: subprocess.Popen[bytes], log: Path, started: Callable[[str], None]
) -> None:
    end = time.monotonic() + _START_TIMEOUT_SECONDS
    known: set[str] = set()
    while True:
        healthy = api.healthy_components()
        for component in sorted(healthy - known):
            started(component)
        known |= healthy
        if healthy == COMPONENTS:
            return
        if process.poll() is not None:
            raise DidNotStart(f"Airflow ended with exit code {process.returncode}; its log is {log}")
        if time.monotonic() > end:
            raise DidNotStart(f"Airflow is not healthy after {_START_TIMEOUT_SECONDS:.0f} s; its log is {log}")
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes], instance_id: str) -> None:
    """Stop Airflow and all processes that it started: first with SIGINT, then with SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    if _ended(process, instance_id):
        return
    for remaining in _processes_of(instance_id):
        with contextlib.suppress(psutil.NoSuchProcess):
            remaining.kill()
    if not _ended(process, instance_id):
        pids = [remaining.pid for remaining in _processes_of(instance_id)]
        raise DidNotStop(f"Airflow could not be stopped; these processes are still running: {pids}")


def _ended(process: subprocess.Popen[bytes], instance_id: str) -> bool:
    end = time.monotonic() + _STOP_TIMEOUT_SECONDS
    while process.poll() is None or _processes_of(instance_id):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _processes_of(instance_id: str) -> list[psutil.Process]:
    """Return the running processes that this Airflow started."""
    found = []
    for candidate in psutil.process_iter():
        # Ignore processes of other users, and processes that have ended in the meantime.
        with contextlib.suppress(psutil.Error):
            if (
                candidate.environ().get(_INSTANCE_VARIABLE) == instance_id
                and candidate.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(candidate)
    return found
