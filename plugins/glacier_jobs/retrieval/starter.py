"""Starts a job once: looks for the job that an earlier try may have started, and for an equal one of others.

Initiate Job has no idempotency token, and Glacier charges for each job, which cannot be cancelled. So the job's
description has a token, and the request is made only where no job with this token can be found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeAlias

from glacier_jobs.arguments import shown
from glacier_jobs.errors import (
    GlacierJobsError,
    InvalidArgument,
    JobFailed,
    JobMayHaveStarted,
    JobNotFound,
    ServiceUnavailable,
)
from glacier_jobs.glacier.deadlines import pause
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.glacier.timestamps import moment_of
from glacier_jobs.retrieval.equal_jobs import hours_left, is_equal
from glacier_jobs.retrieval.intents import Intents
from glacier_jobs.retrieval.tokens import has_token, with_token

Reuse: TypeAlias = Literal["equal", "never"]

#: How long Glacier may not list a new job; AWS does not document it.
DEFAULT_LISTING_DELAY = timedelta(minutes=15)

#: How long after an intent was stored its request may begin. A process that was suspended makes no request after that.
INTENT_VALID_FOR = timedelta(seconds=60)

#: While it is not known whether a job was started, the pause between two listings: the first, and twice as long each
#: time.
_FIRST_PAUSE_SECONDS = 15.0

#: How much AWS's clock and that of this machine may differ.
_CLOCKS_DIFFER = timedelta(minutes=5)

#: How often a start is requested that Glacier has proved not to have received.
_MOST_STARTS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class InitiatedJob:
    """A job, and whether this call started it, or found it."""

    description: JobDescription
    initiation: Literal["started", "found"]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What one complete listing of a vault shows about a request, or a listing up to the job of its token.

    :param own: the job with the request's token that did not fail.
    :param failed: the newest job with the token, if all of them failed.
    :param equal: the best of the equal jobs.
    """

    own: JobDescription | None = None
    failed: JobDescription | None = None
    equal: JobDescription | None = None


def check_reuse(value: object) -> Reuse:
    """Return whether equal jobs of others are used.

    :raises InvalidArgument: names what was found and what is allowed.
    """
    if value == "equal":
        return "equal"
    if value == "never":
        return "never"
    raise InvalidArgument(f"reuse is {shown(value)}; allowed are equal, never")


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, kw_only=True)
class JobStarter:
    """Starts jobs once each.

    Example::

        starter = JobStarter(hook=hook, intents=Intents({}))
        job = starter.start(request, token, may_exist=False)
        print(job.initiation, job.description["JobId"])

    :param intents: what the task's earlier tries stored.
    :param reuse: with ``equal``, an equal job that another task or program started is used; with ``never``, only a job
        with the same token.
    :param min_hours_left: for how many hours Glacier keeps the output of an equal job at least.
    :param listing_delay: how long Glacier may not list a new job.
    :param clock: returns the time, an aware UTC datetime.
    :param pause: waits for some seconds.
    """

    hook: GlacierJobsHook
    intents: Intents
    reuse: Reuse = "equal"
    min_hours_left: float = 6.0
    listing_delay: timedelta = DEFAULT_LISTING_DELAY
    clock: Callable[[], datetime] = _now
    pause: Callable[[float], None] = pause

    def start(self, request: JobRequest, token: str, *, may_exist: bool, restart_failed: bool = False) -> InitiatedJob:
        """Return the job of a token, an equal job, or a job that is started now.

        :param token: from :func:`glacier_jobs.retrieval.tokens.token_of`.
        :param may_exist: whether an earlier try may have started the job.
        :param restart_failed: whether a job is started also if that of an earlier try has failed.
        :raises JobFailed: the job of an earlier try, or of this one, has failed.
        :raises ServiceUnavailable: Glacier did not start the job, after several requests.

        Other errors are those of :meth:`glacier_jobs.glacier.hook.GlacierJobsHook.initiate_job`, and of its listings.
        """
        intended_at = self.intents.stored_at(token)
        in_doubt = intended_at is not None or (may_exist and not self.intents.are_kept)
        if may_exist or in_doubt or self.reuse == "equal":
            listed = self._look(request, token)
            if (job := listed.own or listed.equal) is not None:
                if listed.own is None:
                    log.info("The job %s, which another task or program started, is used", job["JobId"])
                return InitiatedJob(description=job, initiation="found")
            if in_doubt and not _was_started_after(listed.failed, intended_at):
                job = self._found_or_absent(request, token, since=intended_at or self.clock())
                if job is not None:
                    return InitiatedJob(description=job, initiation="found")
            if listed.failed is not None:
                self._refuse_failed(listed.failed, restart_failed=restart_failed)
        return self._started(request, token)

    def _refuse_failed(self, job: JobDescription, *, restart_failed: bool) -> None:
        reason = job.get("StatusMessage") or "Glacier gives no reason"
        if not restart_failed:
            raise JobFailed(
                f"the job {job['JobId']}, which an earlier try started, has failed: {reason}. Clear the task to start "
                "another job, which is charged"
            )
        log.warning("The job %s of an earlier try has failed (%s): another is started", job["JobId"], reason)

    def _started(self, request: JobRequest, token: str) -> InitiatedJob:
        described = replace(request, description=with_token(request.description, token))
        failed: list[JobMayHaveStarted] = []
        while len(failed) < _MOST_STARTS:
            intended_at = self.clock()
            self.intents.store(token, intended_at)
            if self.clock() - intended_at > INTENT_VALID_FOR:
                raise ServiceUnavailable(
                    f"vault {request.vault_name}: no job was started for {request}, because more than "
                    f"{INTENT_VALID_FOR.seconds} s passed before the request could be made; try again"
                )
            try:
                job_id = self.hook.initiate(described)
            except JobMayHaveStarted as error:
                log.warning("%s. The vault is listed until that is known", error)
                job = self._found_or_absent(request, token, since=intended_at, failed_too=True)
                if job is not None:
                    return InitiatedJob(description=_not_failed(job), initiation="started")
                failed.append(error)
            except GlacierJobsError:
                self.intents.remove(token)
                raise
            else:
                log.info("Started the job %s for %s in vault %s", job_id, request, request.vault_name)
                return InitiatedJob(description=self._described(request, job_id), initiation="started")
        self.intents.remove(token)
        raise ServiceUnavailable(
            f"vault {request.vault_name}: no job was started for {request}, after {len(failed)} requests. The last "
            f"error: {failed[-1]}. No listing shows the job since; try again later"
        ) from failed[-1]

    def _described(self, request: JobRequest, job_id: str) -> JobDescription:
        """Return the description of a job that was just started, which Describe Job may not know yet."""
        until = self.clock() + self.listing_delay
        while True:
            try:
                return self.hook.get_job(request.vault_name, job_id, request.account_id)
            except JobNotFound:
                if self.clock() >= until:
                    raise
            self.pause(_FIRST_PAUSE_SECONDS)

    def _found_or_absent(
        self, request: JobRequest, token: str, *, since: datetime, failed_too: bool = False
    ) -> JobDescription | None:
        """Return the job with a token; ``None`` if it is proved that there is none.

        That is proved by two complete listings, one after the other, where the first begins so long after the request
        that a job would be listed.

        :param since: when the request may have been made.
        :param failed_too: whether a job that failed is returned, too.
        """
        absent_from = since + INTENT_VALID_FOR + timedelta(seconds=self._answer_seconds) + self.listing_delay
        log.info(
            "vault %s: it is not known whether a job was started for %s; the vault is listed until %s",
            request.vault_name,
            request,
            absent_from.isoformat(timespec="seconds"),
        )
        seconds, listings = _FIRST_PAUSE_SECONDS, 0
        while True:
            settled = self.clock() >= absent_from
            listed = self._look(request, token)
            if (job := listed.own or (listed.failed if failed_too else None)) is not None:
                return job
            listings = listings + 1 if settled else 0
            if listings == 2:
                return None
            if not settled:
                remaining = (absent_from - self.clock()).total_seconds()
                self.pause(max(0.0, min(seconds, remaining)))
                seconds *= 2

    @property
    def _answer_seconds(self) -> float:
        return self.hook.retry_policy.answer_timeout_seconds

    def _look(self, request: JobRequest, token: str) -> Listed:
        """List the vault, until the job of the token is found."""
        now = self.clock()
        listed = Listed()
        for job in self.hook.list_jobs(request.vault_name, account_id=request.account_id):
            if has_token(job, token):
                if hours_left(job, now) > 0:
                    return Listed(own=job)
                if job.get("StatusCode") == "Failed":
                    listed = replace(listed, failed=_newest(listed.failed, job))
            elif self._may_use(job, request, now):
                listed = replace(listed, equal=_best(listed.equal, job, now))
        return listed

    def _may_use(self, job: JobDescription, request: JobRequest, now: datetime) -> bool:
        """Tell whether a job that another task or program started is used."""
        return self.reuse == "equal" and is_equal(job, request) and hours_left(job, now) >= self.min_hours_left


def _was_started_after(job: JobDescription | None, intended_at: datetime | None) -> bool:
    """Tell whether a job is that of an intent. AWS's clock and that of this machine may differ."""
    created_at = None if job is None else moment_of(job.get("CreationDate"))
    return created_at is not None and intended_at is not None and created_at >= intended_at - _CLOCKS_DIFFER


def _not_failed(job: JobDescription) -> JobDescription:
    if job.get("StatusCode") == "Failed":
        reason = job.get("StatusMessage") or "Glacier gives no reason"
        raise JobFailed(f"the job {job['JobId']}, which this try started, has failed: {reason}")
    return job


def _newest(one: JobDescription | None, other: JobDescription) -> JobDescription:
    return max(filter(None, (one, other)), key=lambda job: str(job.get("CreationDate")))


def _best(one: JobDescription | None, other: JobDescription, now: datetime) -> JobDescription:
    """Return the better of two equal jobs: a completed one, and of these the one whose output is kept longest."""

    def rank(job: JobDescription) -> tuple[bool, float, str]:
        completed = job.get("StatusCode") == "Succeeded"
        return completed, hours_left(job, now) if completed else 0.0, str(job["JobId"])

    return max(filter(None, (one, other)), key=rank)
