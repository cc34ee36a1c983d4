"""When verdicts that only a trigger's memory holds are stored. All pure.

Glacier drops a job about 24 hours after it completed. If a triggerer restarted after that, a job that the trigger had
seen succeed would count as missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.glacier.expiry import expires_at
from glacier_jobs.waiting.state import PollResult, Verdict, Wait

#: The shortest time between two stored states, because each one resumes the task on a worker.
STORED_EVERY = timedelta(hours=6)

#: How long before Glacier may drop a completed job its verdict is stored at the latest. This may be sooner than
#: :data:`STORED_EVERY`, for a job that completed long before a poll showed it.
STORED_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Which verdicts are not stored yet.

    :param stored_at: when the state was stored.
    :param due_at: when it is stored again; ``None`` while no verdict has changed.
    """

    stored_at: datetime
    due_at: datetime | None = None

    def after(self, before: Wait, now_known: Wait, result: PollResult, now: datetime) -> Progress:
        """Return the progress after a poll that changed a wait."""
        changed = [job_id for job_id in before.pending if now_known.verdicts[job_id] is not Verdict.PENDING]
        if not changed:
            return self
        due = [self.stored_at + STORED_EVERY] + [
            _droppable_at(result.found[job_id], now) - STORED_BEFORE for job_id in changed if job_id in result.found
        ]
        return replace(self, due_at=min([*due, self.due_at] if self.due_at else due))

    def is_due(self, now: datetime) -> bool:
        """Tell whether the state must be stored now."""
        return self.due_at is not None and now >= self.due_at


def _droppable_at(description: Any, now: datetime) -> datetime:
    """Return when Glacier may drop a completed job; if it does not say when the job completed, now."""
    return expires_at(description) or now
