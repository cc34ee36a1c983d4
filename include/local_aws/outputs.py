"""The output of jobs, as Get Job Output returns it.

Source: Amazon Glacier API 2012-06-01, "Get Job Output".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from local_aws import errors, inventories, tree_hash
from local_aws.archives import Content
from local_aws.jobs import Description, Job
from local_aws.vaults import Vault

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, kw_only=True)
class Output:
    """The complete output of a job, from which Get Job Output returns a range."""

    content: Content
    content_type: str
    description: str | None = None
    archive_offset: int | None = None
    """The offset of the output in its archive; ``None`` for an inventory."""
    archive_size_in_bytes: int = 0
    size_in_bytes: int


def job_output(job: Job, vault: Vault, now: datetime) -> Output:
    """Return the complete output of a job.

    :raises AwsError: the job has not succeeded, or its output is in another location.
    """
    description = job.description(now)
    if description.get("StatusCode") != "Succeeded":
        raise errors.not_available(job.job_id)
    if description["Action"] == "Select":
        raise errors.invalid_parameter(f"The output of the select job is in its output location: {job.job_id}")
    if description["Action"] == "ArchiveRetrieval":
        return _archive_output(description, vault)
    parameters = description.get("InventoryRetrievalParameters") or {}
    output_format = parameters.get("Format") or "JSON"
    data = job.inventory
    if data is None:
        taken = inventories.take(vault.archives.values(), parameters, job.created_at)
        data = inventories.encode(vault.arn, taken, output_format, vault.changed_at(job.created_at))
    content = Content.of(data)
    content_type = "text/csv" if output_format == "CSV" else "application/json"
    return Output(content=content, content_type=content_type, size_in_bytes=content.size_in_bytes)


def _archive_output(job: Description, vault: Vault) -> Output:
    archive = vault.archives.get(job["ArchiveId"])
    size_in_bytes = job.get("ArchiveSizeInBytes") or 0
    # A job added through the control may name an archive that does not exist: generate its bytes.
    content = archive.content if archive is not None else Content.generated(job["ArchiveId"], size_in_bytes)
    start, end = 0, content.size_in_bytes - 1
    if job.get("RetrievalByteRange"):
        start, end = (int(each) for each in job["RetrievalByteRange"].split("-"))
    return Output(
        content=content,
        content_type="application/octet-stream",
        description=archive.description if archive is not None else None,
        archive_offset=start,
        archive_size_in_bytes=content.size_in_bytes,
        size_in_bytes=end - start + 1,
    )


@dataclass(frozen=True, kw_only=True)
class OutputRange:
    """The response for a range of an output."""

    status: int
    headers: tuple[tuple[str, str], ...]
    size_in_bytes: int
    body: Iterator[bytes]


def select_range(output: Output, range_header: str | None) -> OutputRange:
    """Return the range of an output that a ``Range`` header selects.

    A header in another format than ``bytes=a-b`` is ignored, as by AWS.

    :raises AwsError: the range starts after the end of the output.
    """
    match = _RANGE.fullmatch(range_header or "")
    start, end, status = 0, output.size_in_bytes - 1, 200
    headers = [("Content-Type", output.content_type), ("Accept-Ranges", "bytes")]
    if match is not None:
        start = int(match[1])
        end = min(int(match[2]), end) if match[2] else end
        if start > end:
            raise errors.invalid_parameter(
                f"The start of the range is larger than size of retrieved data: {range_header}"
            )
        status = 206
        headers.append(("Content-Range", f"bytes {start}-{end}/{output.size_in_bytes}"))
    offset = output.archive_offset or 0
    if output.archive_offset is not None and tree_hash.is_tree_hash_aligned(
        offset + start, offset + end, output.archive_size_in_bytes
    ):
        headers.append(("x-amz-sha256-tree-hash", output.content.tree_hash(offset + start, offset + end)))
    if output.description:
        headers.append(("x-amz-archive-description", output.description))
    return OutputRange(
        status=status,
        headers=tuple(headers),
        size_in_bytes=end - start + 1,
        body=output.content.read(offset + start, offset + end),
    )
