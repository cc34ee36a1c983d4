from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from glacier_jobs.waiting.progress import Progress
from glacier_jobs.waiting.state import PollResult, Wait

NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
WAIT = Wait.for_jobs("abc", started_at=NOON)


def after(progress: Progress, *, gone: str = "", now: datetime = NOON, **completed_at: Any) -> Progress:
    """Return the progress after a poll that showed these jobs as succeeded and those as gone."""
    found = {
        job_id: {
            "StatusCode": "Succeeded",
            "CompletionDate": at if at is None or isinstance(at, str) else at.isoformat(),
        }
        for job_id, at in completed_at.items()
    }
    result = PollResult(found=found, gone=frozenset(gone))
    return progress.after(WAIT, WAIT.after(result, now, timedelta(0)), result, now)


STORED = Progress(stored_at=NOON)


def test_unchanged_verdicts_are_never_due() -> None:
    assert after(STORED).due_at is None
    assert not STORED.is_due(NOON + 100 * HOUR)


def test_changed_verdicts_are_due_six_hours_after_the_last_ones_were_stored() -> None:
    progress = after(STORED, a=NOON)

    assert progress.due_at == NOON + 6 * HOUR
    assert not progress.is_due(NOON + 5.9 * HOUR)
    assert progress.is_due(NOON + 6 * HOUR)
    assert after(STORED, gone="a").due_at == NOON + 6 * HOUR


@pytest.mark.parametrize("completed_at", [NOON - 20 * HOUR, "2026-11-21T16:00:00.000Z", "2026-11-21T16:00:00"])
def test_they_are_due_an_hour_before_glacier_may_drop_a_job(completed_at: Any) -> None:
    assert after(STORED, a=NOON, b=completed_at).due_at == NOON + 3 * HOUR


def test_a_later_change_does_not_delay_an_earlier_one() -> None:
    progress = after(after(STORED, b=NOON - 20 * HOUR), a=NOON)

    assert progress.due_at == NOON + 3 * HOUR


@pytest.mark.parametrize("completed_at", [None, "yesterday"])
def test_without_the_time_of_completion_they_are_due_at_once(completed_at: Any) -> None:
    assert after(STORED, a=completed_at).is_due(NOON)
