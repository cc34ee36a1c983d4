"""One look at a vault: what its awaited jobs do, told by the fewest calls that suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from glacier_jobs.errors import AccessDenied, FinalError, JobNotFound, MalformedAnswer, RequestRefused, TransientError
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.pagination import JobDescription, JobPage
from glacier_jobs.waiting.backoff import describing_is_cheaper
from glacier_jobs.waiting.state import Sight


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a look is for.

    :param job_ids: the awaited jobs.
    :param doubtful: those of them that must be told gone if they are.
    :param told: with ids here, all jobs of the vault that ended are wanted too, and the descriptions of all but
        these; ``None`` where only the awaited jobs are wanted.
    """

    job_ids: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    told: frozenset[str] | None = None

    @classmethod
    def by_all(cls, each: Iterable[Wanted]) -> Wanted:
        """Return what one look must be for to serve all of them."""
        several = list(each)
        told = [wanted.told for wanted in several if wanted.told is not None]
        return cls(
            job_ids=frozenset().union(*(wanted.job_ids for wanted in several)),
            doubtful=frozenset().union(*(wanted.doubtful for wanted in several)),
            told=frozenset.intersection(*told) if told else None,
        )


class Abandoned(TransientError):
    """Nobody waits for the look any more."""


def look(
    hook: GlacierJobsHook,
    vault_name: str,
    account_id: str,
    wanted: Wanted,
    *,
    pages: int = 0,
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Sight:
    """Look once at a vault's jobs.

    The vault's list is walked until all awaited jobs are found; once Describe Job for each of those left is cheaper
    than to go on, that is called instead. A job that Describe Job does not know is told gone, and one that it refuses
    to describe is told refused, only if the whole list does not show it either.

    :param pages: how many pages an earlier look had to walk; 0 where there was none.
    :param is_abandoned: asked before each call.
    :raises Abandoned: as it says.

    Other errors are those of the hook.
    """
    errand = _Errand(hook=hook, vault_name=vault_name, account_id=account_id, is_abandoned=is_abandoned)
    walk = _Walk(errand, wanted)
    while not walk.ended and (wanted.told is not None or walk.is_worth_it(pages)):
        walk.take_a_page()
    if walk.ended or not walk.not_found:
        pages = walk.pages
    # At the list's end, only what must be told gone is worth a call.
    unsure = walk.not_found & wanted.doubtful if walk.ended else walk.not_found
    unknown = set()
    refused: dict[str, FinalError] = {}
    for job_id in sorted(unsure):
        try:
            walk.find(errand.described(job_id))
        except JobNotFound:
            unknown.add(job_id)
        except (AccessDenied, MalformedAnswer, RequestRefused) as error:
            # Whoever waits for other jobs of the vault has nothing to do with it.
            refused[job_id] = error
    while not walk.ended and (unknown & wanted.doubtful | refused.keys()) & walk.not_found:
        walk.take_a_page()
    gone = unknown & walk.not_found if walk.ended else set()
    return Sight(
        found=walk.found,
        gone=frozenset(gone),
        refused={job_id: error for job_id, error in refused.items() if job_id in walk.not_found},
        completed=walk.completed,
        pages=max(pages, walk.pages),
    )


@dataclass(frozen=True, kw_only=True)
class _Errand:
    """The calls about one vault, until nobody waits for them."""

    hook: GlacierJobsHook
    vault_name: str
    account_id: str
    is_abandoned: Callable[[], bool]

    def pages(self, *, completed: bool | None) -> Iterator[JobPage]:
        pages = self.hook.list_job_pages(self.vault_name, completed=completed, account_id=self.account_id)
        while True:
            self._check()
            page = next(pages, None)
            if page is None:
                return
            yield page

    def described(self, job_id: str) -> JobDescription:
        self._check()
        return self.hook.get_job(self.vault_name, job_id, self.account_id)

    def _check(self) -> None:
        if self.is_abandoned():
            raise Abandoned(f"nobody waits for the jobs of vault {self.vault_name} any more")


class _Walk:
    """The vault's list, page by page, as far as somebody asks for the next."""

    def __init__(self, errand: _Errand, wanted: Wanted) -> None:
        # Where only what ended is wanted, the others need not be listed.
        self._pages = errand.pages(completed=None if wanted.job_ids else True)
        self._wanted = wanted
        self.found: dict[str, JobDescription] = {}
        self.not_found = set(wanted.job_ids)
        self.completed: dict[str, JobDescription | None] = {}
        self.pages = 0
        self.ended = False
        self._barren_pages = 0

    def is_worth_it(self, pages_before: int) -> bool:
        """Tell whether to take another page, rather than to describe what was not found, if anything."""
        return bool(self.not_found) and not describing_is_cheaper(
            len(self.not_found), pages_before=pages_before, pages=self.pages, barren_pages=self._barren_pages
        )

    def take_a_page(self) -> None:
        page = next(self._pages)
        self.pages += 1
        self.ended = page.marker is None
        not_found = len(self.not_found)
        for job in page.jobs:
            self.find(job)
            if self._wanted.told is not None and job.get("Completed"):
                self.completed[job["JobId"]] = None if job["JobId"] in self._wanted.told else job
        self._barren_pages = 0 if len(self.not_found) < not_found else self._barren_pages + 1

    def find(self, job: JobDescription) -> None:
        if job["JobId"] in self._wanted.job_ids:
            self.found[job["JobId"]] = job
            self.not_found.discard(job["JobId"])
