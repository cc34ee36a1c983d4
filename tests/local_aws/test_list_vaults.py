from __future__ import annotations

from collections.abc import Mapping

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control
from tests.local_aws.conftest import without_nulls


def test_pages_of_vaults_have_ten_members_and_markers_that_are_arns(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults(*(f"vault-{i:02d}" for i in range(25)))
    first = glacier.list_vaults()
    assert [vault["VaultName"] for vault in first["VaultList"]] == [f"vault-{i:02d}" for i in range(10)]
    assert first["Marker"].startswith("arn:aws:glacier:us-east-1:123456789012:vaults/")


@pytest.mark.parametrize("page_size", [1, 3, 10])
def test_all_pages_together_contain_every_vault_once(
    local_aws: Control, glacier: GlacierClient, page_size: int
) -> None:
    local_aws.add_vaults(*(f"vault-{i:02d}" for i in range(23)))
    pages = glacier.get_paginator("list_vaults").paginate(accountId="-", PaginationConfig={"PageSize": page_size})
    listed = [vault for page in pages for vault in page["VaultList"]]
    assert listed == [without_nulls(vault) for vault in local_aws.vaults()]
    assert len(listed) == 23


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "0"}, {"limit": "11"}, {"limit": "ten"}, {"marker": "vault-1"}, {"marker": "arn:aws:s3:::b"}],
)
def test_an_invalid_parameter_is_rejected(glacier: GlacierClient, parameters: dict[str, str]) -> None:
    with pytest.raises(glacier.exceptions.InvalidParameterValueException):
        glacier.list_vaults(**parameters)


def test_the_maximum_limit_is_a_setting(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.settings(max_vaults_limit=1000)
    local_aws.add_vaults(*(f"vault-{i:02d}" for i in range(25)))
    assert len(glacier.list_vaults(limit="1000")["VaultList"]) == 25


def test_a_new_vault_has_no_inventory_and_counts_of_zero(glacier: GlacierClient) -> None:
    created = glacier.create_vault(vaultName="new")
    glacier.upload_archive(vaultName="new", body=b"content")
    described: Mapping[str, object] = glacier.describe_vault(vaultName="new")
    assert created["location"] == "/123456789012/vaults/new"
    assert "LastInventoryDate" not in described
    assert (described["NumberOfArchives"], described["SizeInBytes"]) == (0, 0)


def test_the_counts_of_a_vault_are_those_of_its_last_daily_inventory(
    local_aws: Control, glacier: GlacierClient
) -> None:
    glacier.create_vault(vaultName="v")
    glacier.upload_archive(vaultName="v", body=b"content")
    local_aws.advance(25 * 3600)
    glacier.upload_archive(vaultName="v", body=b"too late for the inventory")
    described = glacier.describe_vault(vaultName="v")
    assert (described["NumberOfArchives"], described["SizeInBytes"]) == (1, 7)
    assert described["LastInventoryDate"] > described["CreationDate"]


def test_a_vault_is_returned_with_its_given_description(local_aws: Control) -> None:
    given = {
        "VaultName": "v",
        "CreationDate": "2015-04-06T21:23:45.708Z",
        "NumberOfArchives": None,
        "SizeInBytes": None,
    }
    local_aws.add_vaults(given)
    listed = local_aws.vaults()[0]
    assert {key: listed[key] for key in given} == given


def test_creating_an_existing_vault_changes_nothing(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", [{}])
    glacier.create_vault(vaultName="v")
    assert len(local_aws.jobs("v")) == 1


def test_a_vault_with_an_invalid_name_is_not_created(glacier: GlacierClient) -> None:
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="Invalid vault name: a b"):
        glacier.create_vault(vaultName="a b")


def test_an_account_has_at_most_a_thousand_vaults_in_a_region(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults(*(f"vault-{i:04d}" for i in range(1000)))
    with pytest.raises(ClientError) as caught:
        glacier.create_vault(vaultName="one-too-many")
    assert caught.value.response["Error"]["Code"] == "LimitExceededException"


def test_only_an_empty_vault_can_be_deleted(glacier: GlacierClient) -> None:
    glacier.create_vault(vaultName="v")
    archive_id = glacier.upload_archive(vaultName="v", body=b"content")["archiveId"]
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="Vault not empty"):
        glacier.delete_vault(vaultName="v")
    glacier.delete_archive(vaultName="v", archiveId=archive_id)
    glacier.delete_vault(vaultName="v")
    with pytest.raises(glacier.exceptions.ResourceNotFoundException, match=r"Vault not found for ARN: .*vaults/v"):
        glacier.describe_vault(vaultName="v")


def test_an_upload_with_a_wrong_checksum_is_rejected(glacier: GlacierClient) -> None:
    glacier.create_vault(vaultName="v")
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="Checksum mismatch"):
        glacier.upload_archive(vaultName="v", body=b"content", checksum="0" * 64)
