"""The DAG of the executors' drills, read by the Airflow that they start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from glacier_jobs.operators import GlacierJobsToParquetOperator


@task
def targets() -> list[dict[str, Any]]:
    """Return the operator's arguments for each target, from the run's conf."""
    return list((get_current_context()["dag_run"].conf or {})["targets"])


@dag(dag_id="snapshots", schedule=None)
def snapshots() -> None:
    """Observe all targets, a mapped task each, and try again soon."""
    GlacierJobsToParquetOperator.partial(task_id="snapshot", retries=3, retry_delay=timedelta(seconds=1)).expand_kwargs(
        targets()
    )


snapshots()
