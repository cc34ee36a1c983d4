"""Paged listings without I/O: the parameters, the pages, and the end of a listing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from glacier_jobs.errors import InvalidArgument, MalformedAnswer, MarkerRepeated
from glacier_jobs.glacier.identifiers import STATUS_CODES, is_encodable

#: One job as AWS describes it. A field that AWS left out or sent as null is absent, as in boto3's answers.
#: A field that botocore's service model does not know is kept.
JobDescription: TypeAlias = dict[str, Any]

#: AWS's newer documents allow up to 50 jobs a page, the older ones up to 1,000; the service decides.
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """One page of a listing; ``marker`` is that of the next page, ``None`` on the last page."""

    jobs: list[JobDescription]
    marker: str | None


def check_statuscode(statuscode: object) -> str | None:
    """Return the filter on a job's status, as List Jobs expects it.

    :raises InvalidArgument: lists the allowed values.
    """
    if statuscode is None or (isinstance(statuscode, str) and statuscode in STATUS_CODES):
        return statuscode
    raise InvalidArgument(f"statuscode is {statuscode!r}; allowed are {', '.join(STATUS_CODES)}, or None for all")


def check_completed(completed: object) -> str | None:
    """Return the filter on completion as a string, which List Jobs expects.

    :raises InvalidArgument: lists the allowed values.
    """
    if completed is None:
        return None
    if isinstance(completed, bool):
        return "true" if completed else "false"
    raise InvalidArgument(f"completed is {completed!r}; allowed are True, False, or None for all")


def check_page_size(page_size: object) -> str | None:
    """Return the size of a page as a string, which List Jobs expects.

    :raises InvalidArgument: lists the allowed values.
    """
    if page_size is None:
        return None
    if isinstance(page_size, int) and not isinstance(page_size, bool) and 1 <= page_size <= MAX_PAGE_SIZE:
        return str(page_size)
    raise InvalidArgument(
        f"page_size is {page_size!r}; allowed are whole numbers from 1 to {MAX_PAGE_SIZE} "
        "(at most 50 in AWS's newer documents), or None for the service's default"
    )


def check_marker(marker: object) -> str | None:
    """Return the marker at which a listing resumes.

    :raises InvalidArgument: names what was found.
    """
    if marker is None or (isinstance(marker, str) and marker and is_encodable(marker)):
        return marker
    raise InvalidArgument(f"marker is {marker!r}; expected the marker of an earlier page, or None for the beginning")


def list_jobs_parameters(
    *, statuscode: object = None, completed: object = None, page_size: object = None
) -> dict[str, str]:
    """Return the parameters of List Jobs that stay the same from page to page.

    :raises InvalidArgument: names the argument, what was found, and the allowed values.

    Source: Amazon Glacier API 2012-06-01, List Jobs, request parameters.
    """
    parameters = {
        "statuscode": check_statuscode(statuscode),
        "completed": check_completed(completed),
        "limit": check_page_size(page_size),
    }
    return {name: value for name, value in parameters.items() if value is not None}


class MarkerTrail:
    """The markers that one listing has received; detects a listing that would never end.

    Only the marker tells whether a page is the last: a short or empty page may not be the last one. A marker that is
    repeated, directly or after others, would make the listing run for ever.

    :param listing: how error messages name the listing.
    :param start: the marker at which the listing begins; ``None`` for its first page.
    """

    def __init__(self, listing: str, start: str | None = None) -> None:
        self._listing = listing
        self._seen = {start} if start is not None else set()

    def follow(self, marker: object) -> str | None:
        """Return the marker of the next page, or ``None`` after the last.

        :raises MarkerRepeated: names the listing and the marker.
        :raises MalformedAnswer: the marker is not text, or cannot be sent.
        """
        if marker is None or marker == "":
            return None
        if not isinstance(marker, str):
            raise MalformedAnswer(f"{self._listing}: the answer's Marker is {marker!r}; expected text or null")
        if not is_encodable(marker):
            raise MalformedAnswer(f"{self._listing}: the answer's Marker is {marker!r}; expected Unicode text")
        if marker in self._seen:
            raise MarkerRepeated(
                f"{self._listing}: the marker {marker!r} came a second time, after {len(self._seen)} markers, "
                "so the listing would never end; start it again"
            )
        self._seen.add(marker)
        return marker


class RepeatFilter:
    """Drops the duplicates of a listing.

    AWS does not document whether a page includes the job that its marker names.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def new(self, jobs: list[JobDescription]) -> Iterator[JobDescription]:
        """Yield the jobs that no earlier call received, compared by vault ARN and job id."""
        for job in jobs:
            key = (job["VaultARN"], job["JobId"])
            if key not in self._seen:
                self._seen.add(key)
                yield job
