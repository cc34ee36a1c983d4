"""``make demo`` in a clone in a folder with a space, with settings for other programs in the environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as pads
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.drill

FOREIGN_SETTINGS = {
    "AIRFLOW_HOME": "/nonexistent",
    "AIRFLOW__CORE__DAGS_FOLDER": "/nonexistent",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://nowhere.invalid/airflow",
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://other:credentials@",
    "AWS_ACCESS_KEY_ID": "FOREIGNACCESSKEY0000",
    "AWS_SECRET_ACCESS_KEY": "foreign-secret",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL": "http://nowhere.invalid:1",
    "AWS_DEFAULT_REGION": "ap-south-1",
    "HTTP_PROXY": "http://nowhere.invalid:1",
    "http_proxy": "http://nowhere.invalid:1",
    "ALL_PROXY": "http://nowhere.invalid:1",
    "NO_PROXY": "",
    "no_proxy": "",
    "TZ": "America/New_York",
}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A clone in which the demo ran twice, and the two runs."""
    clone = _clone(tmp_path_factory.mktemp("demo") / "a clone")
    return clone, [_demo(clone), _demo(clone)]


def test_two_runs_of_the_demo_keep_both_snapshots_and_print_the_jobs_by_vault(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    clone, [first, second] = twice

    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr + second.stdout + second.stderr
    dataset = clone / ".local" / "demo" / "dataset"
    jobs = pads.dataset(dataset / "jobs").to_table(columns=["observation_id"])["observation_id"].to_pylist()
    assert len(list(dataset.glob("observations/*/*.parquet"))) == 4
    assert (clone / ".local" / "demo" / "restored" / "harbour.tif").stat().st_size == 41_943_045
    assert len(list(dataset.glob("inventories/*/*.parquet"))) == 2
    assert ".local/demo/dataset/reports/latest.html" in first.stdout
    assert "Glacier" in (dataset / "reports" / "latest.html").read_text()
    latest_of_region = [
        max(observation_id for observation_id in jobs if f"_{region}_" in observation_id)
        for region in ("us-east-1", "eu-west-1")
    ]
    latest = latest_of_region[1]
    assert f"{sum(map(jobs.count, latest_of_region))} jobs. The dataset has 4 committed snapshots." in second.stdout
    printed = re.findall(r"^  eu-west-1  \S+ +(\d+)", second.stdout, re.MULTILINE)
    assert sum(map(int, printed)) == jobs.count(latest) > 0


def test_the_readme_shows_the_output_of_the_demo(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    _, [first, _] = twice
    shown = re.search(r"<!-- output of make demo -->\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None

    # The clone uses the Python of the tests, in another folder.
    printed = re.sub(r"\S+/python -c", ".venv/bin/python -c", first.stdout[first.stdout.index("1. ") :])
    assert _without_numbers(printed) == _without_numbers(shown[1])


def _without_numbers(text: str) -> list[list[str]]:
    return [re.sub(r"\d+", "0", line).split() for line in text.strip().splitlines()]


def test_the_query_that_the_demo_prints_can_be_run(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    clone, [_, second] = twice
    [command] = re.findall(r'^  (.* -c ".*")$', second.stdout, re.MULTILINE)

    completed = subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, text=True, check=False)  # noqa: S603, S607 - a fixed command

    assert completed.returncode == 0, completed.stderr
    assert "Succeeded" in completed.stdout


def test_a_demo_with_a_broken_dag_fails_and_shows_the_error(tmp_path: Path) -> None:
    clone = _clone(tmp_path / "clone")
    (clone / "dags" / "glacier_jobs_snapshot.py").write_text("import airflow\nraise RuntimeError('broken dag')")

    completed = _demo(clone)

    assert completed.returncode == 1
    assert "broken dag" in completed.stdout
    assert ".local/demo/airflow.log" in completed.stderr


def _clone(folder: Path) -> Path:
    """Copy the folders that the demo needs, like a clone."""
    for name in ("dags", "include", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _demo(clone: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS"))}
    environment = {**kept, **FOREIGN_SETTINGS, "PYTHONPATH": "plugins:include"}
    command = [sys.executable, "-m", "demo"]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
