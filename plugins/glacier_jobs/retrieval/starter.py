"""Starts a job once: looks for the job that an earlier try may have started, and for an equal one of others.

Initiate Job has no idempotency token, and Glacier charges for each job, which cannot be cancelled. So the job's
description has a token, and the request is made only where no job with this token can be found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeAlias

from glacier_jobs.arguments import shown
from glacier_jobs.errors import (
    GlacierJobsError,
    IntentExpired,
    InvalidArgument,
    JobFailed,
    JobMayHaveStarted,
    JobNotFound,
    ServiceUnavailable,
)
from glacier_jobs.glacier.client import AttemptGuard
from glacier_jobs.glacier.deadlines import pause
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.retrieval.equal_jobs import hours_left, is_equal
from glacier_jobs.retrieval.intents import Intent, Intents
from glacier_jobs.retrieval.tokens import has_token, with_token

Reuse: TypeAlias = Literal["equal", "never"]

#: How long Glacier may not list a new job; AWS does not document it.
DEFAULT_LISTING_DELAY = timedelta(minutes=15)

#: How long after an intent was stored its request may begin. A process that was suspended makes no request after that.
INTENT_VALID_FOR = timedelta(seconds=60)

#: While it is not known whether a job was started, the pause between two listings: the first, and twice as long each
#: time.
_FIRST_PAUSE_SECONDS = 15.0

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
    :param failed: id -> job, those with the token that failed.
    :param equal: the best of the equal jobs.
    """

    own: JobDescription | None = None
    failed: dict[str, JobDescription] = field(default_factory=dict)
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
        :param restart_failed: whether a person cleared the task, so that a job is started also if that of an earlier
            try has failed.
        :raises JobFailed: the job of an earlier try, or of this one, has failed.
        :raises ServiceUnavailable: Glacier did not start the job, after several requests.

        Other errors are those of :meth:`glacier_jobs.glacier.hook.GlacierJobsHook.initiate_job`, and of its listings.
        """
        intent = self.intents.get(token)
        if intent is None and not may_exist:
            # So that a later try can tell that no intent was stored from a store that was emptied.
            self.intents.store_none(token)
        in_doubt = self._in_doubt(intent, may_exist=may_exist, cleared=restart_failed)
        failed: Mapping[str, JobDescription] = {}
        if may_exist or in_doubt or self.reuse == "equal":
            listed = self._look(request, token)
            if (job := listed.own or listed.equal) is not None:
                if listed.own is None:
                    log.info("The job %s, which another task or program started, is used", job["JobId"])
                return InitiatedJob(description=job, initiation="found")
            failed = listed.failed
            # Without an intent, it is not known which of these jobs the last request started.
            known_failed = intent.failed if intent is not None else frozenset(failed)
            if in_doubt and not failed.keys() - known_failed:
                since = (intent.at if intent is not None else None) or self.clock()
                found = self._found_or_absent(request, token, since=since, known_failed=known_failed)
                if found is not None and found.get("StatusCode") != "Failed":
                    return InitiatedJob(description=found, initiation="found")
                if found is not None:
                    failed = {**failed, found["JobId"]: found}
            if failed:
                self._refuse_failed(_newest(failed.values()), restart_failed=restart_failed)
        return self._started(request, token, known_failed=frozenset(failed))

    def _in_doubt(self, intent: Intent | None, *, may_exist: bool, cleared: bool) -> bool:
        """Tell whether an earlier try may have made a request whose job is not listed yet."""
        if intent is not None:
            return intent.at is not None
        # A deployment can let Airflow empty the store of a task that has succeeded, which a person can clear.
        return may_exist and (cleared or not self.intents.are_kept)

    def _refuse_failed(self, job: JobDescription, *, restart_failed: bool) -> None:
        reason = job.get("StatusMessage") or "Glacier gives no reason"
        if not restart_failed:
            raise JobFailed(
                f"the job {job['JobId']}, which an earlier try started, has failed: {reason}. Clear the task to start "
                "another job, which is charged"
            )
        log.warning("The job %s of an earlier try has failed (%s): another is started", job["JobId"], reason)

    def _started(self, request: JobRequest, token: str, *, known_failed: frozenset[str]) -> InitiatedJob:
        described = replace(request, description=with_token(request.description, token))
        failed: list[JobMayHaveStarted] = []
        while len(failed) < _MOST_STARTS:
            # Only here, after a listing: another process may have started the job while an older intent was valid.
            intent = _IntentOfRequest(self.clock, request)
            self.intents.store(token, intent.at, known_failed)
            try:
                job_id = self.hook.initiate(described, intent)
            except JobMayHaveStarted as error:
                log.warning("%s. The vault is listed until that is known", error)
                job = self._found_or_absent(request, token, since=intent.at, known_failed=known_failed)
                if job is not None:
                    return InitiatedJob(description=_not_failed(job), initiation="started")
                failed.append(error)
            except GlacierJobsError:
                self.intents.store_none(token)
                raise
            else:
                log.info("Started the job %s for %s in vault %s", job_id, request, request.vault_name)
                return InitiatedJob(description=self._described(request, job_id), initiation="started")
        self.intents.store_none(token)
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
            except GlacierJobsError as error:
                raise type(error)(
                    f"the job {job_id} was started, but cannot be described: {error}. A later try of this task finds it"
                ) from error
            self.pause(_FIRST_PAUSE_SECONDS)

    def _found_or_absent(
        self, request: JobRequest, token: str, *, since: datetime, known_failed: Collection[str]
    ) -> JobDescription | None:
        """Return the job with a token, also one that failed; ``None`` if it is proved that there is none.

        That is proved by two complete listings, one after the other, where the first begins so long after the request
        that a job would be listed.

        :param since: when the request may have been made.
        :param known_failed: the ids of jobs that had failed before the request.
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
            if listed.own is not None:
                return listed.own
            if new := [job for job_id, job in listed.failed.items() if job_id not in known_failed]:
                return _newest(new)
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
                    listed.failed[job["JobId"]] = job
            elif self._may_use(job, request, now):
                listed = replace(listed, equal=_best(listed.equal, job, now))
        return listed

    def _may_use(self, job: JobDescription, request: JobRequest, now: datetime) -> bool:
        """Tell whether a job that another task or program started is used."""
        return self.reuse == "equal" and is_equal(job, request) and hours_left(job, now) >= self.min_hours_left


class _IntentOfRequest(AttemptGuard):
    """Prevents attempts at a request whose intent is too old."""

    #: Throttled attempts are repeated for a shorter time than the intent is valid.
    seconds = 0.75 * INTENT_VALID_FOR.total_seconds()

    def __init__(self, clock: Callable[[], datetime], request: JobRequest) -> None:
        self._clock = clock
        self._request = request
        self.at = clock()

    def check(self) -> None:
        """Prevent the request of a process that was suspended meanwhile.

        :raises IntentExpired: the intent is too old.
        """
        if self._clock() - self.at > INTENT_VALID_FOR:
            raise IntentExpired(
                f"vault {self._request.vault_name}: no job was started for {self._request}, because more than "
                f"{INTENT_VALID_FOR.seconds} s passed before the request could be made; try again"
            )


def _not_failed(job: JobDescription) -> JobDescription:
    if job.get("StatusCode") == "Failed":
        reason = job.get("StatusMessage") or "Glacier gives no reason"
        raise JobFailed(f"the job {job['JobId']}, which this try started, has failed: {reason}")
    return job


def _newest(jobs: Iterable[JobDescription]) -> JobDescription:
    return max(jobs, key=lambda job: str(job.get("CreationDate")))


def _best(one: JobDescription | None, other: JobDescription, now: datetime) -> JobDescription:
    """Return the better of two equal jobs: a completed one, and of these the one whose output is kept longest."""

    def rank(job: JobDescription) -> tuple[bool, float, str]:
        completed = job.get("StatusCode") == "Succeeded"
        return completed, hours_left(job, now) if completed else 0.0, str(job["JobId"])

    return max(filter(None, (one, other)), key=rank)
