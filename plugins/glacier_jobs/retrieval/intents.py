"""When a task was about to start a job: kept in Airflow's state store of the task, for its later tries.

An intent is stored before the request to start the job, and removed where Glacier is known not to have started it. So
a later try knows whether there is anything to look for, and how long a job that was started may not be listed yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from glacier_jobs.compat import task_state_store

_KEY = "glacier_jobs_intent_"


class Intents:
    """The intents of a task.

    :param context: the task's context. Before Airflow 3.3, no intents are kept.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = task_state_store(context)

    @property
    def are_kept(self) -> bool:
        """Whether an intent of an earlier try would be known."""
        return self._store is not None

    def stored_at(self, token: str) -> datetime | None:
        """Return when a task was about to start the job with a token; ``None`` if that is not known."""
        stored: Any = None if self._store is None else self._store.get(_key(token))
        return datetime.fromisoformat(stored["at"]) if stored and stored.get("at") else None

    def store(self, token: str, at: datetime) -> None:
        """Store that the task is about to start the job."""
        if self._store is not None:
            self._store.set(_key(token), {"at": at.isoformat()})

    def remove(self, token: str) -> None:
        """Store that the task has not started the job."""
        if self._store is not None:
            self._store.set(_key(token), {"at": None})


def _key(token: str) -> str:
    return _KEY + token.rpartition("/")[2]
