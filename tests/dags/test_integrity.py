"""Every DAG file can be parsed by Airflow's DAG processor."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG

from tests.conftest import ROOT
from tests.dags.conftest import THIRD_PARTY_WARNINGS
from tests.versions import DagBag, DagSerialization

pytestmark = THIRD_PARTY_WARNINGS

DAG_FILES = sorted((ROOT / "dags").glob("*.py"))


def test_all_dag_files_are_parsed_without_an_import_error(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}
    assert {Path(dag.fileloc) for dag in dag_bag.dags.values()} == set(DAG_FILES)


@pytest.mark.parametrize("dag_file", DAG_FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_parsed_without_any_warning(dag_file: Path) -> None:
    runpy.run_path(str(dag_file))


@pytest.mark.parametrize("dag_file", DAG_FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_named_for_its_dag_which_has_documentation_and_a_tag(dag_file: Path, dag_bag: DagBag) -> None:
    dag = dag_bag.dags[dag_file.stem]

    assert dag.doc_md
    assert "glacier" in dag.tags


def test_the_snapshot_runs_every_hour_without_catchup_and_one_run_at_a_time(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["glacier_jobs_snapshot"]

    assert _longest_interval(dag) <= timedelta(hours=1)
    assert dag.catchup is False
    assert dag.max_active_runs == 1


def test_the_report_runs_every_hour_and_on_the_asset_without_catchup_and_one_run_at_a_time(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["glacier_jobs_report"]

    assert _longest_interval(dag) == timedelta(hours=1)
    assert [asset.name for _, asset in _as_scheduled(dag).timetable.asset_condition.iter_assets()] == ["glacier_jobs"]
    assert dag.catchup is False
    assert dag.max_active_runs == 1


def test_only_one_task_of_the_snapshot_emits_an_event_and_for_only_one_asset(dag_bag: DagBag) -> None:
    outlets = {
        task.task_id: [asset.name for asset in task.outlets] for task in dag_bag.dags["glacier_jobs_snapshot"].tasks
    }

    assert {task_id: names for task_id, names in outlets.items() if names} == {"announce": ["glacier_jobs"]}


def test_the_snapshot_retries_with_an_exponential_backoff(dag_bag: DagBag) -> None:
    snapshot = dag_bag.dags["glacier_jobs_snapshot"].get_task("snapshot")

    assert snapshot.retries
    assert snapshot.retry_exponential_backoff
    assert isinstance(snapshot.retry_delay, timedelta)
    assert isinstance(snapshot.max_retry_delay, timedelta)
    assert snapshot.retry_delay < snapshot.max_retry_delay < timedelta(hours=1)


def test_dag_files_are_parsed_without_variables_connections_and_heavy_libraries(tmp_path: Path) -> None:
    program = f"""
import runpy, sys
from airflow.sdk import Variable
from glacier_jobs.compat import BaseHook

def refuse(*args, **kwargs):
    raise AssertionError(f"read at parse time: {{args}}")

Variable.get = BaseHook.get_connection = staticmethod(refuse)
before = set(sys.modules)
for dag_file in {list(map(str, DAG_FILES))}:
    runpy.run_path(dag_file)
    newly = sys.modules.keys() - before
    assert not newly & {{"pyarrow", "pandas", "numpy", "duckdb", "matplotlib"}}, dag_file
"""

    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
        check=False,
        cwd=tmp_path,
    )

    assert ended.returncode == 0, ended.stderr


def _as_scheduled(dag: DAG) -> Any:
    """Return the DAG as the scheduler reads it from the database."""
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def _longest_interval(dag: DAG) -> timedelta:
    """Return the longest time between two consecutive scheduled runs of a day."""
    noon = pendulum.datetime(2026, 11, 22, 12)
    runs = [info.run_after for info in _as_scheduled(dag).iter_dagrun_infos_between(noon, noon.add(days=1))]
    longest: timedelta = max(later - earlier for earlier, later in pairwise(runs))
    return longest
