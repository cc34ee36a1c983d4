from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control
from tests.local_aws.conftest import ONE_ATTEMPT, signed_headers


@contextmanager
def client(service: str, arguments: Mapping[str, object]) -> Iterator[Any]:
    new_client = boto3.client(cast(Any, service), config=ONE_ATTEMPT, **cast(Any, arguments))
    try:
        yield new_client
    finally:
        new_client.close()


def test_a_hyphen_is_the_account_of_the_credentials(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v")
    own = glacier.list_vaults(accountId="-")["VaultList"]
    named = glacier.list_vaults(accountId="123456789012")["VaultList"]
    assert own == named
    assert own[0]["VaultARN"] == "arn:aws:glacier:us-east-1:123456789012:vaults/v"


def test_another_account_has_different_vaults(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("mine")
    local_aws.add_vaults("theirs", account_id="210987654321")
    listed = glacier.list_vaults(accountId="210987654321")["VaultList"]
    assert [vault["VaultARN"] for vault in listed] == ["arn:aws:glacier:us-east-1:210987654321:vaults/theirs"]


def test_an_assumed_role_acts_in_the_account_of_the_role(local_aws: Control) -> None:
    local_aws.add_vaults("theirs", account_id="210987654321")
    with client("sts", local_aws.boto3_arguments()) as sts:
        role = sts.assume_role(RoleArn="arn:aws:iam::210987654321:role/reader", RoleSessionName="session")[
            "Credentials"
        ]
    arguments = {
        **local_aws.boto3_arguments(),
        "aws_access_key_id": role["AccessKeyId"],
        "aws_secret_access_key": role["SecretAccessKey"],
        "aws_session_token": role["SessionToken"],
    }
    with client("glacier", arguments) as glacier, client("sts", arguments) as sts:
        assert sts.get_caller_identity()["Account"] == "210987654321"
        assert [vault["VaultName"] for vault in glacier.list_vaults()["VaultList"]] == ["theirs"]


def test_regions_have_different_vaults_and_jobs(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", [{"JobId": "here"}])
    local_aws.add_jobs("v", [{"JobId": "there"}], region="eu-west-1")
    with client("glacier", local_aws.boto3_arguments("eu-west-1")) as other_region:
        (job,) = other_region.list_jobs(vaultName="v")["JobList"]
    assert job["JobId"] == "there"
    assert job["VaultARN"] == "arn:aws:glacier:eu-west-1:123456789012:vaults/v"
    assert [job["JobId"] for job in glacier.list_jobs(vaultName="v")["JobList"]] == ["here"]


def test_an_invalid_account_id_is_rejected(glacier: GlacierClient) -> None:
    with pytest.raises(ClientError, match="Invalid account ID: 12345"):
        glacier.list_vaults(accountId="12345")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 403, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 /glacier/aws4_request"}, 400, "IncompleteSignatureException"),
    ],
)
def test_a_request_without_a_valid_signature_is_rejected(
    local_aws: Control, headers: dict[str, str], status: int, code: str
) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", f"{local_aws.endpoint}/-/vaults", headers=headers)
    assert (response.status, response.json()["code"], response.json()["type"]) == (status, code, "Client")


def test_a_request_without_the_api_version_is_rejected(local_aws: Control) -> None:
    headers = signed_headers()
    del headers["x-amz-glacier-version"]
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", f"{local_aws.endpoint}/-/vaults", headers=headers)
    assert (response.status, response.json()["code"]) == (400, "MissingParameterValueException")
