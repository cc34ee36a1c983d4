"""What the drills broke and what held, as a table at the end; and nothing is skipped in CI.

A plugin, since of several processes the one that prints reads no conftest.py of a folder below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import NoReturn, Protocol

import pytest

#: Set by CI, which has all that the drills need.
_NO_SKIPS = "CI_NO_SKIPS"

_BROKE, _HELD, _NOT_TRIED = "broke", "held", "not tried: "


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let what was skipped fail where nothing may be skipped for want of a program."""
    report = yield
    excused = hasattr(report, "wasxfail") or str(dict(item.user_properties).get(_HELD)).startswith(_NOT_TRIED)
    if report.skipped and not excused and os.environ.get(_NO_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {_NO_SKIPS} is set: {report.longrepr}"
    return report


class Told(Protocol):
    """Takes down, for the table at the end, what a drill broke and what held."""

    def __call__(self, broke: str, held: str) -> None: ...


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Told:
    """What a drill says at its end."""

    def told(broke: str, held: str) -> None:
        record_property(_BROKE, broke)
        record_property(_HELD, held)

    return told


class NotTried(Protocol):
    """Takes down what could not be broken here, and skips the drill."""

    def __call__(self, broke: str, why: str) -> NoReturn: ...


@pytest.fixture
def not_tried(told: Told) -> NotTried:
    """How a drill ends for want of what nobody can install: it is in the table, and no failure in CI either."""

    def not_tried(broke: str, why: str) -> NoReturn:
        told(broke, f"{_NOT_TRIED}{why}")
        pytest.skip(f"{_NOT_TRIED}{why}")

    return not_tried


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the drills broke and what held."""
    outcomes = ("passed", "skipped", "failed", "error")
    reports = {outcome: terminalreporter.stats.get(outcome, []) for outcome in outcomes}
    # Of a drill with several arguments that say the same, all must have held.
    failed = {report.nodeid.partition("[")[0] for report in (*reports["failed"], *reports["error"])}
    done = [
        report
        for report in (*reports["passed"], *reports["skipped"])
        if report.when == "call" and report.nodeid.partition("[")[0] not in failed
    ]
    # Two processes share the drills: in the order of the files, not in that of their ends.
    properties = [dict(report.user_properties) for report in sorted(done, key=lambda report: report.location[:2])]
    rows = dict.fromkeys((str(each[_BROKE]), str(each[_HELD])) for each in properties if _BROKE in each)
    if not rows:
        return
    terminalreporter.section("drills")
    width = max(len(broke) for broke, _ in rows)
    for broke, held in rows:
        terminalreporter.write_line(f"{broke:{width}}  {held}")
