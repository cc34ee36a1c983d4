"""``make demo``, from a clone in a folder with a space, among settings that are meant for other programs."""

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
    "AIRFLOW_CONN_AWS_DEFAULT": "aws://somebody:elses@",
    "AWS_ACCESS_KEY_ID": "SOMEBODYELSESKEY0000",
    "AWS_SECRET_ACCESS_KEY": "somebody-elses-secret",
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
    """A clone in which the demo ran twice, and both runs."""
    clone = _clone(tmp_path_factory.mktemp("demo") / "a clone")
    return clone, [_demo(clone), _demo(clone)]


def test_the_demo_run_twice_keeps_both_observations_and_tells_how_many_jobs_each_vault_has(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    clone, [first, second] = twice

    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr + second.stdout + second.stderr
    dataset = clone / ".local" / "demo" / "dataset"
    jobs = pads.dataset(dataset / "jobs").to_table(columns=["observation_id"])["observation_id"].to_pylist()
    assert len(list(dataset.glob("observations/*/*.parquet"))) == 4
    assert "glacier_wait_for_inventory: success" in first.stdout
    assert ".local/demo/dataset/reports/latest.html" in first.stdout
    assert "Glacier" in (dataset / "reports" / "latest.html").read_text()
    assert f"4 observations are committed so far, of {len(jobs)} jobs in all." in second.stdout
    latest = max(observation_id for observation_id in jobs if "_eu-west-1_" in observation_id)
    shown = re.findall(r"^  eu-west-1  \S+ +(\d+)", second.stdout, re.MULTILINE)
    assert sum(map(int, shown)) == jobs.count(latest) > 0


def test_the_readme_shows_what_the_demo_prints(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    _, [first, _] = twice
    shown = re.search(r"<!-- output of make demo -->\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None

    # This clone runs on the tests' own Python, which lies elsewhere.
    printed = re.sub(r"\S+/python -c", ".venv/bin/python -c", first.stdout[first.stdout.index("1. ") :])
    assert _without_numbers(printed) == _without_numbers(shown[1])


def _without_numbers(text: str) -> list[list[str]]:
    return [re.sub(r"\d+", "0", line).split() for line in text.strip().splitlines()]


def test_the_query_that_the_demo_offers_can_be_typed_as_it_stands(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    clone, [_, second] = twice
    [command] = re.findall(r'^  (.* -c ".*")$', second.stdout, re.MULTILINE)

    ended = subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, text=True, check=False)  # noqa: S603, S607 - our own command

    assert ended.returncode == 0, ended.stderr
    assert "Succeeded" in ended.stdout


def test_a_demo_whose_dag_is_broken_says_why_and_fails(tmp_path: Path) -> None:
    clone = _clone(tmp_path / "clone")
    (clone / "dags" / "glacier_jobs_snapshot.py").write_text("import airflow\nraise RuntimeError('broken dag')")

    ended = _demo(clone)

    assert ended.returncode == 1
    assert "broken dag" in ended.stdout
    assert ".local/demo/airflow.log" in ended.stderr


def _clone(folder: Path) -> Path:
    """Make what git would give, as far as the demo needs it."""
    for name in ("dags", "include", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _demo(clone: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS"))}
    environment = {**kept, **FOREIGN_SETTINGS, "PYTHONPATH": "plugins:include"}
    command = [sys.executable, "-m", "demo"]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
