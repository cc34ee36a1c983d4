from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

import pytest
from botocore.utils import calculate_tree_hash
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control
from local_aws.tree_hash import MEBIBYTE

SIZE = 3 * MEBIBYTE + 5


def tree_hash(content: bytes) -> str:
    return calculate_tree_hash(cast(Any, io.BytesIO(content)))


@pytest.fixture
def content(glacier: GlacierClient) -> bytes:
    """The content of the archive in the vault ``v``."""
    glacier.create_vault(vaultName="v")
    return bytes(i * 7 % 251 for i in range(SIZE // 5)) * 5 + b"12345"[: SIZE % 5]


def retrieved(local_aws: Control, glacier: GlacierClient, content: bytes, **parameters: Any) -> str:
    archive_id = glacier.upload_archive(vaultName="v", archiveDescription="notes", body=content)["archiveId"]
    job_parameters = {"Type": "archive-retrieval", "ArchiveId": archive_id, "Tier": "Expedited", **parameters}
    job_id = glacier.initiate_job(vaultName="v", jobParameters=cast(Any, job_parameters))["jobId"]
    local_aws.advance(180)
    return job_id


def test_the_output_of_an_archive_has_its_content_and_tree_hash(
    local_aws: Control, glacier: GlacierClient, content: bytes
) -> None:
    job_id = retrieved(local_aws, glacier, content)
    output = glacier.get_job_output(vaultName="v", jobId=job_id)
    assert output["status"] == 200
    assert output["body"].read() == content
    assert output["checksum"] == tree_hash(content)
    assert output["archiveDescription"] == "notes"
    assert (output["acceptRanges"], output["contentType"]) == ("bytes", "application/octet-stream")


@pytest.mark.parametrize(
    ("start", "end", "aligned"),
    [
        (0, MEBIBYTE - 1, True),
        (0, 2 * MEBIBYTE - 1, True),
        (2 * MEBIBYTE, SIZE - 1, True),
        (MEBIBYTE, 3 * MEBIBYTE - 1, False),
        (5, 9, False),
    ],
)
def test_a_range_of_the_output_has_a_tree_hash_only_if_aligned(
    local_aws: Control, glacier: GlacierClient, content: bytes, start: int, end: int, aligned: bool
) -> None:
    job_id = retrieved(local_aws, glacier, content)
    output = glacier.get_job_output(vaultName="v", jobId=job_id, range=f"bytes={start}-{end}")
    part = output["body"].read()
    assert output["status"] == 206
    assert part == content[start : end + 1]
    assert output["contentRange"] == f"bytes {start}-{end}/{SIZE}"
    assert output.get("checksum") == (tree_hash(part) if aligned else None)


def test_the_output_of_a_retrieved_range_starts_with_the_range(
    local_aws: Control, glacier: GlacierClient, content: bytes
) -> None:
    job_id = retrieved(local_aws, glacier, content, RetrievalByteRange=f"{MEBIBYTE}-{2 * MEBIBYTE - 1}")
    whole = glacier.get_job_output(vaultName="v", jobId=job_id)
    part = glacier.get_job_output(vaultName="v", jobId=job_id, range="bytes=10-19")
    assert whole["body"].read() == content[MEBIBYTE : 2 * MEBIBYTE]
    assert part["body"].read() == content[MEBIBYTE + 10 : MEBIBYTE + 20]
    assert part["contentRange"] == f"bytes 10-19/{MEBIBYTE}"


def test_a_range_beyond_the_end_is_rejected_and_one_in_another_format_is_ignored(
    local_aws: Control, glacier: GlacierClient, content: bytes
) -> None:
    job_id = retrieved(local_aws, glacier, content)
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="start of the range is larger"):
        glacier.get_job_output(vaultName="v", jobId=job_id, range=f"bytes={SIZE}-{SIZE + 1}")
    ignored = glacier.get_job_output(vaultName="v", jobId=job_id, range=f"bytes 0-9/{SIZE}")
    assert ignored["status"] == 200
    assert len(ignored["body"].read()) == SIZE


def test_the_output_of_a_job_in_progress_is_not_available(local_aws: Control, glacier: GlacierClient) -> None:
    glacier.create_vault(vaultName="v")
    job_id = glacier.initiate_job(vaultName="v", jobParameters={"Type": "inventory-retrieval"})["jobId"]
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="not currently available for download"):
        glacier.get_job_output(vaultName="v", jobId=job_id)


def test_a_failed_job_has_no_output(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", [{"JobId": "j", "StatusCode": "Failed"}])
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="not currently available for download"):
        glacier.get_job_output(vaultName="v", jobId="j")


def test_an_unknown_job_has_no_output(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v")
    with pytest.raises(glacier.exceptions.ResourceNotFoundException, match="The job ID was not found: j"):
        glacier.get_job_output(vaultName="v", jobId="j")


def inventory(local_aws: Control, glacier: GlacierClient, **parameters: Any) -> tuple[bytes, str]:
    job_parameters = cast(Any, {"Type": "inventory-retrieval", **parameters})
    job_id = glacier.initiate_job(vaultName="v", jobParameters=job_parameters)["jobId"]
    local_aws.advance(4 * 3600)
    output = glacier.get_job_output(vaultName="v", jobId=job_id)
    assert output.get("checksum") is None
    return output["body"].read(), output["contentType"]


def test_an_inventory_lists_every_archive_as_json(local_aws: Control, glacier: GlacierClient) -> None:
    glacier.create_vault(vaultName="v")
    uploaded = glacier.upload_archive(vaultName="v", archiveDescription="one", body=b"content")
    body, content_type = inventory(local_aws, glacier)
    found = json.loads(body)
    (archive,) = found["ArchiveList"]
    assert content_type == "application/json"
    assert found["VaultARN"] == "arn:aws:glacier:us-east-1:123456789012:vaults/v"
    assert (archive["ArchiveId"], archive["ArchiveDescription"]) == (uploaded["archiveId"], "one")
    assert (archive["Size"], archive["SHA256TreeHash"]) == (7, uploaded["checksum"])


def test_a_csv_inventory_escapes_quotes_with_a_backslash(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v")
    quoted = 'a "quoted" description, with a comma'
    local_aws.add_archives("v", [{"ArchiveId": "a1", "ArchiveDescription": quoted, "Size": 3}])
    body, content_type = inventory(local_aws, glacier, Format="CSV")
    text = body.decode()
    rows = list(csv.DictReader(io.StringIO(text), doublequote=False, escapechar="\\"))
    assert content_type == "text/csv"
    assert '"a \\"quoted\\" description, with a comma"' in text
    assert (rows[0]["ArchiveId"], rows[0]["ArchiveDescription"], rows[0]["Size"]) == ("a1", quoted, "3")


def test_an_inventory_can_be_limited_to_dates_and_continued_from_a_marker(
    local_aws: Control, glacier: GlacierClient
) -> None:
    local_aws.add_vaults("v")
    dates = [f"2020-01-0{day}T00:00:00.000Z" for day in range(1, 8)]
    local_aws.add_archives("v", [{"ArchiveId": f"a{date[9]}", "Size": 1, "CreationDate": date} for date in dates])
    first_parameters = {"StartDate": "2020-01-02T00:00:00Z", "EndDate": "2020-01-07T00:00:00Z", "Limit": "3"}
    first, _ = inventory(local_aws, glacier, InventoryRetrievalParameters=first_parameters)
    marker = local_aws.jobs("v")[0]["InventoryRetrievalParameters"]["Marker"]
    second, _ = inventory(local_aws, glacier, InventoryRetrievalParameters={**first_parameters, "Marker": marker})
    assert [each["ArchiveId"] for each in json.loads(first)["ArchiveList"]] == ["a2", "a3", "a4"]
    assert [each["ArchiveId"] for each in json.loads(second)["ArchiveList"]] == ["a5", "a6"]


def test_an_added_job_without_an_archive_has_generated_output_of_its_size(
    local_aws: Control, glacier: GlacierClient
) -> None:
    given = {"Action": "ArchiveRetrieval", "ArchiveId": "a", "ArchiveSizeInBytes": 1000, "StatusCode": "Succeeded"}
    local_aws.add_jobs("v", [{**given, "JobId": "j"}])
    assert len(glacier.get_job_output(vaultName="v", jobId="j")["body"].read()) == 1000


def json_inventory(local_aws: Control, glacier: GlacierClient) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(inventory(local_aws, glacier)[0])
    return content


def test_the_date_of_an_inventory_moves_only_when_the_vault_has_changed(
    local_aws: Control, glacier: GlacierClient
) -> None:
    glacier.create_vault(vaultName="v")
    local_aws.advance(60)
    first = glacier.upload_archive(vaultName="v", body=b"a")["archiveId"]
    uploaded = json_inventory(local_aws, glacier)
    unchanged = json_inventory(local_aws, glacier)
    glacier.delete_archive(vaultName="v", archiveId=first)
    deleted = json_inventory(local_aws, glacier)

    assert uploaded == unchanged
    assert uploaded["InventoryDate"] < deleted["InventoryDate"]
    assert deleted["ArchiveList"] == []


def test_the_vault_shows_the_date_and_the_count_of_the_inventory_that_a_job_took(
    local_aws: Control, glacier: GlacierClient
) -> None:
    glacier.create_vault(vaultName="v")
    assert "LastInventoryDate" not in glacier.describe_vault(vaultName="v")
    glacier.upload_archive(vaultName="v", body=b"abc")

    taken = json_inventory(local_aws, glacier)

    vault = glacier.describe_vault(vaultName="v")
    assert (vault["LastInventoryDate"], vault["NumberOfArchives"], vault["SizeInBytes"]) == (
        taken["InventoryDate"], 1, 3,
    )  # fmt: skip


@pytest.mark.parametrize("description", ["../../etc/passwd", '"},{"', "\ud800", "\x00", "é" * 1024])
def test_a_description_that_is_not_in_ascii_is_in_the_inventory_as_it_was_given(
    local_aws: Control, glacier: GlacierClient, description: str
) -> None:
    glacier.create_vault(vaultName="v")
    local_aws.add_archives("v", [{"ArchiveDescription": description, "Size": 1}])

    [archive] = json_inventory(local_aws, glacier)["ArchiveList"]

    assert archive["ArchiveDescription"] == description
