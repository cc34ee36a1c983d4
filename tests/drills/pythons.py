"""Find interpreters of other Python versions, and run commands with them, also as another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

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


class Identity(TypedDict, total=False):
    """The arguments of :mod:`subprocess` for a command that runs as another user."""

    user: int
    group: int
    extra_groups: list[int]


def identity(user: str | None) -> Identity:
    """Return the identity of a user, without further groups; ``None`` is the user of this process."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def python_for(user: str, python: str, folder: Path) -> tuple[str, dict[str, str]]:
    """Return an interpreter that a user can run, and the environment variables that it needs.

    :param python: an interpreter, which may lie in a folder that only its owner can enter.
    :param folder: where to put a copy of its installation, if the user cannot run it.
    """
    try:
        subprocess.run([python, "-c", "import encodings"], capture_output=True, check=True, **identity(user))  # noqa: S603 - our own command
    except (OSError, subprocess.CalledProcessError):
        installation = Path(run(python, "-c", "import sys; print(sys.base_prefix)").strip())
        ignored = shutil.ignore_patterns("site-packages", "test", "*.a")
        shutil.copytree(installation, folder, symlinks=True, ignore=ignored, copy_function=_link_or_copy)
        # Where an interpreter is a shared library, its program names the folder of the installation.
        return str(folder / "bin" / Path(python).resolve().name), {"LD_LIBRARY_PATH": str(folder / "lib")}
    return python, {}


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def run(*command: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None, user: str | None = None) -> str:
    """Return the output of a command.

    :param environment: its environment variables; by default those of this process without settings for Airflow, AWS
        and Python's search path.
    :param user: who runs it, if not the user of this process.
    :raises AssertionError: the command failed. The message has the end of its output.
    """
    ended = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=cwd,
        env=clean_environment() if environment is None else environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **identity(user),
    )
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout[-6000:]}"
    return ended.stdout
