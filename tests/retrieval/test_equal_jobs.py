from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import pytest

from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.retrieval.equal_jobs import hours_left, is_equal

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
TOPIC = "arn:aws:sns:us-east-1:123456789012:restored"
ARCHIVE_JOB: dict[str, Any] = {
    "JobId": "j",
    "Action": "ArchiveRetrieval",
    "ArchiveId": "a1",
    "ArchiveSizeInBytes": 3000000,
    "RetrievalByteRange": "0-2999999",
    "StatusCode": "InProgress",
    "Tier": "Standard",
}
INVENTORY_JOB: dict[str, Any] = {
    "JobId": "j",
    "Action": "InventoryRetrieval",
    "StatusCode": "InProgress",
    "InventoryRetrievalParameters": {"Format": "JSON", "StartDate": None, "Limit": None, "Marker": None},
}


def archive(**arguments: Any) -> JobRequest:
    return JobRequest.checked(vault_name="v", job_type="archive-retrieval", archive_id="a1", **arguments)


def inventory(**arguments: Any) -> JobRequest:
    return JobRequest.checked(vault_name="v", job_type="inventory-retrieval", **arguments)


@pytest.mark.parametrize(
    ("request_", "overrides", "expected"),
    [
        (archive(), {}, True),
        (archive(), {"RetrievalByteRange": None}, True),
        (archive(), {"ArchiveId": "a2"}, False),
        (archive(), {"Action": "InventoryRetrieval"}, False),
        (archive(), {"StatusCode": "Failed"}, False),
        (archive(), {"StatusCode": "Paused"}, False),
        (archive(), {"RetrievalByteRange": "0-1048575"}, False),
        (archive(), {"RetrievalByteRange": "1048576-2999999"}, False),
        (archive(), {"ArchiveSizeInBytes": None}, False),
        (archive(retrieval_byte_range="0-1048575"), {"RetrievalByteRange": "0-1048575"}, True),
        (archive(retrieval_byte_range="0-1048575"), {}, False),
        (archive(retrieval_byte_range="0-2999999"), {}, True),
        (archive(tier="Expedited"), {}, False),
        (archive(tier="Expedited"), {"Tier": "Expedited"}, True),
        (archive(tier="Expedited"), {"StatusCode": "Succeeded"}, True),
        (archive(tier="Bulk"), {}, True),
        (archive(), {"Tier": "Bulk"}, False),
        (archive(sns_topic=TOPIC), {}, False),
        (archive(sns_topic=TOPIC), {"SNSTopic": TOPIC}, True),
        (archive(sns_topic=TOPIC), {"SNSTopic": TOPIC, "StatusCode": "Succeeded"}, False),
        (archive(), {"SNSTopic": TOPIC}, True),
    ],
)
def test_an_archive_job_is_equal_if_it_gives_the_same_bytes_as_soon(
    request_: JobRequest, overrides: dict[str, Any], expected: bool
) -> None:
    assert is_equal({**ARCHIVE_JOB, **overrides}, request_) is expected


@pytest.mark.parametrize(
    ("request_", "parameters", "expected"),
    [
        (inventory(), {}, True),
        (inventory(output_format="JSON"), {}, True),
        (inventory(output_format="CSV"), {}, False),
        (inventory(output_format="CSV"), {"Format": "CSV"}, True),
        (inventory(), {"StartDate": "2020-01-01T00:00:00Z"}, False),
        (inventory(), {"Limit": "5"}, False),
        (inventory(), {"Marker": "m"}, False),
        (inventory(inventory_retrieval_parameters={"Limit": 5}), {"Limit": "5"}, False),
        (inventory(inventory_retrieval_parameters={"Marker": "m"}), {}, False),
        (
            inventory(inventory_retrieval_parameters={"StartDate": "2020-01-01"}),
            {"StartDate": "2020-01-01T00:00:00Z"},
            True,
        ),
        (inventory(inventory_retrieval_parameters={"EndDate": "2020-01-01"}), {"StartDate": "2020-01-01"}, False),
    ],
)
def test_an_inventory_job_is_equal_if_it_gives_the_same_archives(
    request_: JobRequest, parameters: dict[str, Any], expected: bool
) -> None:
    found = {**INVENTORY_JOB["InventoryRetrievalParameters"], **parameters}

    assert is_equal({**INVENTORY_JOB, "InventoryRetrievalParameters": found}, request_) is expected


def test_an_inventory_job_without_parameters_has_all_archives_as_json() -> None:
    assert is_equal({"Action": "InventoryRetrieval", "StatusCode": "Succeeded"}, inventory())


@pytest.mark.parametrize(
    ("status", "completion_date", "expected"),
    [
        ("InProgress", None, math.inf),
        ("Succeeded", "2026-11-01T06:00:00.000Z", 18),
        ("Succeeded", "2026-10-31T11:00:00.000Z", -1),
        ("Succeeded", None, 0),
        ("Failed", "2026-11-01T06:00:00.000Z", 0),
    ],
)
def test_the_hours_for_which_an_output_is_kept(status: str, completion_date: str | None, expected: float) -> None:
    assert hours_left({"StatusCode": status, "CompletionDate": completion_date}, NOW) == expected
