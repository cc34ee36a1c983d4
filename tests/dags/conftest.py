"""Fixtures for the tests of DAGs: Airflow's database, and the DAGs as Airflow parses them."""

from __future__ import annotations

import json
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.execution_time import supervisor
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from jsonschema import Draft202012Validator
from sqlalchemy import delete, select

from glacier_jobs import sensors
from glacier_jobs.triggers import GlacierJobTrigger
from tests.conftest import ROOT
from tests.versions import CREATE_RUN, DagBag, sync_bag_to_db

#: Warnings that Airflow's own dependencies cause while Airflow parses and runs DAGs.
THIRD_PARTY_WARNINGS = [
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    # Airflow 3.0, of its own hooks.
    pytest.mark.filterwarnings("ignore:Using Connection.get_connection_from_secrets:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]


@contextmanager
def errors_of_tasks() -> Iterator[Mapping[str, str]]:
    """Collect the messages of the exceptions of tasks that ``dag.test()`` runs inside the block, by task id."""
    errors: dict[str, str] = {}
    real = supervisor.run_task_in_process

    def run_task_in_process(ti: Any, task: Any) -> Any:
        result = real(ti=ti, task=task)
        if result.error is not None:
            errors[ti.task_id] = str(result.error)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "run_task_in_process", run_task_in_process)
        yield errors


_check_schema, _sleep = Draft202012Validator.check_schema, time.sleep


@cache
def _check_schema_once(schema: str) -> None:
    _check_schema(json.loads(schema))


@pytest.fixture(autouse=True)
def _quick_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed up parsing and running DAGs.

    Airflow checks each schema of a param once, and not at each use of the param. ``dag.test()`` looks often, and not
    once a second, whether a task that waits can go on.
    """
    monkeypatch.setattr(
        Draft202012Validator, "check_schema", lambda schema: _check_schema_once(json.dumps(schema, sort_keys=True))
    )
    monkeypatch.setattr(time, "sleep", lambda seconds: _sleep(0.05 if seconds == 1 else seconds))


@pytest.fixture(scope="session")
def dag_bag() -> Iterator[DagBag]:
    """All DAGs as Airflow's DAG processor parses them, with a database in which they can run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "plugins"))
        # Airflow 3.3 keeps the application, which takes seconds to build; older versions build it for each task.
        if not hasattr(supervisor.in_process_api_server, "cache_info"):
            patch.setattr(supervisor, "in_process_api_server", lru_cache(supervisor.in_process_api_server))
        initdb()
        found = DagBag(str(ROOT / "dags"))
        _store(found)
        yield found


def parse_dags(file: Path, source: str) -> Mapping[str, Any]:
    """Write a file of DAGs, and return them as Airflow's DAG processor parses them. Needs ``dag_bag``."""
    file.write_text(source)
    found = DagBag(str(file))
    assert found.import_errors == {}
    _store(found)
    return found.dags


def _store(found: DagBag) -> None:
    # Airflow 3.0 requires that the database has the assets.
    DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]  # Airflow's, untyped
    sync_bag_to_db(found, "dags-folder", None)


@pytest.fixture
def without_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a trigger send its event at once, and a sensor be rescheduled by any time.

    Both delays avoid races in the real triggerer and scheduler, which drills cover.
    """
    monkeypatch.setattr(sensors, "SHORTEST_RESCHEDULE_SECONDS", 0.0)
    defaults = GlacierJobTrigger.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "quiet_seconds", 0.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run of a DAG."""

    state: str
    #: The states of the tasks by task id and map index.
    tasks: Mapping[tuple[str, int], str]
    #: The labels of the tasks in the UI by task id and map index.
    labels: Mapping[tuple[str, int], str]
    #: The messages of the failed tasks' exceptions by task id.
    errors: Mapping[str, str]
    #: The run's asset events: the name of the asset, and the event's extra.
    events: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs a DAG with Airflow's ``dag.test()``."""

    dag_id: str
    #: Attributes of tasks that the run changes, by task id.
    changed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __call__(self, **conf: Any) -> Run:
        """Run the DAG with these params."""
        # Parse the DAG again: dag.test() leaves the previous run's conf in the params of the DAG object.
        dag = DagBag(str(ROOT / "dags" / f"{self.dag_id}.py")).dags[self.dag_id]
        for task in dag.tasks:
            holder = task.partial_kwargs if isinstance(task, MappedOperator) else vars(task)
            holder.update(self.changed.get(task.task_id, {}))
        with errors_of_tasks() as errors:
            run = dag.test(run_conf=conf)
        with create_session() as session:
            events = session.scalars(
                select(AssetEvent)
                .where(AssetEvent.source_dag_id == dag.dag_id, AssetEvent.source_run_id == run.run_id)
                .order_by(AssetEvent.id)
            ).all()
            event_values = [(event.asset.name, event.extra) for event in events]
        instances = run.get_task_instances()
        return Run(
            state=str(run.state),
            tasks={(each.task_id, each.map_index): str(each.state) for each in instances},
            labels={(each.task_id, each.map_index): each.rendered_map_index for each in instances},
            errors=errors,
            events=event_values,
        )


@pytest.fixture
def snapshot_dag(dag_bag: DagBag) -> Runner:
    """A runner for the snapshot DAG."""
    return Runner(dag_id="glacier_jobs_snapshot")


@pytest.fixture
def report_dag(dag_bag: DagBag) -> Runner:
    """A runner for the report DAG."""
    return Runner(dag_id="glacier_jobs_report")


#: How long before the start of a run its events are.
TRIGGERED_BEFORE = timedelta(minutes=1)

#: Runs the report DAG for events with these extras, and others of the asset after (or before) them.
EventRunner: TypeAlias = Callable[..., Run]


@pytest.fixture
def triggered_by(monkeypatch: pytest.MonkeyPatch, report_dag: Runner) -> EventRunner:
    """Run the report DAG with asset events that triggered it, as the scheduler does."""
    real: Any = pkgutil.resolve_name(CREATE_RUN)

    def run(extras: Sequence[Mapping[str, Any]], *others: tuple[datetime, Mapping[str, Any]]) -> Run:
        def with_events(*, session: Any, **kwargs: Any) -> Any:
            dag_run = real(session=session, **kwargs)
            asset = session.scalar(select(AssetModel).where(AssetModel.name == "glacier_jobs"))
            session.execute(delete(AssetEvent))
            dag_run.consumed_asset_events += [
                AssetEvent(asset_id=asset.id, timestamp=dag_run.start_date - TRIGGERED_BEFORE, extra=dict(extra))
                for extra in extras
            ]
            session.add_all(AssetEvent(asset_id=asset.id, timestamp=at, extra=dict(extra)) for at, extra in others)
            session.commit()
            return dag_run

        monkeypatch.setattr(CREATE_RUN, with_events)
        return report_dag()

    return run


#: Runs the report DAG by time, after events with these times and extras, which are all of the asset.
TimedRunner: TypeAlias = Callable[..., Run]


@pytest.fixture
def run_by_time(monkeypatch: pytest.MonkeyPatch, report_dag: Runner) -> TimedRunner:
    """Run the report DAG as the scheduler does at the times of its timetable."""
    real: Any = pkgutil.resolve_name(CREATE_RUN)

    def run(*events: tuple[datetime, Mapping[str, Any]]) -> Run:
        def scheduled(*, session: Any, **kwargs: Any) -> Any:
            dag_run = real(session=session, **kwargs)
            dag_run.run_type = "scheduled"
            asset = session.scalar(select(AssetModel).where(AssetModel.name == "glacier_jobs"))
            session.execute(delete(AssetEvent))
            session.add_all(AssetEvent(asset_id=asset.id, timestamp=at, extra=dict(extra)) for at, extra in events)
            session.commit()
            return dag_run

        monkeypatch.setattr(CREATE_RUN, scheduled)
        return report_dag()

    return run


@pytest.fixture
def dataset_root(tmp_path: Path) -> Path:
    """The path of a dataset, which does not exist yet."""
    return tmp_path / "dataset"
