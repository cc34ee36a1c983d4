"""The page's files in the package are those that its sources build."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.drills.table import RecordDrill

pytestmark = pytest.mark.drill

STATIC = ROOT / "plugins" / "glacier_jobs" / "page" / "static"


def test_the_shipped_files_are_those_that_the_sources_build(tmp_path: Path, record_drill: RecordDrill) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing; install Debian's packages nodejs and npm")
    sources, built = tmp_path / "page", tmp_path / "static"
    shutil.copytree(ROOT / "include" / "page_frontend", sources, ignore=shutil.ignore_patterns("node_modules"))

    for command in (
        [npm, "ci", "--no-audit", "--no-fund"],
        [npm, "run", "check"],
        [npm, "run", "build", "--", str(built)],
    ):
        ended = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        assert ended.returncode == 0, ended.stdout + ended.stderr

    expected = {file.name: file.read_bytes() for file in built.iterdir()}
    assert {file.name: file.read_bytes() for file in STATIC.iterdir()} == expected
    record_drill("the page built again from its sources", "identical to the shipped files")
