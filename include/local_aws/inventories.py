"""What an inventory of a vault says.

AWS takes an inventory about daily and hands out the last; here every job takes its own when it is initiated, so that
what was uploaded a minute ago can be seen.

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
    """The archives of an inventory, and the marker with which a further job goes on after them."""

    archives: tuple[Archive, ...]
    marker: str | None


def take(archives: Iterable[Archive], parameters: Mapping[str, Any], taken_at: datetime) -> Inventory:
    """The inventory that the parameters ask for: archives created from ``StartDate`` until before ``EndDate``.

    :raises AwsError: the marker is none that an earlier inventory gave.
    """
    start = timestamps.read(parameters["StartDate"]) if parameters.get("StartDate") else None
    end = timestamps.read(parameters["EndDate"]) if parameters.get("EndDate") else None
    wanted = sorted(
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
        begins_with = _read_marker(parameters["Marker"])
        wanted = [each for each in wanted if each.archive_id >= begins_with]
    limit = int(parameters["Limit"]) if parameters.get("Limit") else len(wanted)
    following = wanted[limit : limit + 1]
    return Inventory(
        archives=tuple(wanted[:limit]),
        marker=base64.urlsafe_b64encode(f"archive {following[0].archive_id}".encode()).decode() if following else None,
    )


def _read_marker(marker: str) -> str:
    try:
        word, _, archive_id = base64.urlsafe_b64decode(marker).decode().partition(" ")
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_parameter(f"Invalid marker: {marker}") from error
    if word != "archive":
        raise errors.invalid_parameter(f"Invalid marker: {marker}")
    return archive_id


def write(vault_arn: str, inventory: Inventory, output_format: str, taken_at: datetime) -> bytes:
    """The inventory as JSON or as CSV."""
    rows = [
        {
            "ArchiveId": each.archive_id,
            "ArchiveDescription": each.description,
            "CreationDate": timestamps.write(each.created_at),
            "Size": each.size_in_bytes,
            "SHA256TreeHash": each.tree_hash,
        }
        for each in inventory.archives
    ]
    if output_format == "CSV":
        header = "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash"
        return "".join(f"{line}\r\n" for line in [header, *(_csv_line(row) for row in rows)]).encode()
    return json.dumps(
        {"VaultARN": vault_arn, "InventoryDate": timestamps.write(taken_at), "ArchiveList": rows}, separators=(",", ":")
    ).encode()


def _csv_line(row: Mapping[str, object]) -> str:
    # Not RFC 4180: Glacier escapes a quote with a backslash, so that a standard reader splits such a field.
    return ",".join(_csv_field(str(value)) for value in row.values())


def _csv_field(text: str) -> str:
    if not any(special in text for special in ',"\\\r\n'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
