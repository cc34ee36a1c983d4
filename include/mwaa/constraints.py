"""``python -m mwaa.constraints``: renew the part of the constraints files that the project adds.

A file ``constraints-<version>.txt`` has the exact versions of the packages of an image of Amazon MWAA. Below the line
:data:`ADDED` are the other packages that the project requires, in the newest versions that fit. Requires uv.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mwaa.build import requirements_for, versions

ROOT = Path(__file__).resolve().parents[2]

#: The line above the packages that the project adds.
ADDED = "# Added by the project: what its tests ran with. `make constraints` renews this part."

#: The Python version and the platform of MWAA's images.
_TARGET = ("--python-version", "3.12", "--python-platform", "x86_64-unknown-linux-gnu")


def normalized(requirement: str) -> str:
    """Return the name of the package of a requirement, in the one spelling that compares."""
    name = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0] if name else "").lower()


def pinned(file: Path) -> dict[str, str]:
    """Return the lines of a constraints file by the name of the package. Of several, the last."""
    return {normalized(line): line for line in file.read_text().splitlines() if "==" in line and line[0] != "#"}


def image_pins(file: Path) -> dict[str, str]:
    """Return the lines of the image's packages by the name of the package."""
    image, _, _ = file.read_text().partition(ADDED)
    return {normalized(line): line for line in image.splitlines() if line and line[0] != "#"}


def versions_of(lines: Iterable[str]) -> dict[str, str]:
    """Return the versions in lines such as ``boto3==1.43.56`` by the name of the package."""
    return {normalized(line): line.partition("==")[2].partition(" ")[0] for line in lines if "==" in line}


def renew(file: Path, requirements: str) -> None:
    """Resolve the requirements with the versions of the image, and replace the part that the project adds.

    :raises subprocess.CalledProcessError: they cannot be resolved without another version of a package of the image.
    """
    image, _, _ = file.read_text().partition(ADDED)
    with tempfile.TemporaryDirectory() as folder:
        fixed, wanted, resolved = (Path(folder) / name for name in ("image.txt", "wanted.in", "resolved.txt"))
        fixed.write_text(image)
        wanted.write_text(requirements)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", *_TARGET]
        subprocess.run([*command, "-c", str(fixed), str(wanted), "-o", str(resolved)], check=True)  # noqa: S603 - our own command
        added = {name: line for name, line in pinned(resolved).items() if name not in image_pins(file)}
    file.write_text("\n".join([image.rstrip("\n"), ADDED, *added.values(), ""]))


def main() -> None:
    """Renew all files."""
    for version in versions(ROOT):
        _, *requirements = requirements_for(version, ROOT / "requirements.txt").splitlines()
        renew(ROOT / "include" / "mwaa" / f"constraints-{version}.txt", "\n".join(requirements))


if __name__ == "__main__":
    main()
