"""Build the folder of one version of Airflow, ready for ``aws s3 sync``.

The folder contains ``plugins.zip``, ``requirements.txt``, and ``dags/`` with the DAG files and the constraints file: in
an environment of MWAA, the constraint line of ``requirements.txt`` can only name a file in the DAGs folder.

It replaces the folder of an earlier build as a whole. The file ``<version>.sha256`` beside it lists what was built, in
the format of ``sha256sum``. A folder that contains anything else is not replaced.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Where the images of MWAA have the DAGs folder.
MWAA_DAGS = "/usr/local/airflow/dags"

#: The requirements that an environment of MWAA does not need.
_ONLY_FOR_TESTS = {"pytest"}

#: The time of all files in ``plugins.zip``, the earliest that a zip file can store.
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)

_UNIX = 3


class CannotBuild(Exception):
    """The folder cannot be built; the message says why."""


def versions(root: Path) -> list[str]:
    """Return the versions of Airflow that have a constraints file, oldest first.

    :param root: the folder of the project.
    :raises CannotBuild: there are none.
    """
    names = [re.fullmatch(r"constraints-(\d+(?:\.\d+)*)\.txt", file.name) for file in _constraints(root).iterdir()]
    found = [name[1] for name in names if name]
    if not found:
        raise CannotBuild(f"{_constraints(root)} has no file constraints-<version>.txt")
    return sorted(found, key=lambda version: [int(number) for number in version.split(".")])


def build(root: Path, version: str, output: Path) -> Path:
    """Build the folder of a version, and return its path.

    :param root: the folder of the project.
    :param version: one of :func:`versions`.
    :param output: the folder in which the folder is created or replaced.
    :raises CannotBuild: the version is not known, a source is not as expected, or the folder contains files that no
        build has made.
    """
    constraints = _constraints(root) / f"constraints-{version}.txt"
    if not constraints.is_file():
        raise CannotBuild(f"there is no {constraints}; there are files for {', '.join(versions(root))}")
    requirements = requirements_for(version, root / "requirements.txt")
    output.mkdir(parents=True, exist_ok=True)
    folder = output / version
    # In the same file system, so that it can be renamed.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output) as temporary:
        new = Path(temporary) / "new"
        (new / "dags").mkdir(parents=True)
        _write_plugins(root / "plugins", new / "plugins.zip")
        (new / "requirements.txt").write_text(requirements)
        for file in [*sorted((root / "dags").glob("*.py")), constraints]:
            (new / "dags" / file.name).write_bytes(file.read_bytes())
        _replace(folder, new, Path(temporary) / "old", output / f"{version}.sha256")
    return folder


def requirements_for(version: str, requirements: Path) -> str:
    """Return the text of MWAA's ``requirements.txt``: the constraint line, then the requirements of the project.

    :param requirements: the ``requirements.txt`` of the project.
    :raises CannotBuild: it contains an option, such as ``-r other.txt``.
    """
    lines = [f'--constraint "{MWAA_DAGS}/constraints-{version}.txt"']
    for line in requirements.read_text().splitlines():
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if requirement.startswith("-"):
            raise CannotBuild(f"{requirements} contains {requirement!r}, expected only requirements and comments")
        if requirement and re.split(r"[^\w.-]", requirement)[0].lower() not in _ONLY_FOR_TESTS:
            lines.append(requirement)
    return "\n".join(lines) + "\n"


def _constraints(root: Path) -> Path:
    return root / "include" / "mwaa"


def _write_plugins(plugins: Path, archive: Path) -> None:
    """Write the files of the plugins folder to the top level of an archive, whose bytes depend on the files only."""
    # Stored: the bytes of compressed files also depend on the version of zlib.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for file in _plugin_files(plugins):
            entry = zipfile.ZipInfo(file.relative_to(plugins).as_posix(), _FIXED_TIME)
            entry.create_system = _UNIX
            entry.external_attr = 0o100644 << 16
            opened.writestr(entry, file.read_bytes())


def _plugin_files(plugins: Path) -> list[Path]:
    """Return the files of the plugins folder, without caches and without hidden files of editors."""
    found = []
    for file in _files(plugins):
        parts = file.relative_to(plugins).parts
        hidden = any(part.startswith(".") for part in parts) and file.name != ".airflowignore"
        if not hidden and "__pycache__" not in parts and file.suffix != ".pyc":
            found.append(file)
    if not found:
        raise CannotBuild(f"there are no plugins in {plugins}")
    return sorted(found, key=lambda file: file.relative_to(plugins).as_posix())


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder that is not a folder."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in files)
        yield from (Path(parent, name) for name in folders if Path(parent, name).is_symlink())


def _replace(folder: Path, new: Path, old: Path, listing: Path) -> None:
    """Put a new folder in the place of an existing one, which an earlier build has made.

    :param old: where to move the existing folder.
    :param listing: the file that lists what was built.
    :raises CannotBuild: the existing folder contains a file that no build has made.
    """
    known = set(listing.read_text().splitlines()) if listing.exists() else set()
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CannotBuild(f"{folder} is not a folder; move it away")
    existing = _lines(folder, folder.name)
    if foreign := [str(file) for line, file in existing.items() if line not in known]:
        raise CannotBuild(f"not made by make mwaa, or changed since: {', '.join(foreign)}; move it away")
    built = _lines(new, folder.name)
    # If this process is killed between the next steps, the next build recognizes both folders.
    _write_listing(listing, known | built.keys())
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    _write_listing(listing, built.keys())


def _lines(folder: Path, name: str) -> dict[str, Path]:
    """Return the files of a folder by their lines in the listing, with a name for the folder."""
    lines = {}
    for file in sorted(_files(folder)):
        content = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
        lines[f"{hashlib.sha256(content).hexdigest()}  {name}/{file.relative_to(folder).as_posix()}"] = file
    return lines


def _write_listing(listing: Path, lines: Iterable[str]) -> None:
    new = listing.with_name(f".{listing.name}.new")
    new.write_text("".join(f"{line}\n" for line in sorted(lines, key=lambda line: line.partition("  ")[2])))
    new.replace(listing)
