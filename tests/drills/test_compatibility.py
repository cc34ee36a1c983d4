"""Run the package's tests on each Python version and with the oldest Airflow version that it supports."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.drills.pythons import UV, find_python, run
from tests.drills.table import NotTried, RecordDrill

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]

#: Tests of folders that need to run on one Python version only.
_OTHERS = ("aws", "benchmarks", "demo", "drills", "local_airflow", "local_aws", "test_docs.py")

_PROJECT = (ROOT / "pyproject.toml").read_text()


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


@pytest.mark.parametrize("environment", _supported(), ids=str)
def test_the_packages_tests_pass(
    environment: Environment, tmp_path: Path, record_drill: RecordDrill, not_tried: NotTried
) -> None:
    broke = f"the package's tests on {environment}"
    python = find_python(environment.python)
    if python is None:
        not_tried(broke, f"found no Python {environment.python} on PATH, in pyenv or through uv")
    virtual = str(tmp_path / "venv" / "bin" / "python")
    # The oldest Airflow is older than the version in constraints.txt.
    pins = [f"apache-airflow=={environment.airflow}"] if environment.airflow else ["-c", "constraints.txt"]

    run(UV, "venv", "--quiet", "--seed", "--python", python, str(tmp_path / "venv"))
    run(UV, "pip", "install", "--quiet", "--python", virtual, "-r", "tests/requirements.txt", *pins)
    output = run(
        *(virtual, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "--hypothesis-profile=few"),
        *("-m", "not drill and not quick_drill", *(f"--ignore=tests/{name}" for name in _OTHERS)),
    )

    record_drill(broke, output.strip().splitlines()[-1])
