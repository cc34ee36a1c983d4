"""The DAGs of the drills with both executors, which their Airflow reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task

from glacier_jobs.operators import (
    GlacierInitiateJobOperator,
    GlacierJobOutputToObjectStorageOperator,
    GlacierJobsToParquetOperator,
)
from glacier_jobs.sensors import GlacierJobSensor


@task
def targets() -> list[dict[str, Any]]:
    """Return the operator's arguments for each target from the run's conf."""
    return list((get_current_context()["dag_run"].conf or {})["targets"])


@dag(dag_id="snapshots", schedule=None)
def snapshots() -> None:
    """Observe each target in a mapped task, with a short retry delay."""
    GlacierJobsToParquetOperator.partial(task_id="snapshot", retries=3, retry_delay=timedelta(seconds=1)).expand_kwargs(
        targets()
    )


@task
def job_ids() -> list[str]:
    """Return the awaited job ids from the run's conf."""
    return list((get_current_context()["dag_run"].conf or {})["job_ids"])


@dag(dag_id="waiting", schedule=None)
def waiting() -> None:
    """Wait in the triggerer, with a mapped task for each job id."""
    GlacierJobSensor.partial(
        task_id="wait",
        vault_name="awaited",
        deferrable=True,
        poke_interval=2,
        retries=2,
        retry_delay=timedelta(seconds=1),
    ).expand(job_id=job_ids())


@task
def archive() -> dict[str, str]:
    """Return the archive id and the destination from the run's conf."""
    return dict(get_current_context()["dag_run"].conf or {})


@dag(dag_id="retrieving", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=1)})
def retrieving() -> None:
    """Retrieve an archive, waiting in the triggerer, and store it."""
    asked: Any = archive()
    retrieve = GlacierInitiateJobOperator(
        task_id="retrieve",
        vault_name="archives",
        job_type="archive-retrieval",
        archive_id=asked["archive_id"],
        wait_for_completion=True,
        deferrable=True,
        poll_interval=2,
    )
    GlacierJobOutputToObjectStorageOperator(
        task_id="store", vault_name="archives", job_id=retrieve.output, destination_uri=asked["destination_uri"]
    )


snapshots()
waiting()
retrieving()
