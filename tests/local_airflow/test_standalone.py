"""How the start of Airflow is observed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_airflow import standalone
from local_airflow.rest import AirflowApi
from local_aws.http_server import Handler, serving


@pytest.fixture
def url() -> Iterator[str]:
    """An Airflow whose components become healthy one by one."""
    names = ["metadatabase", "scheduler", "dag_processor", "triggerer"]
    answers = iter(range(1, len(names) + 1))

    class Api(Handler):
        def respond(self) -> None:
            count = next(answers)
            self.answer(200, {name: {"status": "healthy" if at < count else None} for at, name in enumerate(names)})

    with serving(Api) as url:
        yield url


def test_each_component_is_reported_once_when_it_has_started(url: str, tmp_path: Path) -> None:
    started: list[str] = []
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        standalone._wait_until_healthy(AirflowApi(url), process, tmp_path / "log", started.append)

        process.communicate(b"\n")

    assert started == ["metadatabase", "scheduler", "dag_processor", "triggerer"]
