"""Print a table of what each drill broke and what held, fail on skipped drills in CI, and share drills file by file.

This is a plugin because pytest-xdist's controller, which prints the table, does not read conftest.py of subfolders.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import NoReturn, Protocol

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

#: Set in CI, where every program that the drills need is installed.
_NO_SKIPS = "CI_NO_SKIPS"

#: The files that take longest. Each parameter stands for an environment of its own.
_SHARED_BY_PARAMETER = ("tests/drills/test_compatibility.py", "tests/drills/test_mwaa.py")

_BROKE, _HELD, _NOT_TRIED = "broke", "held", "not tried: "


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test where ``CI_NO_SKIPS`` is set, unless the drill was recorded as not tried."""
    report = yield
    excused = hasattr(report, "wasxfail") or str(dict(item.user_properties).get(_HELD)).startswith(_NOT_TRIED)
    if report.skipped and not excused and os.environ.get(_NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {_NO_SKIPS} is set: {report.longrepr}"
    return report


class _DrillScheduling(LoadFileScheduling):  # type: ignore[misc]  # its package has no types
    """Lets one process run all drills of a file, or those with the same parameter: what they share is started once."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return f"{file}[{test.partition('[')[2]}" if file in _SHARED_BY_PARAMETER else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Share the drills among the processes of ``make drill``."""
    return _DrillScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


class RecordDrill(Protocol):
    """Records what a drill broke and what held, for the table at the end."""

    def __call__(self, broke: str, held: str) -> None: ...


@pytest.fixture
def record_drill(record_property: Callable[[str, object], None]) -> RecordDrill:
    """Record a drill's result. Each drill calls this at its end."""

    def record(broke: str, held: str) -> None:
        record_property(_BROKE, broke)
        record_property(_HELD, held)

    return record


class NotTried(Protocol):
    """Records what could not be broken on this machine, and skips the drill."""

    def __call__(self, broke: str, why: str) -> NoReturn: ...


@pytest.fixture
def not_tried(record_drill: RecordDrill) -> NotTried:
    """End a drill that needs something that cannot be installed. The table lists it, and CI does not fail."""

    def not_tried(broke: str, why: str) -> NoReturn:
        record_drill(broke, f"{_NOT_TRIED}{why}")
        pytest.skip(f"{_NOT_TRIED}{why}")

    return not_tried


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the drills broke and what held."""
    outcomes = ("passed", "skipped", "failed", "error")
    reports = {outcome: terminalreporter.stats.get(outcome, []) for outcome in outcomes}
    # A parametrized drill has one row: it is printed only if all its parameters passed.
    failed = {report.nodeid.partition("[")[0] for report in (*reports["failed"], *reports["error"])}
    done = [
        report
        for report in (*reports["passed"], *reports["skipped"])
        if report.when == "call" and report.nodeid.partition("[")[0] not in failed
    ]
    # Several processes share the drills. Sort by file and line, not by the time at which they ended.
    properties = [dict(report.user_properties) for report in sorted(done, key=lambda report: report.location[:2])]
    rows = dict.fromkeys((str(each[_BROKE]), str(each[_HELD])) for each in properties if _BROKE in each)
    if not rows:
        return
    terminalreporter.section("drills")
    width = max(len(broke) for broke, _ in rows)
    for broke, held in rows:
        terminalreporter.write_line(f"{broke:{width}}  {held}")
