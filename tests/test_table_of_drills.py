from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DRILLS = """
import pytest

def test_what_holds(record_drill):
    record_drill("a full disk", "no file is left")

def test_what_fails(record_drill):
    record_drill("a failed disk", "no file is left")
    raise AssertionError

def test_what_lacks_a_program(record_drill):
    pytest.skip("chromium is missing")

def test_what_cannot_be_installed(not_tried):
    not_tried("a small disk", "mounting is not permitted")
"""


@pytest.fixture
def drill(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").touch()
    file = tmp_path / "test_drills.py"
    file.write_text(DRILLS)
    return file


@pytest.mark.parametrize("in_ci", [False, True])
@pytest.mark.parametrize("processes", [0, 2])
def test_the_table_lists_what_held_and_what_was_not_tried_and_in_ci_other_skips_fail(
    drill: Path, processes: int, in_ci: bool
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI_NO_SKIPS": "1" if in_ci else ""}
    command = [sys.executable, "-m", "pytest", "-p", "tests.drills.table", "-p", "no:cacheprovider", str(drill)]

    ended = subprocess.run(  # noqa: S603 - our own command
        [*command, "-n", str(processes)], cwd=drill.parent, env=environment, capture_output=True, text=True, check=False
    )

    _, _, table = ended.stdout.partition(" drills ==")
    assert table.splitlines()[1:3] == [
        "a full disk   no file is left",
        "a small disk  not tried: mounting is not permitted",
    ]
    assert "failed disk" not in table
    assert ("2 failed, 1 passed, 1 skipped" if in_ci else "1 failed, 1 passed, 2 skipped") in table
