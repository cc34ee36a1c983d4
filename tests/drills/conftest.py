"""What the drills share: an Airflow that really runs, and where nothing may be skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from local_airflow.environment import airflow_environment
from local_airflow.standalone import Standalone, running
from local_aws.client import Control
from local_aws.process import running as local_aws_running

#: Set by CI, which has all that the drills need.
_NO_SKIPS = "CI_NO_SKIPS"

_BROKE, _HELD = "broke", "held"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a drill that was skipped fail where nothing may be skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(_NO_SKIPS):
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the drills broke and what held."""
    passed = terminalreporter.stats.get("passed", [])
    drills = [dict(report.user_properties) for report in passed if _BROKE in dict(report.user_properties)]
    if not drills:
        return
    terminalreporter.section("drills")
    width = max(len(str(drill[_BROKE])) for drill in drills)
    for drill in drills:
        terminalreporter.write_line(f"{drill[_BROKE]!s:{width}}  {drill[_HELD]}")


@dataclass(frozen=True, kw_only=True)
class RunningAirflow:
    """An Airflow that runs this project's DAGs against a local AWS with the demo seed."""

    standalone: Standalone
    local_aws: Control
    dataset: Path


@pytest.fixture(scope="session")
def running_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAirflow]:
    """One Airflow for all drills of a session."""
    home, dataset = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dataset")
    with local_aws_running("--seed", "demo") as local_aws:
        environment = airflow_environment(home, endpoint=local_aws.endpoint, dataset=dataset)
        with running(environment) as standalone:
            yield RunningAirflow(standalone=standalone, local_aws=local_aws, dataset=dataset)
