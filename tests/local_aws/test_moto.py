from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from local_aws.client import Control
from tests.local_aws.conftest import ONE_ATTEMPT


@pytest.fixture
def s3(local_aws: Control) -> Iterator[S3Client]:
    client = boto3.client("s3", config=ONE_ATTEMPT, **local_aws.boto3_arguments())
    client.create_bucket(Bucket="bucket")
    yield client
    client.close()


@pytest.mark.parametrize(
    "key", ["plain", "vaults/jobs", "a b+c%20é/_local_aws", "jobs/snapshot_date=2026-11-22/x.parquet"]
)
def test_an_object_is_returned_as_stored(s3: S3Client, key: str) -> None:
    body = bytes(range(256)) * 5000
    s3.put_object(Bucket="bucket", Key=key, Body=body, Metadata={"under_scored": "kept"})
    found = s3.get_object(Bucket="bucket", Key=key)
    assert found["Body"].read() == body
    assert found["Metadata"] == {"under_scored": "kept"}
    assert s3.head_object(Bucket="bucket", Key=key)["ContentLength"] == len(body)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="bucket")["Contents"]] == [key]


def test_a_bucket_can_have_the_name_of_an_account(s3: S3Client) -> None:
    s3.create_bucket(Bucket="123456789012")
    s3.put_object(Bucket="123456789012", Key="vaults/v/jobs", Body=b"not Glacier's")
    assert s3.get_object(Bucket="123456789012", Key="vaults/v/jobs")["Body"].read() == b"not Glacier's"


def test_an_existing_object_is_not_overwritten_with_if_none_match(s3: S3Client) -> None:
    s3.put_object(Bucket="bucket", Key="k", Body=b"first")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="bucket", Key="k", Body=b"second", IfNoneMatch="*")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"first"


def test_a_multipart_upload_is_assembled(s3: S3Client) -> None:
    upload_id = s3.create_multipart_upload(Bucket="bucket", Key="big")["UploadId"]
    parts = []
    for number, size in ((1, 5 * 2**20), (2, 3)):
        part = s3.upload_part(Bucket="bucket", Key="big", UploadId=upload_id, PartNumber=number, Body=b"x" * size)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(
        Bucket="bucket", Key="big", UploadId=upload_id, MultipartUpload={"Parts": cast(Any, parts)}
    )
    assert s3.head_object(Bucket="bucket", Key="big")["ContentLength"] == 5 * 2**20 + 3


def test_a_reset_removes_all_buckets(local_aws: Control, s3: S3Client) -> None:
    local_aws.reset()
    assert s3.list_buckets()["Buckets"] == []


def test_a_chunked_body_is_read(local_aws: Control, s3: S3Client) -> None:
    s3.put_bucket_acl(Bucket="bucket", ACL="public-read-write")
    with urllib3.PoolManager() as pool:
        pool.request("PUT", f"{local_aws.endpoint}/bucket/chunked", body=iter([b"in ", b"pieces"]), chunked=True)
    assert s3.get_object(Bucket="bucket", Key="chunked")["Body"].read() == b"in pieces"


def test_a_part_of_an_upload_that_was_aborted_is_refused_as_by_s3(s3: S3Client) -> None:
    upload_id = s3.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket="bucket", Key="k", UploadId=upload_id)

    with pytest.raises(ClientError, match="NoSuchUpload"):
        s3.upload_part(Bucket="bucket", Key="k", UploadId=upload_id, PartNumber=1, Body=b"x")
