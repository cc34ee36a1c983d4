"""The state of a wait: each awaited job is pending, succeeded, failed or missing. All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from itertools import islice
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


PROBLEMS = (Verdict.FAILED, Verdict.MISSING)

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

    def refusals(self, job_ids: Iterable[str]) -> Mapping[str, FinalError]:
        """Return which of these jobs have no verdict that another poll would change: id -> why.

        Glacier refuses to describe such a job, or its status is not documented.
        """
        return {
            job_id: error
            for job_id in job_ids
            if (error := self.refused.get(job_id) or _odd_status(job_id, self.found.get(job_id))) is not None
        }


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The state of the wait for some jobs.

    Example::

        wait = Wait.for_jobs(["HkF9p6"], started_at=now)
        wait = wait.after(result, now, timedelta(minutes=15))

    :param started_at: when this try began to wait.
    :param verdicts: id -> verdict of each awaited job, in the order in which the ids were given; empty only as long as
        the ids are not known.
    :param single: whether one id was given, and not a list or file of ids.
    :param seen: the pending ids that a poll has shown.
    :param messages: id -> Glacier's status message of jobs that failed, where there is one.
    :param unnamed: verdict -> number of further jobs whose ids are not known; version 0.1.0 stored such waits.
    :param polled: whether a poll of this try was successful.
    :param expedited: whether the last successful poll showed that all pending jobs have the tier Expedited.
    :param bad_polls: how many polls failed since the last successful one.
    :param pages: how many pages of the vault's list the last poll had to read.
    """

    started_at: datetime
    verdicts: Mapping[str, Verdict]
    single: bool = False
    seen: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)
    unnamed: Mapping[Verdict, int] = field(default_factory=dict)
    polled: bool = False
    expedited: bool = False
    bad_polls: int = 0
    pages: int = 0

    @classmethod
    def for_jobs(cls, job_ids: Iterable[str], *, started_at: datetime, single: bool = False) -> Wait:
        """Return a wait that begins, of which nothing is known."""
        return cls(started_at=started_at, verdicts=dict.fromkeys(job_ids, Verdict.PENDING), single=single)

    @cached_property
    def pending(self) -> tuple[str, ...]:
        """The ids that are still awaited."""
        return tuple(job_id for job_id, verdict in self.verdicts.items() if verdict is Verdict.PENDING)

    @cached_property
    def counts(self) -> Mapping[Verdict, int]:
        """Verdict -> number of jobs."""
        verdicts = list(self.verdicts.values())
        return {verdict: verdicts.count(verdict) + self.unnamed.get(verdict, 0) for verdict in Verdict}

    @property
    def jobs(self) -> int:
        """How many jobs are or were awaited."""
        return sum(self.counts.values())

    @property
    def problems(self) -> int:
        """How many jobs failed or are missing."""
        return sum(self.counts[verdict] for verdict in PROBLEMS)

    def doubtful(self, now: datetime, missing_grace: timedelta) -> frozenset[str]:
        """Return the pending ids that are missing if the next poll does not show them."""
        if now - self.started_at >= missing_grace:
            return frozenset(self.pending)
        return self.seen

    def after(self, result: PollResult, now: datetime, missing_grace: timedelta) -> Wait:
        """Return the wait after a successful poll. A job whose status is not documented is pending."""
        doubtful = self.doubtful(now, missing_grace)
        verdicts = {job_id: _verdict(job_id, result, job_id in doubtful) for job_id in self.pending}
        pending = [job_id for job_id, verdict in verdicts.items() if verdict is Verdict.PENDING]
        messages = {
            job_id: str(message)
            for job_id, verdict in verdicts.items()
            if verdict is Verdict.FAILED and (message := result.found[job_id].get("StatusMessage")) is not None
        }
        return replace(
            self,
            verdicts={**self.verdicts, **verdicts},
            seen=frozenset(job_id for job_id in pending if job_id in self.seen or job_id in result.found),
            messages={**self.messages, **messages},
            polled=True,
            expedited=bool(pending)
            and all(result.found.get(job_id, {}).get("Tier") == "Expedited" for job_id in pending),
            bad_polls=0,
            pages=result.pages,
        )

    def is_over(self, *, wait_for_all: bool) -> bool:
        """Tell whether the wait is over.

        :param wait_for_all: whether the wait continues for the other jobs after one failed or is missing.
        """
        return not self.pending or (self.problems > 0 and not wait_for_all)

    def __str__(self) -> str:
        if not self.jobs:
            return "no jobs known"
        order = (Verdict.SUCCEEDED, Verdict.PENDING, *PROBLEMS)
        return f"{self.jobs} {'job' if self.jobs == 1 else 'jobs'}: " + ", ".join(
            f"{self.counts[verdict]} {verdict.value}" for verdict in order if self.counts[verdict]
        )


def _verdict(job_id: str, result: PollResult, doubtful: bool) -> Verdict:
    if job_id in result.found:
        return _BY_STATUS.get(str(result.found[job_id].get("StatusCode")), Verdict.PENDING)
    return Verdict.MISSING if doubtful and job_id in result.gone else Verdict.PENDING


def _odd_status(job_id: str, job: Mapping[str, Any] | None) -> MalformedAnswer | None:
    if job is None or str(status := job.get("StatusCode")) in _BY_STATUS:
        return None
    return MalformedAnswer(f"job {job_id}: StatusCode is {status!r}; expected one of {', '.join(_BY_STATUS)}")


def failure_message(vault_name: str, wait: Wait) -> str:
    """Return which jobs did not succeed, why, and what to do."""
    named = (job_id for job_id, verdict in wait.verdicts.items() if verdict in PROBLEMS)
    return "\n".join(
        [
            f"{wait.problems} of {wait.jobs} awaited jobs of vault {vault_name} cannot succeed any more ({wait}):",
            *_listed([_problem(wait, job_id) for job_id in islice(named, NAMED_AT_MOST)], wait.problems),
            "Start the retrieval again: finished jobs are kept for about 24 hours.",
        ]
    )


def _problem(wait: Wait, job_id: str) -> str:
    if wait.verdicts[job_id] is Verdict.FAILED:
        return f"{job_id} failed: {wait.messages.get(job_id) or 'Glacier gives no reason'}"
    return f"{job_id} is missing: it is not listed, and Describe Job does not know it"


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


def unreachable_message(vault_name: str, wait: Wait, reason: str) -> str:
    """Return how many polls failed, and why the last one did."""
    return (
        f"{wait.bad_polls} polls in a row of the jobs of vault {vault_name} failed ({wait}). The last error: {reason}"
    )


def _listed(lines: Sequence[str], total: int) -> list[str]:
    rest = [f"- and {total - len(lines)} more"] if total > len(lines) else []
    return [f"- {line}" for line in lines] + rest
