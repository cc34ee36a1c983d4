"""Pages of List Jobs, decoded without a dictionary for each job.

A body with only documented fields of the documented types is decoded into records directly. Any other body is decoded
through :mod:`json`, which keeps unknown fields and lets errors name the wrong value. Both decoders lead to the same
rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, TypeAlias, TypeGuard, cast

import msgspec

from glacier_jobs.glacier.pagination import JobDescription


class InventoryParameters(msgspec.Struct, rename="pascal", forbid_unknown_fields=True, gc=False):
    """A job's ``InventoryRetrievalParameters``, each of which may be null or absent."""

    format: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    limit: str | None = None
    marker: str | None = None

    def get(self, name: str) -> str | None:
        """Return a parameter by AWS's name."""
        value: str | None = getattr(self, _PARAMETER_NAMES[name])
        return value


_PARAMETER_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(InventoryParameters)}


class JobRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One job as documented, with AWS's names; null and absent are both ``None``.

    Source: Amazon Glacier API 2012-06-01, data type GlacierJobDescription.
    """

    JobId: str
    VaultARN: str
    JobDescription: str | None = None
    Action: str | None = None
    ArchiveId: str | None = None
    CreationDate: str | None = None
    CompletionDate: str | None = None
    Completed: bool | None = None
    StatusCode: str | None = None
    StatusMessage: str | None = None
    ArchiveSizeInBytes: int | None = None
    InventorySizeInBytes: int | None = None
    SNSTopic: str | None = None
    SHA256TreeHash: str | None = None
    ArchiveSHA256TreeHash: str | None = None
    RetrievalByteRange: str | None = None
    Tier: str | None = None
    InventoryRetrievalParameters: InventoryParameters | None = None
    JobOutputPath: str | None = None
    # Objects of any depth, of jobs that AWS no longer starts: decoding through json keeps their text.
    SelectParameters: None = None
    OutputLocation: None = None


#: The documented fields of a job.
FIELDS = JobRecord.__struct_fields__

_AS_TUPLE: Callable[[JobRecord], tuple[Any, ...]] = msgspec.structs.astuple

#: The jobs of one page, decoded by either decoder.
Jobs: TypeAlias = list[JobRecord] | list[JobDescription]


@dataclass(frozen=True, kw_only=True)
class RecordPage:
    """One page of a listing; ``marker`` is that of the next page, ``None`` on the last page."""

    jobs: Jobs
    marker: str | None


class _Answer(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    JobList: list[JobRecord]
    Marker: str | None = None


_DECODER = msgspec.json.Decoder(_Answer)


def decoded_records(body: bytes) -> dict[str, Any] | None:
    """Return an answer of List Jobs whose ``JobList`` holds records; ``None`` for a body of any other content."""
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return {"JobList": answer.JobList, "Marker": answer.Marker}


def are_records(jobs: object) -> TypeGuard[list[JobRecord]]:
    """Tell whether these jobs are records; an empty page counts as no records."""
    return isinstance(jobs, list) and bool(jobs) and isinstance(jobs[0], JobRecord)


def values_of(jobs: Jobs, field: str) -> Iterable[Any]:
    """Return each job's value of a field, by AWS's name; null and absent are ``None``."""
    if are_records(jobs):
        return map(attrgetter(field), jobs)
    return [job.get(field) for job in jobs if not isinstance(job, JobRecord)]


def columns_of(pages: Sequence[Jobs]) -> dict[str, Sequence[Any]]:
    """Return the columns of several pages: documented field, by AWS's name -> one value a job.

    Null and absent are ``None``.
    """
    pages = [jobs for jobs in pages if jobs]
    if pages and all(map(are_records, pages)):
        records = cast(Iterable[JobRecord], chain.from_iterable(pages))
        # All fields at once: field by field, each record would be loaded into the processor's cache once a field.
        return dict(zip(FIELDS, zip(*map(_AS_TUPLE, records), strict=True), strict=True))
    return {field: [value for jobs in pages for value in values_of(jobs, field)] for field in FIELDS}
