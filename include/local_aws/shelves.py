"""The jobs of one vault, and how they lie there to be listed."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Protocol

from local_aws.jobs import Description, Job
from local_aws.paging import Key


def encoded(description: Description) -> bytes:
    """A description as it goes over the wire."""
    return json.dumps(description, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs a listing shows, and in which direction."""

    statuscode: str | None = None
    completed: bool | None = None
    newest_first: bool = False

    @property
    def admits_all(self) -> bool:
        """Whether no condition was given."""
        return self.statuscode is None and self.completed is None

    def admits(self, description: Description) -> bool:
        """Whether a job with this description is shown: both conditions hold."""
        return (self.statuscode is None or description.get("StatusCode") == self.statuscode) and (
            self.completed is None or description.get("Completed") is self.completed
        )


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All that List Jobs shows of a vault at a moment: the places of the jobs and the jobs themselves, encoded."""

    keys: Sequence[Key]
    printed: Sequence[bytes]
    finish: Callable[[bytes], bytes] | None = None
    """What a page still needs before it is sent."""

    def page(self, start: int, end: int) -> bytes:
        """The members of ``JobList`` for a slice, without the brackets."""
        members = b",".join(self.printed[start:end])
        return members if self.finish is None else self.finish(members)


class Shelf(Protocol):
    """What a vault asks of the place where its jobs lie."""

    def listing(self, now: datetime, wanted: Filter) -> Listing:
        """What List Jobs shows."""

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """What Describe Job shows; ``None`` where the job is not known, or no longer."""

    def find(self, job_id: str) -> Job | None:
        """The job with its life."""

    def jobs(self) -> Iterable[Job]:
        """All jobs that were ever added and not removed."""


class LivingShelf:
    """Jobs that come, change and go. A listing is made once and served until the next change of any job."""

    def __init__(self, jobs: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {job.job_id: job for job in jobs}
        self._listings: dict[Filter, tuple[datetime, datetime | None, Listing]] = {}
        self._printed: dict[str, tuple[bool, bytes]] = {}

    def put(self, jobs: Iterable[Job]) -> None:
        """Add jobs; one with an id that is there takes its place."""
        for job in jobs:
            self._jobs[job.job_id] = job
            self._printed.pop(job.job_id, None)
        self._listings.clear()

    def remove(self, job_ids: Iterable[str]) -> None:
        """Forget jobs at once, finished or not."""
        for job_id in job_ids:
            self._jobs.pop(job_id, None)
            self._printed.pop(job_id, None)
        self._listings.clear()

    def listing(self, now: datetime, wanted: Filter) -> Listing:
        """What List Jobs shows, by initiation time."""
        kept = self._listings.get(wanted)
        if kept is not None:
            made_at, changes_at, listing = kept
            if made_at <= now and (changes_at is None or now < changes_at):
                return listing
        listing = self._make_listing(now, wanted)
        changes_at = min(filter(None, (job.next_change_at(now) for job in self._jobs.values())), default=None)
        self._listings[wanted] = (now, changes_at, listing)
        return listing

    def _make_listing(self, now: datetime, wanted: Filter) -> Listing:
        rows: list[tuple[Key, bytes]] = []
        direction = -1 if wanted.newest_first else 1
        for job in self._jobs.values():
            if not job.is_listed(now):
                continue
            if not wanted.admits_all and not wanted.admits(job.description(now)):
                continue
            key = (direction * round(job.created_at.timestamp() * 1000), job.job_id)
            rows.append((key, self._print(job, now)))
        rows.sort()
        return Listing(keys=[key for key, _ in rows], printed=[printed for _, printed in rows])

    def _print(self, job: Job, now: datetime) -> bytes:
        finished = job.is_finished(now)
        kept = self._printed.get(job.job_id)
        if kept is None or kept[0] is not finished:
            kept = (finished, encoded(job.description(now)))
            self._printed[job.job_id] = kept
        return kept[1]

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """What Describe Job shows."""
        job = self._jobs.get(job_id)
        return job.description(now) if job is not None and job.is_known(now) else None

    def find(self, job_id: str) -> Job | None:
        """The job with its life."""
        return self._jobs.get(job_id)

    def jobs(self) -> Iterable[Job]:
        """All jobs that were ever added and not removed."""
        return self._jobs.values()


_ANY_MOMENT = datetime(2012, 6, 1, tzinfo=timezone.utc)

PLACE_OF_VAULT = "VAULTVAULT"
PLACE_OF_PREFIX = "PREFIXPREFIX"


class Template:
    """Jobs that never change, encoded once for any number of vaults.

    Their descriptions name :data:`PLACE_OF_VAULT` for the vault and :data:`PLACE_OF_PREFIX` at the head of each id.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self._listings: dict[Filter, Listing] = {}
        self.listing(Filter())

    def listing(self, wanted: Filter) -> Listing:
        """All jobs that the filter admits, with the placeholders in."""
        if wanted not in self._listings:
            self._listings[wanted] = LivingShelf(self.jobs.values()).listing(_ANY_MOMENT, wanted)
        return self._listings[wanted]


class PrintedShelf:
    """One vault's copy of a template: any number of them costs the memory of one, and a page costs two replacements."""

    def __init__(self, template: Template, vault_name: str, prefix: str) -> None:
        self._template = template
        self._vault = (PLACE_OF_VAULT.encode(), vault_name.encode())
        self._prefix = (PLACE_OF_PREFIX.encode(), prefix.encode())

    def listing(self, now: datetime, wanted: Filter) -> Listing:
        """What List Jobs shows: the same at any moment."""
        blank = self._template.listing(wanted)
        return Listing(keys=blank.keys, printed=blank.printed, finish=self._fill)

    def _fill(self, members: bytes) -> bytes:
        return members.replace(*self._prefix).replace(*self._vault)

    def describe(self, job_id: str, now: datetime) -> Description | None:
        """What Describe Job shows."""
        job = self.find(job_id)
        return None if job is None else job.description(now)

    def find(self, job_id: str) -> Job | None:
        """The job, with its placeholders filled."""
        head, prefix = self._prefix[0].decode(), self._prefix[1].decode()
        job = self._template.jobs.get(head + job_id[len(prefix) :]) if job_id.startswith(prefix) else None
        return None if job is None else self._filled(job)

    def jobs(self) -> Iterable[Job]:
        """All jobs, with their placeholders filled."""
        return map(self._filled, self._template.jobs.values())

    def _filled(self, job: Job) -> Job:
        facts = json.loads(self._fill(encoded(job.facts)))
        return replace(job, job_id=facts["JobId"], facts=facts)
