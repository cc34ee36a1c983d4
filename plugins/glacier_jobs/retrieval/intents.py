"""When a task was about to start a job: kept in Airflow's state store of the task, for its later tries.

An intent is stored before the request to start the job, and removed where Glacier is known not to have started it. So
a later try knows whether there is anything to look for, and how long a job that was started may not be listed yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from glacier_jobs.compat import task_state_store

_KEY = "glacier_jobs_intent_"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a task stored about the job of a token.

    :param at: when the task was about to start the job; ``None`` if it has not started any.
    :param failed: the ids of the jobs with the token that had failed before.
    """

    at: datetime | None
    failed: frozenset[str] = frozenset()


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

    def get(self, token: str) -> Intent | None:
        """Return what was stored for a token; ``None`` if nothing was."""
        stored: Any = None if self._store is None else self._store.get(_key(token))
        if not stored:
            return None
        at = stored.get("at")
        return Intent(at=None if at is None else datetime.fromisoformat(at), failed=frozenset(stored.get("failed", ())))

    def store(self, token: str, at: datetime, failed: Collection[str]) -> None:
        """Store that the task is about to start the job, and which jobs with the token have failed."""
        self._set(token, {"at": at.isoformat(), "failed": sorted(failed)})

    def store_none(self, token: str) -> None:
        """Store that the task has not started the job."""
        self._set(token, {"at": None})

    def _set(self, token: str, value: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._store.set(_key(token), value)


def _key(token: str) -> str:
    return _KEY + token.rpartition("/")[2]
