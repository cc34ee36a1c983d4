"""A paged listing without its I/O: what may be asked, what came back, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from glacier_jobs.errors import InvalidArgument, MalformedAnswer, MarkerRepeated
from glacier_jobs.glacier.identifiers import STATUS_CODES

#: One job as AWS describes it. A field that AWS left out or sent as null is absent, as in boto3's answers;
#: a field that AWS added since is kept.
JobDescription: TypeAlias = dict[str, Any]

#: The newer documents allow a page of 50, the older ones a page of 1,000: the service has the last word.
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """One page of a listing; ``marker`` says where the next one begins, ``None`` that this is the last."""

    jobs: list[JobDescription]
    marker: str | None


def check_statuscode(statuscode: object) -> str | None:
    """Return the filter on a job's status as List Jobs takes it.

    :raises InvalidArgument: lists what is allowed.
    """
    if statuscode is None or (isinstance(statuscode, str) and statuscode in STATUS_CODES):
        return statuscode
    raise InvalidArgument(f"statuscode is {statuscode!r}; allowed are {', '.join(STATUS_CODES)}, or None for all")


def check_completed(completed: object) -> str | None:
    """Return the filter on completion as List Jobs takes it, which is a string.

    :raises InvalidArgument: lists what is allowed.
    """
    if completed is None:
        return None
    if isinstance(completed, bool):
        return "true" if completed else "false"
    raise InvalidArgument(f"completed is {completed!r}; allowed are True, False, or None for all")


def check_page_size(page_size: object) -> str | None:
    """Return the size of a page as List Jobs takes it, which is a string.

    :raises InvalidArgument: lists what is allowed.
    """
    if page_size is None:
        return None
    if isinstance(page_size, int) and not isinstance(page_size, bool) and 1 <= page_size <= MAX_PAGE_SIZE:
        return str(page_size)
    raise InvalidArgument(
        f"page_size is {page_size!r}; allowed are whole numbers from 1 to {MAX_PAGE_SIZE} "
        "(AWS's newer documents stop at 50), or None for the service's own"
    )


def check_marker(marker: object) -> str | None:
    """Return the place where a listing goes on.

    :raises InvalidArgument: says what was found.
    """
    if marker is None or (isinstance(marker, str) and marker):
        return marker
    raise InvalidArgument(f"marker is {marker!r}; expected the marker of an earlier page, or None for the beginning")


def list_jobs_parameters(
    *, statuscode: object = None, completed: object = None, page_size: object = None
) -> dict[str, str]:
    """Return the parameters of List Jobs that stay the same from page to page.

    :raises InvalidArgument: names the argument, what was found and what is allowed.

    Source: Amazon Glacier API 2012-06-01, List Jobs, request parameters.
    """
    parameters = {
        "statuscode": check_statuscode(statuscode),
        "completed": check_completed(completed),
        "limit": check_page_size(page_size),
    }
    return {name: value for name, value in parameters.items() if value is not None}


class MarkerTrail:
    """The markers that one listing has been given, so that it ends.

    A listing ends on the marker alone: a page may be short or empty and still not be the last. A marker that
    comes again, directly or after others, would make the listing run for ever.

    :param what: the listing, as an error message shall name it.
    :param start: where the listing begins; ``None`` is its first page.
    """

    def __init__(self, what: str, start: str | None = None) -> None:
        self._what = what
        self._seen = {start} if start is not None else set()

    def follow(self, marker: object) -> str | None:
        """Return where the next page begins, or ``None`` after the last.

        :raises MarkerRepeated: names the listing and the marker.
        :raises MalformedAnswer: the marker is not text.
        """
        if marker is None or marker == "":
            return None
        if not isinstance(marker, str):
            raise MalformedAnswer(f"{self._what}: the answer's Marker is {marker!r}; expected text or null")
        if marker in self._seen:
            raise MarkerRepeated(
                f"{self._what}: the marker {marker!r} came a second time after {len(self._seen)} markers, "
                "so the listing would never end; begin it again"
            )
        self._seen.add(marker)
        return marker


class RepeatFilter:
    """Drops what a listing shows again: whether a page includes the job its marker names is not documented."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def new(self, jobs: list[JobDescription]) -> Iterator[JobDescription]:
        """Yield the jobs that were not there before, by vault ARN and job id."""
        for job in jobs:
            key = (job["VaultARN"], job["JobId"])
            if key not in self._seen:
                self._seen.add(key)
                yield job
