"""Find interpreters of other Python versions, and install packages for them with uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local_airflow.environment import clean_environment
from tests.conftest import ROOT

UV = str(Path(sys.executable).with_name("uv"))


def find_python(version: str) -> str | None:
    """Return the path of an interpreter of a version, such as ``3.12``, or ``None`` if the machine has none."""
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


def _candidates(version: str) -> Iterator[str]:
    if version == f"3.{sys.version_info.minor}":
        yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))
    found_by_uv = subprocess.run(  # noqa: S603 - our own command
        [UV, "python", "find", "--no-python-downloads", version], capture_output=True, text=True, check=False
    )
    if found_by_uv.returncode == 0:
        yield found_by_uv.stdout.strip()


def run(*command: str) -> str:
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
