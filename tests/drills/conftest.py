"""The browser of the drills that open pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

#: A timeout: longer than a page takes on a busy machine.
BROWSER_MILLISECONDS = 120_000

#: Turns off the browser's own network traffic.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not session-scoped: while the browser runs, nothing else can run an event loop in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium from Debian, with a new profile."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing; install Debian's package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=_QUIET)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A browser tab, its errors and warnings, and the URLs that it requested.

    :param page: Playwright's page.
    """

    page: Any
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: Any) -> None:
        # Airflow allows scripts and the same origin in its frames, and the browser warns of that. Ignore it.
        if message.type in ("error", "warning") and "can escape its sandboxing" not in message.text:
            self.problems.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()
