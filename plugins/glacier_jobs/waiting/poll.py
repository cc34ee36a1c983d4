"""One poll of a vault: the state of awaited jobs, determined by as few requests as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from glacier_jobs.errors import AccessDenied, FinalError, JobNotFound, MalformedAnswer, RequestRefused, TransientError
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.pagination import JobDescription, JobPage
from glacier_jobs.waiting.backoff import describing_is_cheaper
from glacier_jobs.waiting.state import PollResult


@dataclass(frozen=True, kw_only=True)
class PollRequest:
    """What a poll must determine.

    :param job_ids: the awaited jobs.
    :param doubtful: those of them whose absence must be determined.
    :param delivered: with ids here, all completed jobs of the vault are requested as well, with the descriptions of all
        but these; ``None`` requests the awaited jobs only.
    """

    job_ids: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    delivered: frozenset[str] | None = None

    @classmethod
    def merged(cls, requests: Iterable[PollRequest]) -> PollRequest:
        """Return the request that covers all of these."""
        several = list(requests)
        delivered = [request.delivered for request in several if request.delivered is not None]
        return cls(
            job_ids=frozenset().union(*(request.job_ids for request in several)),
            doubtful=frozenset().union(*(request.doubtful for request in several)),
            delivered=frozenset.intersection(*delivered) if delivered else None,
        )


class PollCancelled(TransientError):
    """Nobody waits for the result any more."""


def poll(
    hook: GlacierJobsHook,
    vault_name: str,
    account_id: str,
    request: PollRequest,
    *,
    pages: int = 0,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> PollResult:
    """Poll a vault's jobs once.

    The vault's list is read until all awaited jobs are found. Once Describe Job for each of the others takes fewer
    requests than the rest of the list, that is called instead. A job that Describe Job does not know is reported as
    gone, and one that it refuses to describe as refused, only if the whole list does not show it either.

    :param pages: how many pages an earlier poll had to read; 0 where there was none.
    :param is_cancelled: called before each request.
    :raises PollCancelled: ``is_cancelled`` returned true.

    Other errors are those of the hook.
    """
    vault = _VaultRequests(hook=hook, vault_name=vault_name, account_id=account_id, is_cancelled=is_cancelled)
    listing = _Listing(vault, request)
    while not listing.ended and (request.delivered is not None or listing.is_cheaper_than_describing(pages)):
        listing.read_page()
    if listing.ended or not listing.not_found:
        pages = listing.pages
    # At the end of the list, only a job whose absence must be determined is worth a request.
    unsure = listing.not_found & request.doubtful if listing.ended else listing.not_found
    unknown = set()
    refused: dict[str, FinalError] = {}
    for job_id in sorted(unsure):
        try:
            listing.add(vault.description(job_id))
        except JobNotFound:
            unknown.add(job_id)
        except (AccessDenied, MalformedAnswer, RequestRefused) as error:
            # It concerns this job only, and nobody who waits for other jobs of the vault.
            refused[job_id] = error
    while not listing.ended and (unknown & request.doubtful | refused.keys()) & listing.not_found:
        listing.read_page()
    gone = unknown & listing.not_found if listing.ended else set()
    return PollResult(
        found=listing.found,
        gone=frozenset(gone),
        refused={job_id: error for job_id, error in refused.items() if job_id in listing.not_found},
        completed=listing.completed,
        pages=max(pages, listing.pages),
    )


@dataclass(frozen=True, kw_only=True)
class _VaultRequests:
    """The requests about one vault; each is preceded by a check for cancellation."""

    hook: GlacierJobsHook
    vault_name: str
    account_id: str
    is_cancelled: Callable[[], bool]

    def pages(self, *, completed: bool | None) -> Iterator[JobPage]:
        pages = self.hook.list_job_pages(self.vault_name, completed=completed, account_id=self.account_id)
        while True:
            self._check()
            page = next(pages, None)
            if page is None:
                return
            yield page

    def description(self, job_id: str) -> JobDescription:
        self._check()
        return self.hook.get_job(self.vault_name, job_id, self.account_id)

    def _check(self) -> None:
        if self.is_cancelled():
            raise PollCancelled(f"nobody waits for the jobs of vault {self.vault_name} any more")


class _Listing:
    """The vault's list of jobs, read page by page on demand."""

    def __init__(self, vault: _VaultRequests, request: PollRequest) -> None:
        # Where only completed jobs are requested, the others need not be listed.
        self._pages = vault.pages(completed=None if request.job_ids else True)
        self._request = request
        self.found: dict[str, JobDescription] = {}
        self.not_found = set(request.job_ids)
        self.completed: dict[str, JobDescription | None] = {}
        self.pages = 0
        self.ended = False
        self._fruitless_pages = 0

    def is_cheaper_than_describing(self, pages_before: int) -> bool:
        """Tell whether to read another page, rather than to describe the jobs that were not found, if any."""
        return bool(self.not_found) and not describing_is_cheaper(
            len(self.not_found), pages_before=pages_before, pages=self.pages, fruitless_pages=self._fruitless_pages
        )

    def read_page(self) -> None:
        page = next(self._pages)
        self.pages += 1
        self.ended = page.marker is None
        not_found = len(self.not_found)
        delivered = self._request.delivered
        for job in page.jobs:
            self.add(job)
            if delivered is not None and job.get("Completed"):
                self.completed[job["JobId"]] = None if job["JobId"] in delivered else job
        self._fruitless_pages = 0 if len(self.not_found) < not_found else self._fruitless_pages + 1

    def add(self, job: JobDescription) -> None:
        if job["JobId"] in self._request.job_ids:
            self.found[job["JobId"]] = job
            self.not_found.discard(job["JobId"])
