"""A real Airflow on this machine: scheduler, DAG processor, API server and triggerer, started and stopped as one."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from local_airflow.rest import AirflowApi

HOST = "127.0.0.1"
USERNAME = "admin"

_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2

# Airflow's processes leave their parent's process group, so a variable of their environment tells which are ours
# (SPT_NOENV keeps setproctitle from writing over it).
_MARK = "GLACIER_JOBS_LOCAL_AIRFLOW"


class DidNotStart(Exception):
    """Airflow ended, or was not healthy in time; the message says where its log lies."""


class StillThere(Exception):
    """Airflow, or a process it started, cannot be stopped."""


@dataclass(frozen=True, kw_only=True)
class Standalone:
    """A running Airflow; ``api`` is logged in as :data:`USERNAME`."""

    url: str
    password: str
    api: AirflowApi
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(environment: Mapping[str, str], *, port: int | None = None, paused: bool = False) -> Iterator[Standalone]:
    """Run ``airflow standalone`` for as long as the block lasts.

    :param environment: as :func:`local_airflow.environment.airflow_environment` makes it; the home is empty.
    :param port: of the UI and the REST API; ``None`` takes a free one.
    :param paused: whether DAGs wait to be unpaused, and no schedule starts a run.
    :raises DidNotStart: it ended, or was not healthy in time.
    """
    home = Path(environment["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://{HOST}:{port or free_port()}"
    password = secrets.token_urlsafe(9)
    passwords = home / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USERNAME: password}))
    log = home / "standalone.log"
    mark = secrets.token_hex(8)
    with log.open("wb") as output:
        # A session of its own: Ctrl-C in the terminal shall reach us alone, so that we stop it in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env={**environment, **_settings(url, passwords, paused), _MARK: mark, "SPT_NOENV": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        api = AirflowApi(url)
        _wait_until_healthy(api, process, log)
        api.log_in(USERNAME, password)
        yield Standalone(url=url, password=password, api=api, log=log, process=process)
    finally:
        _stop(process, mark)


def free_port(preferred: int = 0) -> int:
    """Return the preferred port if nobody has it, else another that is free."""
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
        # A first task on a cold machine outlasts the default of 5 s.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    }


def _wait_until_healthy(api: AirflowApi, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while not api.is_healthy():
        if process.poll() is not None:
            raise DidNotStart(f"Airflow ended with exit code {process.returncode}; its log is {log}")
        if time.monotonic() > end:
            raise DidNotStart(f"Airflow is not healthy after {_START_SECONDS:.0f} s; its log is {log}")
        time.sleep(_POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    """Stop Airflow and whatever it started: first as Airflow wishes to be stopped, then by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    if _ended(process, mark):
        return
    for left in _marked(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    if not _ended(process, mark):
        raise StillThere(f"Airflow could not be stopped; left are the processes {[left.pid for left in _marked(mark)]}")


def _ended(process: subprocess.Popen[bytes], mark: str) -> bool:
    end = time.monotonic() + _STOP_SECONDS
    while process.poll() is None or _marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _marked(mark: str) -> list[psutil.Process]:
    """Return the processes that this Airflow started and that are still there."""
    found = []
    for candidate in psutil.process_iter():
        # Another user's process, or one that has ended meanwhile, is none of ours.
        with contextlib.suppress(psutil.Error):
            if candidate.environ().get(_MARK) == mark and candidate.status() != psutil.STATUS_ZOMBIE:
                found.append(candidate)
    return found
