"""Inventories of a vault.

AWS takes an inventory about once a day, and a job returns the latest. Here every job takes its own inventory when it is
initiated, so that it contains archives uploaded a minute ago. As in AWS, the date of an inventory is that of an earlier
one if the vault has not changed since: here, the date of the last change.

Source: Amazon Glacier API 2012-06-01, "Get Job Output".
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws import errors, timestamps
from local_aws.archives import Archive


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The archives of an inventory, and the marker for the job that continues it."""

    archives: tuple[Archive, ...]
    marker: str | None


def take(archives: Iterable[Archive], parameters: Mapping[str, Any], taken_at: datetime) -> Inventory:
    """Return the inventory for these parameters: archives created from ``StartDate`` until before ``EndDate``.

    :raises AwsError: the marker is invalid.
    """
    start = timestamps.parse(parameters["StartDate"]) if parameters.get("StartDate") else None
    end = timestamps.parse(parameters["EndDate"]) if parameters.get("EndDate") else None
    selected = sorted(
        (
            each
            for each in archives
            if each.created_at <= taken_at
            and (start is None or start <= each.created_at)
            and (end is None or each.created_at < end)
        ),
        key=lambda each: each.archive_id,
    )
    if parameters.get("Marker"):
        first_id = _read_marker(parameters["Marker"])
        selected = [each for each in selected if each.archive_id >= first_id]
    limit = int(parameters["Limit"]) if parameters.get("Limit") else len(selected)
    rest = selected[limit : limit + 1]
    return Inventory(
        archives=tuple(selected[:limit]),
        marker=base64.urlsafe_b64encode(f"archive {rest[0].archive_id}".encode()).decode() if rest else None,
    )


def _read_marker(marker: str) -> str:
    try:
        kind, _, archive_id = base64.urlsafe_b64decode(marker).decode().partition(" ")
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_parameter(f"Invalid marker: {marker}") from error
    if kind != "archive":
        raise errors.invalid_parameter(f"Invalid marker: {marker}")
    return archive_id


def encode(vault_arn: str, inventory: Inventory, output_format: str, taken_at: datetime) -> bytes:
    """Return the inventory as JSON or CSV."""
    rows = [
        {
            "ArchiveId": each.archive_id,
            "ArchiveDescription": each.description,
            "CreationDate": timestamps.isoformat(each.created_at),
            "Size": each.size_in_bytes,
            "SHA256TreeHash": each.tree_hash,
        }
        for each in inventory.archives
    ]
    if output_format == "CSV":
        header = "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash"
        return "".join(f"{line}\r\n" for line in [header, *(_csv_line(row) for row in rows)]).encode()
    return json.dumps(
        {"VaultARN": vault_arn, "InventoryDate": timestamps.isoformat(taken_at), "ArchiveList": rows},
        separators=(",", ":"),
    ).encode()


def _csv_line(row: Mapping[str, object]) -> str:
    # Not RFC 4180: Glacier escapes a quote with a backslash. A standard CSV reader splits such a field.
    return ",".join(_csv_field(str(value)) for value in row.values())


def _csv_field(text: str) -> str:
    if not any(special in text for special in ',"\\\r\n'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
