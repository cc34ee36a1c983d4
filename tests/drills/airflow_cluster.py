"""Run a real Airflow on PostgreSQL, with each component in a separate process and a chosen executor."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from local_airflow.rest import COMPONENTS, AirflowApi, wait_for
from local_airflow.standalone import free_port
from tests.drills.pythons import identity, run

_HOST = "127.0.0.1"
_START_SECONDS = 600.0
_USER = "admin"

#: PostgreSQL refuses to run as root. If we are root, it runs as the first of these users that exists.
_DATABASE_USERS = ("postgres", "nobody")


def program(name: str) -> str:
    """Return the path of a server program, also from Debian's folders outside PATH. Skip the drill if it is missing."""
    outside_path = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *outside_path, "/usr/sbin"]))
    if found is None:
        pytest.skip(f"there is no {name} (Debian: postgresql, redis-server)")
    return found


class Postgres:
    """A PostgreSQL server on loopback."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql+psycopg2://airflow@{_HOST}:{self.port}/postgres"
        self._folder = folder
        self._user = next(user for user in _DATABASE_USERS if _exists(user)) if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)

    def create(self) -> None:
        """Create an empty database cluster."""
        self._run("initdb", "--auth=trust", "--username=airflow", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = f"-h {_HOST} -p {self.port} -k {self._folder} -F -c max_connections=200"
        self._run("pg_ctl", "--wait", "--log", str(self._folder / "log"), "--options", options, "start")

    def stop(self) -> None:
        """Stop the server at once, also with open connections."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def dump(self) -> str:
        """Return a dump of the whole database as text."""
        command = [program("pg_dump"), "--host", _HOST, "--port", str(self.port), "--username=airflow", "postgres"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own command

    def _run(self, name: str, *arguments: str) -> None:
        # Use a file: the server would keep a pipe open.
        with tempfile.TemporaryFile("w+") as output:
            ended = subprocess.run(  # noqa: S603 - our own command
                [program(name), "--pgdata", str(self._folder / "data"), *arguments],
                user=self._user,
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            assert ended.returncode == 0, output.read()


def _exists(user: str) -> bool:
    import pwd

    return any(entry.pw_name == user for entry in pwd.getpwall())


#: The arguments of a program, and environment variables in addition to those of the cluster.
Command = tuple[Sequence[str], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running Airflow. ``api`` is logged in.

    :param user: who runs it, if not the user of this process.
    """

    api: AirflowApi
    postgres: Postgres
    home: Path
    environment: Mapping[str, str]
    user: str | None = None
    commands: dict[str, Command] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, component: str) -> None:
        """Start a component, or start it again after it was killed."""
        arguments, more = self.commands[component]
        with (self.home / f"{component}.log").open("ab") as log:
            self.processes[component] = subprocess.Popen(  # noqa: S603 - our own command
                arguments,
                cwd=self.home,
                env={**self.environment, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **identity(self.user),
            )

    def started(self) -> bool | None:
        """Return ``True`` once all components are healthy, and ``None`` before.

        :raises AssertionError: a component has ended.
        """
        self._assert_running()
        return self.api.is_healthy() or None

    def answers(self) -> bool | None:
        """Return ``True`` once the API server answers, and ``None`` before.

        :raises AssertionError: a component has ended.
        """
        self._assert_running()
        return "metadatabase" in self.api.healthy_components() or None

    def recovered(self, *, since: datetime) -> bool | None:
        """Return ``True`` once each component has sent a heartbeat after a moment, and ``None`` before.

        Components that have ended are started again, as a process manager does: Airflow's end if a query fails.
        """
        ended = [component for component, process in self.processes.items() if process.poll() is not None]
        for component in ended:
            self.start(component)
        heartbeats = self.api.heartbeats()
        alive = {component for component, sent_at in heartbeats.items() if sent_at > since}
        return (not ended and alive == COMPONENTS - {"metadatabase"}) or None

    def _assert_running(self) -> None:
        for component, process in self.processes.items():
            assert process.poll() is None, f"{component} ended: {(self.home / f'{component}.log').read_text()[-4000:]}"

    def with_connection_to(self, port: int) -> dict[str, list[psutil.Process]]:
        """Return, by component, the processes that are connected to a port of this machine."""
        found: dict[str, list[psutil.Process]] = {}
        for component, process in self.processes.items():
            for each in _family(process):
                with contextlib.suppress(psutil.Error):
                    if any(connection.raddr and connection.raddr.port == port for connection in each.net_connections()):
                        found.setdefault(component, []).append(each)
        return found

    def kill(self, component: str) -> None:
        """Kill (-9) a component and all its child processes."""
        _kill(self.processes[component])

    def kill_all(self) -> None:
        """Kill all components."""
        for process in self.processes.values():
            _kill(process)


@contextlib.contextmanager
def airflow_cluster(
    environment: Mapping[str, str],
    *,
    celery_workers: int = 0,
    python: str = sys.executable,
    user: str | None = None,
    airflow_variables: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Run PostgreSQL and Airflow's components until the block ends.

    :param environment: for example from :func:`local_airflow.environment.airflow_environment`, with an own home folder.
    :param celery_workers: the number of Celery workers, with Redis as the broker; 0 means the LocalExecutor.
    :param python: the interpreter with Airflow's packages.
    :param user: who runs Airflow, if not the user of this process. The user must be able to enter the home folder, and
        becomes its owner.
    :param airflow_variables: Airflow Variables by key, which are stored before the other components start.
    """
    program("postgres")
    if celery_workers:
        program("redis-server")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="drill-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        (folder / "postgres").mkdir()
        postgres = Postgres(folder / "postgres")
        postgres.create()
        postgres.start()
        stack.callback(postgres.stop)
        home = Path(environment["AIRFLOW_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(9)
        passwords = home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({_USER: password}))
        if user:
            for path in (home, passwords):
                shutil.chown(path, user)
        url = f"http://{_HOST}:{free_port()}"
        redis_port = free_port()
        variables = {
            **environment,
            **_settings(url, passwords, postgres.url),
            **(_celery_settings(redis_port, postgres.url) if celery_workers else {}),
        }
        cluster = Cluster(api=AirflowApi(url), postgres=postgres, home=home, environment=variables, user=user)
        stack.callback(cluster.kill_all)
        airflow = (python, "-m", "airflow")
        run(*airflow, "db", "migrate", cwd=home, environment=variables, user=user)
        if celery_workers:
            options = {"bind": _HOST, "port": str(redis_port), "save": "", "dir": str(folder)}
            arguments = (argument for name, value in options.items() for argument in (f"--{name}", value))
            cluster.commands["redis"] = ((program("redis-server"), *arguments), {})
        for component in ("api-server", "scheduler", "dag-processor", "triggerer"):
            cluster.commands[component] = ((*airflow, component), {})
        for number in range(celery_workers):
            name = f"worker-{number}"
            cluster.commands[name] = (
                (
                    *(*airflow, "celery", "worker", "--concurrency", "2", "--celery-hostname", f"{name}@%h"),
                    *("--pid", str(home / f"{name}.pid")),
                ),
                {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port())},
            )
        cluster.start("api-server")
        if airflow_variables:
            wait_for("the API server", cluster.answers, _START_SECONDS)
            cluster.api.log_in(_USER, password)
            for key, value in airflow_variables.items():
                cluster.api.post("/api/v2/variables", {"key": key, "value": value})
        for component in cluster.commands:
            if component not in cluster.processes:
                cluster.start(component)
        wait_for("Airflow", cluster.started, _START_SECONDS)
        cluster.api.log_in(_USER, password)
        yield cluster


def _settings(url: str, passwords: Path, database_url: str) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": _HOST,
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        # Airflow soon notices a dead triggerer, and a task whose worker died.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    }


def _celery_settings(redis_port: int, database_url: str) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{_HOST}:{redis_port}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database_url}",
    }


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(process: subprocess.Popen[bytes]) -> None:
    for each in _family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
