"""A wait as JSON, for those who go on with it in another process; it holds verdicts, never descriptions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from glacier_jobs.verdict import Problem, Verdict, Wait


def to_json(wait: Wait, job_ids: Sequence[str]) -> dict[str, Any]:
    """Return a wait as JSON, without its ids, in one bit a job and state.

    :param job_ids: the ids that will be at hand when the wait is read again; those pending are among them.
    """
    pending = frozenset(wait.pending)
    return {
        "digest": _digest(job_ids),
        "started_at": wait.started_at.isoformat(),
        "pending": _bits(job_id in pending for job_id in job_ids),
        "seen": _bits(job_id in wait.seen for job_id in job_ids),
        "succeeded": wait.succeeded,
        "failed": wait.failed,
        "missing": wait.missing,
        "problems": [[problem.job_id, problem.verdict.value, problem.message] for problem in wait.problems],
        "bad_polls": wait.bad_polls,
        "pages": wait.pages,
    }


def from_json(memory: Mapping[str, Any], job_ids: Sequence[str]) -> Wait:
    """Return the wait that :func:`to_json` was given.

    Where the ids are others by now, nothing is known of them: only when the wait began stays, and how many polls went
    wrong.
    """
    started_at = datetime.fromisoformat(memory["started_at"])
    if memory["digest"] != _digest(job_ids):
        return Wait(started_at=started_at, pending=tuple(job_ids), bad_polls=memory["bad_polls"])
    return Wait(
        started_at=started_at,
        pending=tuple(_chosen(memory["pending"], job_ids)),
        seen=frozenset(_chosen(memory["seen"], job_ids)),
        succeeded=memory["succeeded"],
        failed=memory["failed"],
        missing=memory["missing"],
        problems=tuple(
            Problem(job_id=job_id, verdict=Verdict(verdict), message=message)
            for job_id, verdict, message in memory["problems"]
        ),
        bad_polls=memory["bad_polls"],
        pages=memory["pages"],
    )


def _digest(job_ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(job_ids).encode()).hexdigest()[:16]


def _bits(flags: Iterable[bool]) -> str:
    # The leading 1 keeps the zeros behind it.
    return f"{int('1' + ''.join('1' if flag else '0' for flag in flags), 2):x}"


def _chosen(bits: str, job_ids: Sequence[str]) -> Iterable[str]:
    return (job_id for job_id, flag in zip(job_ids, f"{int(bits, 16):b}"[1:], strict=True) if flag == "1")
