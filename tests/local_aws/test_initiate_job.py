from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control
from local_aws.tree_hash import MEBIBYTE

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
SIZE = 3 * MEBIBYTE + 5


@pytest.fixture(autouse=True)
def _vault_at_noon(local_aws: Control) -> None:
    local_aws.set_clock(NOON, speed=0)
    local_aws.add_vaults("v")
    local_aws.add_archives("v", [{"ArchiveId": "a1", "Size": SIZE}, {"ArchiveId": "a2", "Size": 10}])


def initiate(glacier: GlacierClient, **parameters: Any) -> str:
    return glacier.initiate_job(vaultName="v", jobParameters=cast(Any, parameters))["jobId"]


def test_the_description_of_an_archive_retrieval_has_nulls_for_unknown_values(
    local_aws: Control, glacier: GlacierClient
) -> None:
    answer = glacier.initiate_job(
        vaultName="v",
        jobParameters={"Type": "archive-retrieval", "ArchiveId": "a1", "Description": "why", "Tier": "Bulk"},
    )
    (description,) = local_aws.jobs("v")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["location"] == f"/123456789012/vaults/v/jobs/{answer['jobId']}"
    tree_hash = description.pop("ArchiveSHA256TreeHash")
    assert len(tree_hash) == 64
    assert description == {
        "Action": "ArchiveRetrieval",
        "ArchiveId": "a1",
        "ArchiveSizeInBytes": SIZE,
        "Completed": False,
        "CompletionDate": None,
        "CreationDate": "2026-03-01T12:00:00.000Z",
        "InventorySizeInBytes": None,
        "JobDescription": "why",
        "JobId": answer["jobId"],
        "RetrievalByteRange": f"0-{SIZE - 1}",
        "SHA256TreeHash": None,
        "SNSTopic": None,
        "StatusCode": "InProgress",
        "StatusMessage": None,
        "Tier": "Bulk",
        "VaultARN": "arn:aws:glacier:us-east-1:123456789012:vaults/v",
    }


@pytest.mark.parametrize(
    ("tier", "minutes"), [("Expedited", 3), ("Standard", 4 * 60), ("Bulk", 9 * 60), (None, 4 * 60)]
)
def test_a_job_takes_as_long_as_its_tier(
    local_aws: Control, glacier: GlacierClient, tier: str | None, minutes: int
) -> None:
    job_id = initiate(glacier, Type="archive-retrieval", ArchiveId="a2", **({"Tier": tier} if tier else {}))
    local_aws.advance(minutes * 60 - 0.001)
    assert glacier.describe_job(vaultName="v", jobId=job_id)["StatusCode"] == "InProgress"
    local_aws.advance(0.001)
    done = glacier.describe_job(vaultName="v", jobId=job_id)
    assert (done["StatusCode"], done["Completed"]) == ("Succeeded", True)
    assert done["CompletionDate"] == f"{NOON + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.000Z}"
    assert done["Tier"] == (tier or "Standard")


def test_an_inventory_is_taken_when_its_job_is_initiated(local_aws: Control, glacier: GlacierClient) -> None:
    job_id = initiate(glacier, Type="inventory-retrieval", SNSTopic="arn:aws:sns:us-east-1:123456789012:topic")
    (description,) = local_aws.jobs("v")
    assert description["Action"] == "InventoryRetrieval"
    assert description["ArchiveId"] is None
    assert description["InventorySizeInBytes"] is None
    assert description["SNSTopic"] == "arn:aws:sns:us-east-1:123456789012:topic"
    assert description["InventoryRetrievalParameters"]["Format"] == "JSON"
    assert "Tier" not in description
    local_aws.advance(5 * 3600)
    output = glacier.get_job_output(vaultName="v", jobId=job_id)["body"].read()
    assert glacier.describe_job(vaultName="v", jobId=job_id)["InventorySizeInBytes"] == len(output)


def test_the_durations_are_settings(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.settings(duration_seconds={"Bulk": 1})
    job_id = initiate(glacier, Type="archive-retrieval", ArchiveId="a2", Tier="Bulk")
    local_aws.advance(1)
    assert glacier.describe_job(vaultName="v", jobId=job_id)["Completed"]


def test_the_outcome_of_the_next_job_can_be_planned(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.next_outcome("Failed", status_message="not available", duration_seconds=60)
    failing = initiate(glacier, Type="inventory-retrieval")
    other = initiate(glacier, Type="inventory-retrieval")
    local_aws.advance(60)
    failed: Mapping[str, object] = glacier.describe_job(vaultName="v", jobId=failing)
    assert (failed["StatusCode"], failed["StatusMessage"], failed["Completed"]) == ("Failed", "not available", True)
    assert "InventorySizeInBytes" not in failed
    assert glacier.describe_job(vaultName="v", jobId=other)["StatusCode"] == "InProgress"


def test_an_outcome_planned_for_one_vault_applies_to_a_job_of_that_vault(
    local_aws: Control, glacier: GlacierClient
) -> None:
    local_aws.add_vaults("w")
    local_aws.next_outcome("Failed", vault_name="w", duration_seconds=0)
    here = initiate(glacier, Type="inventory-retrieval")
    there = glacier.initiate_job(vaultName="w", jobParameters={"Type": "inventory-retrieval"})["jobId"]
    assert glacier.describe_job(vaultName="v", jobId=here)["StatusCode"] == "InProgress"
    assert glacier.describe_job(vaultName="w", jobId=there)["StatusCode"] == "Failed"


@pytest.mark.parametrize("byte_range", [f"0-{SIZE - 1}", f"0-{MEBIBYTE - 1}", f"{MEBIBYTE}-{SIZE - 1}"])
def test_a_range_on_mebibytes_or_to_the_end_is_accepted(
    local_aws: Control, glacier: GlacierClient, byte_range: str
) -> None:
    initiate(glacier, Type="archive-retrieval", ArchiveId="a1", RetrievalByteRange=byte_range)
    assert local_aws.jobs("v")[0]["RetrievalByteRange"] == byte_range


def test_only_an_aligned_range_has_a_tree_hash(local_aws: Control, glacier: GlacierClient) -> None:
    initiate(glacier, Type="archive-retrieval", ArchiveId="a1", RetrievalByteRange=f"0-{2 * MEBIBYTE - 1}")
    initiate(glacier, Type="archive-retrieval", ArchiveId="a1", RetrievalByteRange=f"{MEBIBYTE}-{3 * MEBIBYTE - 1}")
    hashes = {job["RetrievalByteRange"].split("-")[0]: job["SHA256TreeHash"] for job in local_aws.jobs("v")}
    assert len(hashes["0"]) == 64
    assert hashes[str(MEBIBYTE)] is None


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "MissingParameterValueException"),
        ({"Type": "restore"}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval"}, "MissingParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "unknown"}, "ResourceNotFoundException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "Tier": "Fast"}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "Format": "CSV"}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "Description": "x" * 1025}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "Description": "caf\xe9"}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "Description": "a\nb"}, "InvalidParameterValueException"),
        ({"Type": "archive-retrieval", "ArchiveId": "a1", "SNSTopic": "topic"}, "InvalidParameterValueException"),
        *(
            (
                {"Type": "archive-retrieval", "ArchiveId": "a1", "RetrievalByteRange": byte_range},
                "InvalidParameterValueException",
            )
            for byte_range in ("0", "1-100", "0-100", f"0-{SIZE}", f"{MEBIBYTE}-0", "a-b", f"5-{SIZE - 1}")
        ),
        ({"Type": "inventory-retrieval", "Format": "XML"}, "InvalidParameterValueException"),
        ({"Type": "inventory-retrieval", "ArchiveId": "a1"}, "InvalidParameterValueException"),
        ({"Type": "inventory-retrieval", "RetrievalByteRange": "0-1"}, "InvalidParameterValueException"),
        *(
            ({"Type": "inventory-retrieval", "InventoryRetrievalParameters": given}, "InvalidParameterValueException")
            for given in (
                {"StartDate": "yesterday"},
                {"StartDate": "2026-01-02", "EndDate": "2026-01-01"},
                {"Limit": "0"},
                {"Limit": "many"},
                {"Marker": "never given"},
            )
        ),
    ],
)
def test_invalid_parameters_are_rejected(
    local_aws: Control, glacier: GlacierClient, parameters: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        initiate(glacier, **parameters)
    assert caught.value.response["Error"]["Code"] == code
    assert local_aws.jobs("v") == []


def test_a_description_can_have_1024_printable_characters(local_aws: Control, glacier: GlacierClient) -> None:
    description = ("".join(map(chr, range(32, 127))) * 11)[:1024]
    initiate(glacier, Type="inventory-retrieval", Description=description)
    assert local_aws.jobs("v")[0]["JobDescription"] == description


def test_a_new_job_can_be_described_before_it_is_listed(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.settings(listed_after_seconds=30)
    job_id = initiate(glacier, Type="inventory-retrieval")
    assert glacier.describe_job(vaultName="v", jobId=job_id)["StatusCode"] == "InProgress"
    assert glacier.list_jobs(vaultName="v")["JobList"] == []
    assert [job["JobId"] for job in local_aws.jobs("v", unlisted=True)] == [job_id]
    local_aws.advance(30)
    assert [job["JobId"] for job in glacier.list_jobs(vaultName="v")["JobList"]] == [job_id]


def test_a_finished_job_disappears_a_day_after_its_completion(local_aws: Control, glacier: GlacierClient) -> None:
    job_id = initiate(glacier, Type="archive-retrieval", ArchiveId="a2", Tier="Expedited")
    local_aws.advance(180 + 24 * 3600 - 0.001)
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 1
    local_aws.advance(0.001)
    assert glacier.list_jobs(vaultName="v")["JobList"] == []
    with pytest.raises(glacier.exceptions.ResourceNotFoundException, match=f"The job ID was not found: {job_id}"):
        glacier.describe_job(vaultName="v", jobId=job_id)
    with pytest.raises(glacier.exceptions.ResourceNotFoundException, match="The job ID was not found"):
        glacier.get_job_output(vaultName="v", jobId=job_id)


def test_the_retention_of_finished_jobs_can_be_longer(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.settings(retention_seconds=48 * 3600)
    initiate(glacier, Type="archive-retrieval", ArchiveId="a2", Tier="Expedited")
    local_aws.advance(180 + 47 * 3600)
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 1


def test_setting_the_clock_back_restores_an_expired_job(local_aws: Control, glacier: GlacierClient) -> None:
    initiate(glacier, Type="archive-retrieval", ArchiveId="a2", Tier="Expedited")
    local_aws.advance(48 * 3600)
    assert glacier.list_jobs(vaultName="v")["JobList"] == []
    local_aws.set_clock(NOON)
    assert glacier.list_jobs(vaultName="v")["JobList"][0]["StatusCode"] == "InProgress"
