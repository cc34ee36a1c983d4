"""The state of a wait: each awaited job is pending, succeeded, failed or missing; and that state as JSON. All pure.

A wait that another process continues is stored as JSON. It holds verdicts, never descriptions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from glacier_jobs.errors import FinalError, MalformedAnswer

#: How many jobs a message names; the others are counted.
NAMED_AT_MOST = 20


class Verdict(str, Enum):
    """The state of one awaited job."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MISSING = "missing"


_BY_STATUS = {"InProgress": Verdict.PENDING, "Succeeded": Verdict.SUCCEEDED, "Failed": Verdict.FAILED}


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """What one poll of a vault showed.

    :param found: id -> description of those awaited jobs that exist.
    :param gone: ids that neither a complete listing shows nor Describe Job knows.
    :param refused: id -> why Glacier refuses to describe this job, now and at the next poll.
    :param completed: id -> description of all completed jobs of the vault, where they were requested; ``None`` in place
        of a description that was not requested.
    :param pages: how many pages of the vault's list a poll has to read, as far as is known.
    """

    found: Mapping[str, Mapping[str, Any]]
    gone: frozenset[str] = frozenset()
    refused: Mapping[str, FinalError] = field(default_factory=dict)
    completed: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    pages: int = 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A job that cannot succeed any more, and Glacier's status message."""

    job_id: str
    verdict: Verdict
    message: str | None = None

    def __str__(self) -> str:
        if self.verdict is Verdict.FAILED:
            return f"{self.job_id} failed: {self.message or 'Glacier gives no reason'}"
        return f"{self.job_id} is missing: it is not listed, and Describe Job does not know it"


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The state of the wait for some jobs.

    :param started_at: when this try began to wait.
    :param pending: the ids that are still awaited; there are no jobs at all only as long as the ids are not known.
    :param seen: those of them that a poll has shown.
    :param problems: the first :data:`NAMED_AT_MOST` jobs that failed or are missing, in the order of their discovery.
    :param bad_polls: how many polls failed since the last successful one.
    :param pages: how many pages of the vault's list the last poll had to read.
    """

    started_at: datetime
    pending: tuple[str, ...]
    seen: frozenset[str] = frozenset()
    succeeded: int = 0
    failed: int = 0
    missing: int = 0
    problems: tuple[Problem, ...] = ()
    bad_polls: int = 0
    pages: int = 0

    @property
    def jobs(self) -> int:
        """How many jobs are or were awaited."""
        return len(self.pending) + self.succeeded + self.failed + self.missing

    def doubtful(self, now: datetime, missing_grace: timedelta) -> frozenset[str]:
        """Return the pending ids that are missing if the next poll does not show them."""
        if now - self.started_at >= missing_grace:
            return frozenset(self.pending)
        return self.seen

    def after_bad_poll(self) -> Wait:
        """Return the wait after a failed poll."""
        return replace(self, bad_polls=self.bad_polls + 1)

    def after(self, result: PollResult, now: datetime, missing_grace: timedelta) -> Wait:
        """Return the wait after a successful poll.

        :raises MalformedAnswer: a job has a status that is not documented.
        :raises FinalError: Glacier refuses to describe a pending job.
        """
        for job_id in self.pending:
            if job_id in result.refused:
                raise result.refused[job_id]
        doubtful = self.doubtful(now, missing_grace)
        verdicts = {job_id: _verdict(job_id, result, job_id in doubtful) for job_id in self.pending}
        pending = tuple(job_id for job_id, verdict in verdicts.items() if verdict is Verdict.PENDING)
        problems = [
            Problem(job_id=job_id, verdict=verdict, message=result.found.get(job_id, {}).get("StatusMessage"))
            for job_id, verdict in verdicts.items()
            if verdict in (Verdict.FAILED, Verdict.MISSING)
        ]
        counts = list(verdicts.values())
        return replace(
            self,
            pending=pending,
            seen=frozenset(job_id for job_id in pending if job_id in self.seen or job_id in result.found),
            succeeded=self.succeeded + counts.count(Verdict.SUCCEEDED),
            failed=self.failed + counts.count(Verdict.FAILED),
            missing=self.missing + counts.count(Verdict.MISSING),
            problems=(*self.problems, *problems)[:NAMED_AT_MOST],
            bad_polls=0,
            pages=result.pages,
        )

    def is_over(self, *, wait_for_all: bool) -> bool:
        """Tell whether the wait is over.

        :param wait_for_all: whether the wait continues for the other jobs after one failed or is missing.
        """
        return not self.pending or (self.has_problems and not wait_for_all)

    @property
    def has_problems(self) -> bool:
        """Whether a job failed or is missing."""
        return self.failed + self.missing > 0

    def __str__(self) -> str:
        if not self.jobs:
            return "no jobs known"
        counts = {
            "succeeded": self.succeeded,
            "pending": len(self.pending),
            "failed": self.failed,
            "missing": self.missing,
        }
        return f"{self.jobs} {'job' if self.jobs == 1 else 'jobs'}: " + ", ".join(
            f"{count} {name}" for name, count in counts.items() if count
        )


def _verdict(job_id: str, result: PollResult, doubtful: bool) -> Verdict:
    if job_id in result.found:
        status = result.found[job_id].get("StatusCode")
        if status not in _BY_STATUS:
            raise MalformedAnswer(f"job {job_id}: StatusCode is {status!r}; expected one of {', '.join(_BY_STATUS)}")
        return _BY_STATUS[status]
    return Verdict.MISSING if doubtful and job_id in result.gone else Verdict.PENDING


def failure_message(vault_name: str, wait: Wait) -> str:
    """Return which jobs did not succeed, why, and what to do."""
    return "\n".join(
        [
            f"{wait.failed + wait.missing} of {wait.jobs} awaited jobs of vault {vault_name} cannot succeed any more "
            f"({wait}):",
            *_listed([str(problem) for problem in wait.problems], wait.failed + wait.missing),
            "Start the retrieval again: finished jobs are kept for about 24 hours.",
        ]
    )


def timeout_message(vault_name: str, wait: Wait, timeout_seconds: float) -> str:
    """Return which jobs are still awaited after the time-out."""
    if not wait.jobs:
        return f"{timeout_seconds:g} s are over, and the ids of the awaited jobs of vault {vault_name} cannot be read"
    return "\n".join(
        [
            f"{len(wait.pending)} of {wait.jobs} awaited jobs of vault {vault_name} are still pending after "
            f"{timeout_seconds:g} s ({wait}):",
            *_listed(wait.pending[:NAMED_AT_MOST], len(wait.pending)),
        ]
    )


def _listed(lines: Sequence[str], total: int) -> list[str]:
    rest = [f"- and {total - len(lines)} more"] if total > len(lines) else []
    return [f"- {line}" for line in lines] + rest


def to_json(wait: Wait, job_ids: Sequence[str]) -> dict[str, Any]:
    """Return a wait as JSON: one bit for each job and state, without the ids.

    :param job_ids: the ids that will be given when the wait is read back; the pending ones are among them.
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


def from_json(stored: Mapping[str, Any], job_ids: Sequence[str]) -> Wait:
    """Return the wait that :func:`to_json` was given.

    Where the ids have changed, nothing is known of the new ones: only the start of the wait and the number of failed
    polls are kept.
    """
    started_at = datetime.fromisoformat(stored["started_at"])
    if stored["digest"] != _digest(job_ids):
        return Wait(started_at=started_at, pending=tuple(job_ids), bad_polls=stored["bad_polls"])
    return Wait(
        started_at=started_at,
        pending=tuple(_chosen(stored["pending"], job_ids)),
        seen=frozenset(_chosen(stored["seen"], job_ids)),
        succeeded=stored["succeeded"],
        failed=stored["failed"],
        missing=stored["missing"],
        problems=tuple(
            Problem(job_id=job_id, verdict=Verdict(verdict), message=message)
            for job_id, verdict, message in stored["problems"]
        ),
        bad_polls=stored["bad_polls"],
        pages=stored["pages"],
    )


def _digest(job_ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(job_ids).encode()).hexdigest()[:16]


def _bits(flags: Iterable[bool]) -> str:
    # The leading 1 keeps the zeros behind it.
    return f"{int('1' + ''.join('1' if flag else '0' for flag in flags), 2):x}"


def _chosen(bits: str, job_ids: Sequence[str]) -> Iterable[str]:
    return (job_id for job_id, flag in zip(job_ids, f"{int(bits, 16):b}"[1:], strict=True) if flag == "1")
