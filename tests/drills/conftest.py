"""What the drills share: the table at the end, a browser, and that nothing may be skipped in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
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


@dataclass
class Tab:
    """A browser's tab: what it complained of, and the URLs it asked for.

    :param page: Playwright's.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: Any) -> None:
        # Airflow gives its frames both rights, of which the browser warns; that is Airflow's to decide.
        if message.type in ("error", "warning") and "can escape its sandboxing" not in message.text:
            self.complaints.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()
