"""Run the package's tests on each Python version and with the oldest Airflow version that it supports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_airflow.environment import clean_environment
from tests.conftest import ROOT
from tests.drills.table import NotTried, RecordDrill

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]

#: Tests of folders that need to run on one Python version only.
_OTHERS = ("aws", "benchmarks", "demo", "drills", "local_airflow", "local_aws", "test_docs.py")

_PROJECT = (ROOT / "pyproject.toml").read_text()
_UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python version, and what is installed for it.

    :param python: the version, such as ``3.12``.
    :param airflow: the version of Airflow; ``None`` means the version in ``constraints.txt``.
    """

    python: str
    airflow: str | None = None

    def __str__(self) -> str:
        return f"Python {self.python}" + (f" with Airflow {self.airflow}" if self.airflow else "")


def _supported() -> list[Environment]:
    """Return the supported environments except the Python that runs this. The oldest Python has the oldest Airflow."""
    pythons = sorted(re.findall(r"Python :: (3\.\d+)", _PROJECT), key=lambda version: int(version.partition(".")[2]))
    oldest_airflow = re.search(r'"apache-airflow>=([\d.]+)', _PROJECT)
    assert oldest_airflow is not None
    oldest = Environment(python=pythons[0], airflow=f"{oldest_airflow[1]}.0")
    this = f"3.{sys.version_info.minor}"
    return [oldest, *(Environment(python=version) for version in pythons[1:] if version != this)]


def _candidates(version: str) -> Iterator[str]:
    if version == f"3.{sys.version_info.minor}":
        yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))
    found_by_uv = subprocess.run(  # noqa: S603 - our own command
        [_UV, "python", "find", "--no-python-downloads", version], capture_output=True, text=True, check=False
    )
    if found_by_uv.returncode == 0:
        yield found_by_uv.stdout.strip()


def _python(version: str) -> str | None:
    """Return the path of an interpreter of a version, or ``None`` if the machine has none."""
    for candidate in _candidates(version):
        # pyenv's shims exist for every installed version, but fail for versions that are not selected.
        found = subprocess.run(  # noqa: S603 - our own command
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if found.stdout.strip() == version:
            return candidate
    return None


def _run(*command: str) -> str:
    """Return the output of a command.

    :raises AssertionError: the command failed. The message has the end of its output.
    """
    ended = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout[-6000:]}"
    return ended.stdout


@pytest.mark.parametrize("environment", _supported(), ids=str)
def test_the_packages_tests_pass(
    environment: Environment, tmp_path: Path, record_drill: RecordDrill, not_tried: NotTried
) -> None:
    broke = f"the package's tests on {environment}"
    python = _python(environment.python)
    if python is None:
        not_tried(broke, f"found no Python {environment.python} on PATH, in pyenv or through uv")
    virtual = str(tmp_path / "venv" / "bin" / "python")
    # The oldest Airflow is older than the version in constraints.txt.
    pins = [f"apache-airflow=={environment.airflow}"] if environment.airflow else ["-c", "constraints.txt"]

    _run(_UV, "venv", "--quiet", "--seed", "--python", python, str(tmp_path / "venv"))
    _run(_UV, "pip", "install", "--quiet", "--python", virtual, "-r", "tests/requirements.txt", *pins)
    output = _run(
        *(virtual, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--hypothesis-profile=few"),
        *("-m", "not drill and not quick_drill", *(f"--ignore=tests/{name}" for name in _OTHERS)),
    )

    record_drill(broke, output.strip().splitlines()[-1])
