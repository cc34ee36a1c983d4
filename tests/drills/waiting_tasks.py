"""Jobs to wait for, and the tasks of a running Airflow that wait for them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from local_airflow.rest import AirflowApi, TookTooLong, wait_for

HOUR = 3600
TIMEOUT_SECONDS = 600.0


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    """Return a job that takes four hours, unless the overrides say otherwise."""
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


def states(api: AirflowApi, dag_id: str, run_id: str, task_id: str = "wait") -> dict[int, tuple[str, int]]:
    """Return, by map index, the state and the try number of each instance of a task."""
    return {
        instance["map_index"]: (instance["state"], instance["try_number"])
        for instance in api.task_instances(dag_id, run_id)
        if instance["task_id"] == task_id
    }


def wait_for_states(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    expected: dict[int, tuple[str, int]],
    seconds: float = TIMEOUT_SECONDS,
    task_id: str = "wait",
) -> None:
    """Wait until the instances of a task have the expected states."""
    found: dict[int, tuple[str, int]] = {}

    def reached() -> bool | None:
        found.clear()
        found.update(states(api, dag_id, run_id, task_id))
        return found == expected or None

    try:
        wait_for(f"{dag_id}: {expected}", reached, seconds)
    except TookTooLong as error:
        raise AssertionError(f"found {found}, expected {expected}") from error


def result(api: AirflowApi, dag_id: str, run_id: str, map_index: int, task_id: str = "wait") -> Any:
    """Return what a task returned."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/return_value"
    return api.get(f"{path}?map_index={map_index}&deserialize=true")["value"]
