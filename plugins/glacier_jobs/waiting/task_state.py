"""The state of a wait in Airflow's state store of the task, for the worker process that continues it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glacier_jobs.compat import task_state_store
from glacier_jobs.waiting.state import Wait
from glacier_jobs.waiting.stored_state import to_json

#: So many ids are stored with the state; more are read again from the sensor's ``job_id``. Ten thousand ids would take
#: a megabyte in Airflow's database, at each poll.
STORED_IDS_AT_MOST = 100

_KEY = "glacier_jobs_wait"


def load(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what :func:`save` stored in this try; ``None`` if nothing was stored, or Airflow has no store.

    The store outlives a try, and a retry starts a new wait.

    :return: ``{"try_number", "vault_name", "account_id", "wait", "job_ids"}``, where ``wait`` is the state as
        :mod:`glacier_jobs.waiting.stored_state` stores it. Without ``job_ids``, there are too many; version 0.1.0
        stored only ``wait``.
    """
    store = task_state_store(context)
    stored: Any = None if store is None else store.get(_KEY)
    return stored if stored is not None and stored["try_number"] == context["ti"].try_number else None


def save(context: Mapping[str, Any], wait: Wait, *, vault_name: str, account_id: str) -> None:
    """Store a wait, and what it waits for, if Airflow has a store.

    The verdicts of a wait can be restored only with all of its ids, which may not be known: they could not be read, or
    version 0.1.0 did not store those of some jobs. Then the earlier verdicts are kept.
    """
    store = task_state_store(context)
    if store is None:
        return
    state: dict[str, Any] = {
        "try_number": context["ti"].try_number,
        "vault_name": vault_name,
        "account_id": account_id,
        "wait": to_json(wait),
    }
    if wait.jobs and len(wait.verdicts) <= STORED_IDS_AT_MOST:
        state["job_ids"] = list(wait.verdicts)
    if "job_ids" not in state and (wait.unnamed or not wait.jobs):
        if earlier := load(context):
            state["wait"] = {**earlier["wait"], "bad_polls": wait.bad_polls}
        elif wait.unnamed:
            return  # the wait came from a trigger of version 0.1.0
    store.set(_KEY, state)
