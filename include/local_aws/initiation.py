"""Validates Initiate Job requests and creates their jobs.

Source: Amazon Glacier API 2012-06-01, "Initiate Job".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from local_aws import errors, inventories, timestamps, tree_hash
from local_aws.jobs import Description, Job
from local_aws.settings import TIERS, Settings
from local_aws.vaults import Vault

MAX_DESCRIPTION_LENGTH = 1024
_PRINTABLE_ASCII = re.compile(r"[ -~]*")
_SNS_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12,13}:[A-Za-z0-9_.-]{1,256}")
_BYTE_RANGE = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True, kw_only=True)
class PlannedOutcome:
    """The outcome of an initiated job, planned before; ``None`` stands for the value in the settings."""

    outcome: str = "Succeeded"
    status_message: str | None = None
    duration_seconds: float | None = None
    listed_after_seconds: float | None = None
    retention_seconds: float | None = None


def create_job(
    parameters: Mapping[str, Any],
    *,
    vault: Vault,
    job_id: str,
    now: datetime,
    settings: Settings,
    planned: PlannedOutcome,
) -> Job:
    """Create the job for the parameters of an Initiate Job request.

    :raises AwsError: a parameter is missing or invalid, or the archive does not exist.
    """
    kind = parameters.get("Type")
    if not kind:
        raise errors.missing_parameter("Required parameter missing: Type")
    if kind not in ("archive-retrieval", "inventory-retrieval"):
        raise errors.invalid_parameter(f"Invalid job type: {kind}")
    common = _common(parameters)
    tier = parameters.get("Tier")
    if tier is not None and tier not in TIERS:
        raise errors.invalid_parameter(f"Invalid tier: {tier}")
    inventory: bytes | None = None
    if kind == "archive-retrieval":
        specific = _archive_members(parameters, vault)
    else:
        specific, inventory = _inventory(parameters, vault, now)
    duration_seconds = planned.duration_seconds
    if duration_seconds is None:
        duration_seconds = settings.duration_seconds[tier or "Standard"]
    completes_at = now + timedelta(seconds=duration_seconds)
    description: Description = {
        "Action": None,
        "ArchiveId": None,
        "ArchiveSHA256TreeHash": None,
        "ArchiveSizeInBytes": None,
        "Completed": True,
        "CompletionDate": timestamps.isoformat(completes_at),
        "CreationDate": timestamps.isoformat(now),
        "InventorySizeInBytes": None,
        "JobId": job_id,
        "RetrievalByteRange": None,
        "SHA256TreeHash": None,
        "StatusCode": planned.outcome,
        "StatusMessage": planned.status_message or planned.outcome,
        "VaultARN": vault.arn,
        **common,
        **specific,
    }
    if planned.outcome == "Failed":
        description["InventorySizeInBytes"] = None
    if kind == "archive-retrieval" or tier is not None:
        description["Tier"] = tier or "Standard"
    listed_after_seconds = planned.listed_after_seconds
    if listed_after_seconds is None:
        listed_after_seconds = settings.listed_after_seconds
    return Job(
        job_id=job_id,
        final_description=description,
        created_at=now,
        listed_at=now + timedelta(seconds=listed_after_seconds) if listed_after_seconds else None,
        completes_at=completes_at,
        outcome=planned.outcome,
        retention=settings.retention
        if planned.retention_seconds is None
        else timedelta(seconds=planned.retention_seconds),
        inventory=inventory,
    )


def _common(parameters: Mapping[str, Any]) -> Description:
    description = parameters.get("Description")
    if description is not None:
        if not isinstance(description, str) or not _PRINTABLE_ASCII.fullmatch(description):
            raise errors.invalid_parameter("Invalid description: only printable ASCII characters are allowed")
        if len(description) > MAX_DESCRIPTION_LENGTH:
            raise errors.invalid_parameter(f"Invalid description: longer than {MAX_DESCRIPTION_LENGTH} characters")
    topic = parameters.get("SNSTopic")
    if topic is not None and not _SNS_TOPIC.fullmatch(topic):
        raise errors.invalid_parameter(f"Invalid SNS topic ARN: {topic}")
    return {"JobDescription": description, "SNSTopic": topic}


def _archive_members(parameters: Mapping[str, Any], vault: Vault) -> Description:
    for key in ("Format", "InventoryRetrievalParameters"):
        if parameters.get(key) is not None:
            raise errors.invalid_parameter(f"{key} is not allowed for a job of type archive-retrieval")
    archive_id = parameters.get("ArchiveId")
    if not archive_id:
        raise errors.missing_parameter("Required parameter missing: ArchiveId")
    archive = vault.archives.get(archive_id)
    if archive is None:
        raise errors.archive_not_found(archive_id)
    size_in_bytes = archive.size_in_bytes
    start, end = _byte_range(parameters.get("RetrievalByteRange"), size_in_bytes)
    aligned = tree_hash.is_tree_hash_aligned(start, end, size_in_bytes)
    return {
        "Action": "ArchiveRetrieval",
        "ArchiveId": archive_id,
        "ArchiveSHA256TreeHash": archive.tree_hash,
        "ArchiveSizeInBytes": size_in_bytes,
        "RetrievalByteRange": f"{start}-{end}",
        "SHA256TreeHash": archive.content.tree_hash(start, end) if aligned else None,
    }


def _byte_range(text: object, size_in_bytes: int) -> tuple[int, int]:
    if text is None:
        return 0, size_in_bytes - 1
    match = _BYTE_RANGE.fullmatch(str(text))
    if match is None:
        raise errors.invalid_parameter(f"Invalid retrieval byte range: {text}")
    start, end = int(match[1]), int(match[2])
    if start > end or end >= size_in_bytes:
        raise errors.invalid_parameter(f"Invalid retrieval byte range: {text}: the archive has {size_in_bytes} bytes")
    if not tree_hash.is_mebibyte_aligned(start, end, size_in_bytes):
        raise errors.invalid_parameter(f"Invalid retrieval byte range: {text}: it is not megabyte aligned")
    return start, end


def _inventory(parameters: Mapping[str, Any], vault: Vault, now: datetime) -> tuple[Description, bytes]:
    for key in ("ArchiveId", "RetrievalByteRange"):
        if parameters.get(key) is not None:
            raise errors.invalid_parameter(f"{key} is not allowed for a job of type inventory-retrieval")
    output_format = parameters.get("Format") or "JSON"
    if output_format not in ("JSON", "CSV"):
        raise errors.invalid_parameter(f"Invalid format: {output_format}")
    requested: Mapping[str, Any] = parameters.get("InventoryRetrievalParameters") or {}
    start, end = _timestamp("StartDate", requested.get("StartDate")), _timestamp("EndDate", requested.get("EndDate"))
    if start is not None and end is not None and start >= end:
        raise errors.invalid_parameter("Invalid date range: StartDate is not before EndDate")
    limit = requested.get("Limit")
    if limit is not None and (not str(limit).isascii() or not str(limit).isdigit() or int(limit) < 1):
        raise errors.invalid_parameter(f"Invalid limit: {limit}")
    shown = {
        "Format": output_format,
        "StartDate": requested.get("StartDate"),
        "EndDate": requested.get("EndDate"),
        "Limit": None if limit is None else str(limit),
        "Marker": requested.get("Marker"),
    }
    taken = inventories.take(vault.archives.values(), shown, now)
    # The date of an inventory moves only when the vault has changed.
    vault.inventory_job_at = vault.changed_at(now)
    output = inventories.encode(vault.arn, taken, output_format, vault.inventory_job_at)
    description = {
        "Action": "InventoryRetrieval",
        "InventorySizeInBytes": len(output),
        "InventoryRetrievalParameters": {**shown, "Marker": taken.marker},
    }
    return description, output


def _timestamp(key: str, text: object) -> datetime | None:
    if text is None:
        return None
    try:
        return timestamps.parse(str(text))
    except ValueError as error:
        raise errors.invalid_parameter(f"Invalid {key}: {text}") from error
