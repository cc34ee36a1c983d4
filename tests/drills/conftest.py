"""What the drills share: the table at the end, a browser, and that nothing may be skipped in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from typing import Any, NoReturn, Protocol

import pytest

#: Set by CI, which has all that the drills need.
_NO_SKIPS = "CI_NO_SKIPS"

_BROKE, _HELD, _NOT_TRIED = "broke", "held", "not tried: "


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a drill that was skipped fail where nothing may be skipped for want of a program."""
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
    properties = [
        dict(report.user_properties)
        for report in (*reports["passed"], *reports["skipped"])
        if report.when == "call" and report.nodeid.partition("[")[0] not in failed
    ]
    rows = dict.fromkeys((str(each[_BROKE]), str(each[_HELD])) for each in properties if _BROKE in each)
    if not rows:
        return
    terminalreporter.section("drills")
    width = max(len(broke) for broke, _ in rows)
    for broke, held in rows:
        terminalreporter.write_line(f"{broke:{width}}  {held}")


#: Longer than a page needs on a machine with other work to do, so that one that never comes fails.
BROWSER_MILLISECONDS = 120_000

#: No traffic of the browser's own.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not of the whole session: as long as it lives, nothing else can run an event loop in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, Debian's, with a profile of its own."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium; install Debian's package of that name")
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=_QUIET)
        yield browser
        browser.close()
