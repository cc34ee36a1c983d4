"""Stores for the jobs of one vault, which serve listings of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Protocol

from local_aws.jobs import Description, Job
from local_aws.paging import SortKey


def encode(description: Description) -> bytes:
    """Return a description as it is sent in a response."""
    return json.dumps(description, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs a listing contains, and in which order."""

    statuscode: str | None = None
    completed: bool | None = None
    newest_first: bool = False

    @property
    def matches_all(self) -> bool:
        """Whether there is no condition."""
        return self.statuscode is None and self.completed is None

    def matches(self, description: Description) -> bool:
        """Return whether a job with this description is listed: both conditions hold."""
        return (self.statuscode is None or description.get("StatusCode") == self.statuscode) and (
            self.completed is None or description.get("Completed") is self.completed
        )


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The complete result of List Jobs for a vault at one time: the sort keys of the jobs, and the encoded jobs."""

    keys: Sequence[SortKey]
    encoded_jobs: Sequence[bytes]
    postprocess: Callable[[bytes], bytes] | None = None
    """Applied to the members of each page before it is sent."""

    def page(self, start: int, end: int) -> bytes:
        """Return the members of ``JobList`` for a slice, without the brackets."""
        members = b",".join(self.encoded_jobs[start:end])
        return members if self.postprocess is None else self.postprocess(members)


class JobStore(Protocol):
    """The interface of the store of a vault's jobs."""

    def listing(self, now: datetime, job_filter: JobFilter) -> Listing:
        """Return the complete result of List Jobs."""

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """Return the result of Describe Job; ``None`` if the job does not exist or has expired."""

    def find(self, job_id: str) -> Job | None:
        """Return the job with its lifecycle; ``None`` if it does not exist."""

    def jobs(self) -> Iterable[Job]:
        """Return all jobs that were added and not removed, including expired ones."""


class MemoryJobStore:
    """Jobs in memory. A listing is cached until the next change of any job."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {job.job_id: job for job in jobs}
        self._listings: dict[JobFilter, tuple[datetime, datetime | None, Listing]] = {}
        self._encoded: dict[str, tuple[bool, bytes]] = {}

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs; a job with an existing ID replaces that job."""
        for job in jobs:
            self._jobs[job.job_id] = job
            self._encoded.pop(job.job_id, None)
        self._listings.clear()

    def remove(self, job_ids: Iterable[str]) -> None:
        """Remove jobs immediately, finished or not."""
        for job_id in job_ids:
            self._jobs.pop(job_id, None)
            self._encoded.pop(job_id, None)
        self._listings.clear()

    def listing(self, now: datetime, job_filter: JobFilter) -> Listing:
        """Return the complete result of List Jobs, by initiation time."""
        cached = self._listings.get(job_filter)
        if cached is not None:
            made_at, changes_at, listing = cached
            if made_at <= now and (changes_at is None or now < changes_at):
                return listing
        listing = self._make_listing(now, job_filter)
        changes_at = min(filter(None, (job.next_change_at(now) for job in self._jobs.values())), default=None)
        self._listings[job_filter] = (now, changes_at, listing)
        return listing

    def _make_listing(self, now: datetime, job_filter: JobFilter) -> Listing:
        rows: list[tuple[SortKey, bytes]] = []
        direction = -1 if job_filter.newest_first else 1
        for job in self._jobs.values():
            if not job.is_listed(now):
                continue
            if not job_filter.matches_all and not job_filter.matches(job.description(now)):
                continue
            key = (direction * round(job.created_at.timestamp() * 1000), job.job_id)
            rows.append((key, self._encode(job, now)))
        rows.sort()
        return Listing(keys=[key for key, _ in rows], encoded_jobs=[encoded_job for _, encoded_job in rows])

    def _encode(self, job: Job, now: datetime) -> bytes:
        finished = job.is_finished(now)
        cached = self._encoded.get(job.job_id)
        if cached is None or cached[0] is not finished:
            cached = (finished, encode(job.description(now)))
            self._encoded[job.job_id] = cached
        return cached[1]

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """Return the result of Describe Job."""
        job = self._jobs.get(job_id)
        return job.description(now) if job is not None and job.is_known(now) else None

    def find(self, job_id: str) -> Job | None:
        """Return the job with its lifecycle; ``None`` if it does not exist."""
        return self._jobs.get(job_id)

    def jobs(self) -> Iterable[Job]:
        """Return all jobs that were added and not removed, including expired ones."""
        return self._jobs.values()


_ANY_TIME = datetime(2012, 6, 1, tzinfo=timezone.utc)

VAULT_PLACEHOLDER = "VAULTVAULT"
PREFIX_PLACEHOLDER = "PREFIXPREFIX"


class JobTemplate:
    """Jobs that never change, encoded once for any number of vaults.

    Their descriptions contain :data:`VAULT_PLACEHOLDER` for the vault name and :data:`PREFIX_PLACEHOLDER` at the start
    of each job ID.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self._listings: dict[JobFilter, Listing] = {}
        self.listing(JobFilter())

    def listing(self, job_filter: JobFilter) -> Listing:
        """Return all jobs that match the filter, with the placeholders."""
        if job_filter not in self._listings:
            self._listings[job_filter] = MemoryJobStore(self.jobs.values()).listing(_ANY_TIME, job_filter)
        return self._listings[job_filter]


class TemplateJobStore:
    """The jobs of one vault, made from a template. All vaults share its memory, and a page needs two replacements."""

    def __init__(self, template: JobTemplate, vault_name: str, prefix: str) -> None:
        self._template = template
        self._vault = (VAULT_PLACEHOLDER.encode(), vault_name.encode())
        self._prefix = (PREFIX_PLACEHOLDER.encode(), prefix.encode())

    def listing(self, now: datetime, job_filter: JobFilter) -> Listing:
        """Return the complete result of List Jobs, which is the same at any time."""
        listing = self._template.listing(job_filter)
        return Listing(keys=listing.keys, encoded_jobs=listing.encoded_jobs, postprocess=self._substitute)

    def _substitute(self, members: bytes) -> bytes:
        return members.replace(*self._prefix).replace(*self._vault)

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """Return the result of Describe Job."""
        job = self.find(job_id)
        return None if job is None else job.description(now)

    def find(self, job_id: str) -> Job | None:
        """Return the job without placeholders; ``None`` if it does not exist."""
        placeholder, prefix = self._prefix[0].decode(), self._prefix[1].decode()
        job = self._template.jobs.get(placeholder + job_id[len(prefix) :]) if job_id.startswith(prefix) else None
        return None if job is None else self._without_placeholders(job)

    def jobs(self) -> Iterable[Job]:
        """Return all jobs without placeholders."""
        return map(self._without_placeholders, self._template.jobs.values())

    def _without_placeholders(self, job: Job) -> Job:
        description = json.loads(self._substitute(encode(job.final_description)))
        return replace(job, job_id=description["JobId"], final_description=description)
