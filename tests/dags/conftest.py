"""What the tests of DAGs share: Airflow's database, and the DAGs as Airflow reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.sdk import Context
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select

from glacier_jobs.triggers import GlacierJobTrigger
from tests.conftest import ROOT

#: What Airflow itself is warned of while it reads and runs DAGs.
THIRD_PARTY_WARNINGS = [
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]


@pytest.fixture(scope="session")
def dag_bag() -> Iterator[DagBag]:
    """All DAGs, as Airflow's DAG processor reads them, and a database to run them on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "plugins"))
        initdb()
        yield DagBag(str(ROOT / "dags"))


@pytest.fixture
def without_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a trigger tell at once: what it waits out is a race of the real triggerer, and drills run that."""
    defaults = GlacierJobTrigger.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "quiet_seconds", 0.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a DAG that has ended."""

    state: str
    #: (task id, map index) -> state
    tasks: Mapping[tuple[str, int], str]
    #: (task id, map index) -> the label that the UI shows
    labels: Mapping[tuple[str, int], str]
    #: What failed tasks raised, by task id.
    errors: Mapping[str, str]
    #: The run's events by the asset's name: the extra of each.
    events: Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs a DAG through Airflow's own ``dag.test()``."""

    dag_id: str

    def __call__(self, **conf: Any) -> Run:
        """Run the DAG; ``conf`` are its params."""
        # Read anew: dag.test() leaves a run's conf in the params of the DAG object.
        dag = DagBag(str(ROOT / "dags" / f"{self.dag_id}.py")).dags[self.dag_id]
        errors: dict[str, str] = {}

        def keep_error(context: Context) -> None:
            errors[context["ti"].task_id] = str(context.get("exception"))

        for task in dag.tasks:
            holder = task.partial_kwargs if isinstance(task, MappedOperator) else vars(task)
            holder["on_failure_callback"] = [keep_error]
        run = dag.test(run_conf=conf)
        with create_session() as session:
            events = session.scalars(
                select(AssetEvent)
                .where(AssetEvent.source_dag_id == dag.dag_id, AssetEvent.source_run_id == run.run_id)
                .order_by(AssetEvent.id)
            ).all()
            told = [(event.asset.name, event.extra) for event in events]
        instances = run.get_task_instances()
        return Run(
            state=str(run.state),
            tasks={(each.task_id, each.map_index): str(each.state) for each in instances},
            labels={(each.task_id, each.map_index): each.rendered_map_index for each in instances},
            errors=errors,
            events=told,
        )


@pytest.fixture
def snapshot_dag(dag_bag: DagBag) -> Runner:
    """The snapshot DAG, ready to be run."""
    return Runner(dag_id="glacier_jobs_snapshot")


@pytest.fixture
def dataset_root(tmp_path: Path) -> Path:
    """A folder for a dataset."""
    return tmp_path / "dataset"
