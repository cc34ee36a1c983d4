"""The package's tests in other environments than this one, behind all else that runs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_airflow.environment import clean_environment
from tests.conftest import ROOT

#: Not what the local AWS, the demo, the page's build and the benchmarks promise: they promise it on one Python.
_OTHERS = ("aws", "benchmarks", "demo", "drills", "local_airflow", "local_aws", "page", "test_docs.py")

_PROJECT = (ROOT / "pyproject.toml").read_text()


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python, and what is installed for it.

    :param python: its version, such as ``3.12``.
    :param airflow: the version of Airflow; ``None`` is the one of ``constraints.txt``.
    """

    python: str
    airflow: str | None = None

    def __str__(self) -> str:
        return f"Python {self.python}" + (f" with Airflow {self.airflow}" if self.airflow else "")


def claimed_environments() -> list[Environment]:
    """Return what the package claims beside the Python that runs this; the oldest has the oldest Airflow as well."""
    pythons = sorted(re.findall(r"Python :: (3\.\d+)", _PROJECT), key=lambda version: int(version.partition(".")[2]))
    oldest_airflow = re.search(r'"apache-airflow>=([\d.]+)', _PROJECT)
    assert oldest_airflow is not None
    oldest = Environment(python=pythons[0], airflow=f"{oldest_airflow[1]}.0")
    this = f"3.{sys.version_info.minor}"
    return [oldest, *(Environment(python=version) for version in pythons[1:] if version != this)]


def find_python(version: str) -> str | None:
    """Return an interpreter of a version, ``None`` where the machine has none."""
    for candidate in _candidates(version):
        # pyenv's own stand-in is there for every version, and says no for those that are not chosen.
        said = subprocess.run(  # noqa: S603
            [candidate, "-c", "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if said.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    if version == f"3.{sys.version_info.minor}":
        yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))
    found_by_uv = subprocess.run(  # noqa: S603
        [_uv(), "python", "find", "--no-python-downloads", version], capture_output=True, text=True, check=False
    )
    if found_by_uv.returncode == 0:
        yield found_by_uv.stdout.strip()


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


class BehindAllElse:
    """Runs the package's tests in several environments, one after the other, with what the machine has to spare.

    :param folder: takes the environments.
    """

    def __init__(self, environments: Sequence[Environment], folder: Path) -> None:
        self._folder = folder
        self._running: subprocess.Popen[str] | None = None
        self._threads = ThreadPoolExecutor(1)
        self._results: dict[Environment, Future[str | None]] = {
            environment: self._threads.submit(self._run, environment) for environment in environments
        }

    def said(self, environment: Environment) -> str | None:
        """Wait until the tests have passed, and return what pytest said last; ``None`` without such a Python.

        :raises AssertionError: they have not; the message holds the end of what was said.
        """
        return self._results[environment].result()

    def stop(self) -> None:
        """End what is still running."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._running is not None and self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGKILL)
        self._threads.shutdown()

    def _run(self, environment: Environment) -> str | None:
        python = find_python(environment.python)
        if python is None:
            return None
        folder = self._folder / environment.python
        virtual = folder / "bin" / "python"
        # The oldest Airflow is older than what constraints.txt says.
        pins = [f"apache-airflow=={environment.airflow}"] if environment.airflow else ["-c", "constraints.txt"]
        self._command(_uv(), "venv", "--quiet", "--seed", "--python", python, str(folder))
        self._command(
            *(_uv(), "pip", "install", "--quiet", "--python", str(virtual), "-r", "tests/requirements.txt", *pins)
        )
        said = self._command(
            *(str(virtual), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--hypothesis-profile=few"),
            *("-m", "not drill and not quick_drill", *(f"--ignore=tests/{name}" for name in _OTHERS)),
        )
        return said.strip().splitlines()[-1]

    def _command(self, *arguments: str) -> str:
        # A session of its own, so that it can be ended with all that it started.
        self._running = subprocess.Popen(  # noqa: S603
            ["nice", "-n", "19", *arguments],  # noqa: S607
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said, _ = self._running.communicate()
        assert self._running.returncode == 0, f"{' '.join(arguments)}: {said[-6000:]}"
        return said
