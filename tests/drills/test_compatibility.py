"""The package's tests on every Python, and with the oldest Airflow, that it claims."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.process import clean_environment
from tests.conftest import ROOT
from tests.drills.conftest import Told

pytestmark = [pytest.mark.long_drill, pytest.mark.timeout(1800)]

#: Not what the local AWS, the demo, the page's build and the benchmarks promise: they promise it on one Python.
_OTHERS = ("aws", "benchmarks", "demo", "drills", "local_aws", "page", "test_docs.py")


def _claimed() -> list[str]:
    found = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    return [version for version in found if version != f"3.{sys.version_info.minor}"]


def _oldest_airflow() -> str:
    found = re.search(r'"apache-airflow>=([\d.]+)', (ROOT / "pyproject.toml").read_text())
    assert found is not None
    return f"{found[1]}.0"


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
        yield from map(str, sorted(Path(root).glob(f"versions/{version}.*/bin/python"), reverse=True))
    if uv := shutil.which("uv", path=str(Path(sys.executable).parent)):
        found_by_uv = subprocess.run(  # noqa: S603
            [uv, "python", "find", "--no-python-downloads", version], capture_output=True, text=True, check=False
        )
        if found_by_uv.returncode == 0:
            yield found_by_uv.stdout.strip()


def _python(version: str) -> str:
    """Return an interpreter of a version; without one, the drill is skipped."""
    for candidate in _candidates(version):
        # pyenv's own stand-in is there for every version, and says no for those that are not chosen.
        said = subprocess.run(  # noqa: S603
            [candidate, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if said.stdout.strip() == version:
            return candidate
    pytest.skip(f"there is no Python {version} on the path, in pyenv or known to uv")


def _tests_pass(python: str, folder: Path, *requirements: str) -> str:
    """Install everything that the tests need for a Python, run them, and return what pytest says in the end."""
    environment = {name: value for name, value in clean_environment().items() if not name.startswith("AIRFLOW")}
    environment = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "CI_NO_SKIPS")}
    virtual = folder / "venv" / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    commands = [
        [uv, "venv", "--quiet", "--seed", "--python", python, str(folder / "venv")],
        [uv, "pip", "install", "--quiet", "--python", str(virtual), "-r", "tests/requirements.txt", *requirements],
        [str(virtual), "-m", "pytest", "-q", "-n", "2", "-m", "not drill and not quick_drill", "-p", "no:cacheprovider"]
        + [f"--ignore=tests/{name}" for name in _OTHERS],
    ]
    said = ""
    for command in commands:
        ended = subprocess.run(  # noqa: S603
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        said = ended.stdout
        assert ended.returncode == 0, f"{os.path.basename(command[0])}: {said[-6000:]}"  # noqa: PTH119
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize("version", _claimed())
def test_on_every_python(version: str, tmp_path: Path, told: Told) -> None:
    said = _tests_pass(_python(version), tmp_path, "-c", "constraints.txt")

    told(f"the package's tests on Python {version}", said)


def test_with_the_oldest_airflow(tmp_path: Path, told: Told) -> None:
    oldest = _oldest_airflow()

    said = _tests_pass(sys.executable, tmp_path, f"apache-airflow=={oldest}")

    told(f"the package's tests with Airflow {oldest}", said)
