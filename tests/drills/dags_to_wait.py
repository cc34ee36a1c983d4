"""The DAGs of the triggerer's drills, which their Airflow reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, get_current_context, task

from glacier_jobs.events import GlacierJobCompletedTrigger
from glacier_jobs.sensors import GlacierJobSensor

POLL_SECONDS = 2

WATCHED = Asset(
    "watched_jobs",
    watchers=[
        AssetWatcher(
            name="watched_vault", trigger=GlacierJobCompletedTrigger(vault_name="watched", poll_seconds=POLL_SECONDS)
        )
    ],
)


@task
def ids() -> list[str]:
    """Return the awaited job ids from the run's conf."""
    return list((get_current_context()["dag_run"].conf or {})["job_ids"])


@dag(dag_id="deferred", schedule=None)
def deferred() -> None:
    """Wait in the triggerer, with a mapped task for each job id."""
    GlacierJobSensor.partial(
        task_id="wait",
        vault_name="photos",
        deferrable=True,
        poke_interval=POLL_SECONDS,
        retries=2,
        retry_delay=timedelta(seconds=1),
    ).expand(job_id=ids())


@dag(dag_id="deferred_list", schedule=None)
def deferred_list() -> None:
    """Wait in the triggerer, with one task for all job ids."""
    GlacierJobSensor(
        task_id="wait",
        vault_name="tapes",
        job_id=ids(),
        deferrable=True,
        poke_interval=POLL_SECONDS,
        retries=2,
        retry_delay=timedelta(seconds=1),
    )


@dag(dag_id="rescheduled", schedule=None)
def rescheduled() -> None:
    """Wait with ``mode="reschedule"``: each poke runs in a new process."""
    GlacierJobSensor(task_id="wait", vault_name="films", job_id=ids(), poke_interval=POLL_SECONDS, retries=2)


@dag(dag_id="watching", schedule=[WATCHED])
def watching() -> None:
    """Run when jobs complete."""

    @task
    def completed() -> list[dict[str, Any]]:
        events = get_current_context()["triggering_asset_events"][WATCHED]
        return [event.extra["payload"] for event in events]

    completed()


deferred()
deferred_list()
rescheduled()
watching()
