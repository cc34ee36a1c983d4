from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from glacier_jobs.errors import (
    AccessDenied,
    JobOutputExpired,
    MalformedAnswer,
    ServiceUnavailable,
    TargetDiffers,
    TargetNotReadable,
    TreeHashMismatch,
)
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval import s3_target
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import Stored, store_output
from glacier_jobs.retrieval.s3_target import ObjectOptions
from glacier_jobs.retrieval.source import job_source
from local_aws.client import Control
from local_aws.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.conftest import ROOT, Connect
from tests.retrieval.outputs import MEBIBYTE, PART, Archive, distinct_bytes, ranges, tree_hash, upload

SIZE = 3 * PART + 5 * MEBIBYTE + 7


@dataclass(kw_only=True)
class Bucket:
    """The bucket ``restored`` behind a faulty proxy, and the requests that it received."""

    client: Any
    conn_id: str
    proxy: Proxy
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def uri(self) -> str:
        return f"s3://{self.conn_id}@restored/photos/photo.jpg"

    def fail(self, request: str, fault: Fault, *, skip: int = 0, count: int = 1) -> None:
        """Let some of the requests fail that are named as in ``requests``."""
        seen = Counter[str]()

        def rule(method: str, path: str) -> Fault | None:
            name = request_name(method, path)
            self.requests[name] += 1
            seen[name] += 1
            return fault if name == request and skip < seen[name] <= skip + count else None

        self.proxy.rule = rule

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket="restored").get("Contents", [])]

    def uploads(self) -> list[str]:
        return [each["UploadId"] for each in self.client.list_multipart_uploads(Bucket="restored").get("Uploads", [])]

    def content(self) -> bytes:
        content: bytes = self.client.get_object(Bucket="restored", Key="photos/photo.jpg")["Body"].read()
        return content

    def head(self) -> dict[str, Any]:
        head: dict[str, Any] = self.client.head_object(Bucket="restored", Key="photos/photo.jpg")
        return head


def request_name(method: str, path: str) -> str:
    """Return which request this is: ``create``, ``part``, ``complete``, ``list``, ``checkpoint`` or the method."""
    if "partNumber=" in path:
        return "part"
    if "uploads" in path:
        return "create"
    if "uploadId=" in path:
        return {"POST": "complete", "GET": "list", "DELETE": "abort"}[method]
    return f"{method} checkpoint" if ".retrieving" in path else method


@pytest.fixture
def bucket(local_aws: Control, connect: Connect) -> Iterator[Bucket]:
    client = boto3.client("s3", **local_aws.boto3_arguments())
    client.create_bucket(Bucket="restored")
    with faulty_proxy(local_aws.endpoint) as proxy:
        conn_id = connect(f"bucket_{secrets.token_hex(4)}", endpoint_url=proxy.endpoint, attempts=1)
        bucket = Bucket(client=client, conn_id=conn_id, proxy=proxy)
        bucket.fail("nothing", Fault())
        yield bucket


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect(attempts=None))


@pytest.fixture
def archive(local_aws: Control) -> Archive:
    """An archive of 4 parts."""
    return upload(local_aws, distinct_bytes(SIZE))


@pytest.fixture
def job_id(archive: Archive) -> str:
    return archive.retrieve()


def store(
    hook: GlacierJobsHook, bucket: Bucket, job_id: str, *, replace: bool = False, max_ranges: int = 8, **options: Any
) -> Stored:
    source = job_source(hook, "photos", job_id, "-")
    target = open_target(bucket.uri, dest_aws_conn_id=None, options=ObjectOptions(**options), max_requests=max_ranges)
    return store_output(source, target, bucket.uri, replace=replace, max_ranges=max_ranges)


@pytest.mark.parametrize("size", [1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, PART, PART + 1, SIZE])
def test_an_output_of_any_size_becomes_an_object_with_its_bytes_and_description(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, size: int
) -> None:
    archive = upload(local_aws, distinct_bytes(size), "100% of the photos")

    stored = store(hook, bucket, archive.retrieve())

    assert bucket.content() == archive.content
    assert (stored.size_in_bytes, stored.sha256_tree_hash) == (size, tree_hash(archive.content))
    assert (stored.verified, stored.result, stored.published.etag) == (True, "stored", bucket.head()["ETag"])
    metadata = bucket.head()["Metadata"]
    assert metadata["glacier-sha256-tree-hash"] == tree_hash(archive.content)
    assert metadata["glacier-archive-description"] == "100%25 of the photos"
    assert (bucket.keys(), bucket.uploads()) == (["photos/photo.jpg"], [])


def test_the_options_of_the_object_reach_s3(hook: GlacierJobsHook, bucket: Bucket, job_id: str) -> None:
    owner = "123456789012"

    store(hook, bucket, job_id, storage_class="STANDARD_IA", kms_key_id="alias/photos", expected_bucket_owner=owner)

    head = bucket.head()
    assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "aws:kms")
    assert head["SSEKMSKeyId"].endswith("alias/photos")


def test_parts_are_uploaded_at_once_and_each_with_a_checksum(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_aws.fault("crowd", operation="GetJobOutput", size=4, seconds=20)
    completed: list[Any] = []
    publish = s3_target.S3Target.publish

    def recording(self: Any, *arguments: Any, **keywords: Any) -> Any:
        completed.extend(self._uploaded.values())
        return publish(self, *arguments, **keywords)

    monkeypatch.setattr(s3_target.S3Target, "publish", recording)

    store(hook, bucket, job_id)

    assert local_aws.calls().most_in_flight == 4
    assert [set(part) for part in completed] == [{"PartNumber", "ETag", "ChecksumCRC32"}] * 4


def test_a_wrong_range_is_never_uploaded(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    # The first request is for the description of the archive.
    local_aws.fault("corrupted_body", position=MEBIBYTE, skip=2, count=2)

    store(hook, bucket, job_id, max_ranges=1)

    assert bucket.content() == archive.content
    assert bucket.requests["part"] == 4

    local_aws.fault("corrupted_body", position=0)
    bucket.client.delete_object(Bucket="restored", Key="photos/photo.jpg")
    with pytest.raises(TreeHashMismatch, match="bytes 0 to"):
        store(hook, bucket, job_id, max_ranges=1)
    assert bucket.requests["part"] == 4
    assert bucket.keys().count("photos/photo.jpg") == 0


def test_a_range_of_an_archive_without_a_tree_hash_is_never_uploaded(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, job_id: str
) -> None:
    local_aws.fault("removed_tree_hash", operation="GetJobOutput", skip=2)

    with pytest.raises(MalformedAnswer, match=rf"bytes {PART} to {2 * PART - 1}.*proxy.*x-amz-sha256-tree-hash"):
        store(hook, bucket, job_id, max_ranges=1)

    assert bucket.requests["part"] == 1


def test_an_error_ends_the_uploads_of_other_parts_at_once(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, job_id: str
) -> None:
    bucket.fail("part", Fault(delay_seconds=60))
    local_aws.fault("corrupted_body", position=0, skip=2)

    began = time.monotonic()
    with pytest.raises(TreeHashMismatch):
        store(hook, bucket, job_id, max_ranges=2)

    assert time.monotonic() - began < 30


def test_a_whole_that_does_not_match_is_never_published_and_its_upload_is_aborted(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, job_id: str
) -> None:
    local_aws.add_jobs("photos", [{**hook.get_job("photos", job_id), "SHA256TreeHash": "ab" * 32, "JobId": "other"}])

    with pytest.raises(TreeHashMismatch, match="ab" * 32):
        store(hook, bucket, "other")

    assert (bucket.keys(), bucket.uploads()) == ([], [])


@pytest.mark.parametrize("failing", ["create", "PUT checkpoint", "part", "complete"])
def test_a_request_that_s3_refuses_is_made_by_the_next_try(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str, failing: str
) -> None:
    bucket.fail(failing, Fault(status=500))
    with pytest.raises(ServiceUnavailable, match=r"photo.jpg"):
        store(hook, bucket, job_id, max_ranges=1)
    assert bucket.keys().count("photos/photo.jpg") == 0

    stored = store(hook, bucket, job_id, max_ranges=1)

    assert bucket.content() == archive.content
    assert stored.result == "stored"
    assert bucket.requests["part"] <= 5
    assert bucket.keys() == ["photos/photo.jpg"]


def test_a_denied_part_is_a_final_error(hook: GlacierJobsHook, bucket: Bucket, job_id: str) -> None:
    bucket.fail("part", Fault(status=403, code="AccessDenied"), count=4)

    with pytest.raises(AccessDenied, match="Upload part"):
        store(hook, bucket, job_id)


@pytest.mark.parametrize("size", [PART - 1, SIZE])
def test_a_lost_answer_to_the_last_request_is_no_error(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    archive = upload(local_aws, distinct_bytes(size))
    call = s3_target.S3Target.call

    def losing(self: Any, method: str, **arguments: Any) -> Any:
        answer = call(self, method, **arguments)
        if method == "complete_multipart_upload" or (method == "put_object" and "Key" not in arguments):
            raise ServiceUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(s3_target.S3Target, "call", losing)

    stored = store(hook, bucket, archive.retrieve())

    assert (stored.result, bucket.content() == archive.content) == ("stored", True)
    assert bucket.keys() == ["photos/photo.jpg"]


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("size", [PART - 1, SIZE])
def test_a_last_request_that_the_client_repeats_after_a_lost_answer_is_no_error(
    hook: GlacierJobsHook, local_aws: Control, connect: Connect, bucket: Bucket, size: int
) -> None:
    archive = upload(local_aws, distinct_bytes(size))
    job_id = archive.retrieve()
    connect(bucket.conn_id, endpoint_url=bucket.proxy.endpoint, attempts=3)
    bucket.fail("complete" if size == SIZE else "PUT", Fault(dropped=True, after_effect=True))

    stored = store(hook, bucket, job_id)

    assert (stored.result, bucket.content() == archive.content) == ("stored", True)
    assert bucket.keys() == ["photos/photo.jpg"]


def test_an_upload_that_is_gone_is_begun_anew(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("part", Fault(status=404, code="NoSuchUpload"), skip=2)

    assert store(hook, bucket, job_id, max_ranges=1).result == "stored"

    assert bucket.content() == archive.content


def test_an_upload_that_was_aborted_between_two_tries_is_begun_anew(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("part", Fault(status=500), skip=2)
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    (upload_id,) = bucket.uploads()
    bucket.client.abort_multipart_upload(Bucket="restored", Key="photos/photo.jpg", UploadId=upload_id)

    assert store(hook, bucket, job_id).result == "stored"

    assert bucket.content() == archive.content
    assert bucket.keys() == ["photos/photo.jpg"]


def test_a_part_that_another_process_has_uploaded_again_is_listed_again(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("complete", Fault(status=400, code="InvalidPart"))

    assert store(hook, bucket, job_id).result == "stored"

    assert bucket.content() == archive.content
    assert (bucket.requests["create"], bucket.requests["part"], bucket.requests["list"]) == (1, 4, 1)


def test_a_simultaneous_request_begins_the_upload_anew(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("complete", Fault(status=409, code="ConditionalRequestConflict"))

    assert store(hook, bucket, job_id).result == "stored"

    assert bucket.content() == archive.content
    assert (bucket.requests["create"], bucket.uploads()) == (2, [])


def put(bucket: Bucket, content: bytes, **arguments: Any) -> None:
    bucket.client.put_object(Bucket="restored", Key="photos/photo.jpg", Body=content, **arguments)


def test_an_equal_object_is_found_and_another_one_is_an_error_that_names_both(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    put(bucket, archive.content)

    found = store(hook, bucket, job_id)

    assert (found.result, found.verified, ranges(local_aws)) == ("found", True, [])
    for other in (b"x", distinct_bytes(SIZE, seed=1)):
        put(bucket, other)
        with pytest.raises(TargetDiffers, match=rf"{len(other)} bytes.*{tree_hash(archive.content)}"):
            store(hook, bucket, job_id)
        assert bucket.content() == other
    assert store(hook, bucket, job_id, replace=True).result == "stored"
    assert bucket.content() == archive.content


@pytest.mark.parametrize("size", [PART - 1, SIZE])
@pytest.mark.parametrize("equal", [True, False])
def test_an_object_that_appears_meanwhile_is_not_replaced(
    hook: GlacierJobsHook,
    local_aws: Control,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    equal: bool,
) -> None:
    archive = upload(local_aws, distinct_bytes(size))
    appearing = archive.content if equal else distinct_bytes(size, seed=1)
    publish = s3_target.S3Target.publish

    def late(self: Any, *arguments: Any, **keywords: Any) -> Any:
        put(bucket, appearing)
        return publish(self, *arguments, **keywords)

    monkeypatch.setattr(s3_target.S3Target, "publish", late)
    job_id = archive.retrieve()

    if equal:
        assert store(hook, bucket, job_id).result == "found"
        assert (bucket.keys(), bucket.uploads()) == (["photos/photo.jpg"], [])
    else:
        with pytest.raises(TargetDiffers, match="Nothing was changed"):
            store(hook, bucket, job_id)
    assert bucket.content() == appearing


def test_an_object_that_cannot_be_read_is_an_error_and_not_restored(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    put(bucket, archive.content, StorageClass="DEEP_ARCHIVE")

    with pytest.raises(TargetNotReadable, match=r"storage class DEEP_ARCHIVE"):
        store(hook, bucket, job_id)

    assert "Restore" not in bucket.head()


def test_an_own_object_in_an_archive_class_is_found_by_its_checkpoint(
    hook: GlacierJobsHook, bucket: Bucket, job_id: str
) -> None:
    bucket.fail("DELETE checkpoint", Fault(status=403, code="AccessDenied"))
    assert store(hook, bucket, job_id, storage_class="DEEP_ARCHIVE").result == "stored"

    found = store(hook, bucket, job_id, storage_class="DEEP_ARCHIVE")

    assert (found.result, found.verified) == ("found", True)
    assert bucket.keys() == ["photos/photo.jpg"]


def test_an_own_object_in_an_archive_class_is_found_by_its_metadata_and_another_one_is_not_read(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket
) -> None:
    archive = upload(local_aws, distinct_bytes(MEBIBYTE))
    job_id = archive.retrieve()
    store(hook, bucket, job_id, storage_class="DEEP_ARCHIVE")

    assert store(hook, bucket, job_id, storage_class="DEEP_ARCHIVE").result == "found"

    hashed = {"glacier-sha256-tree-hash": tree_hash(archive.content)}
    put(bucket, archive.content, StorageClass="DEEP_ARCHIVE", Metadata=hashed)
    with pytest.raises(TargetNotReadable):
        store(hook, bucket, job_id)
    put(bucket, archive.content, StorageClass="DEEP_ARCHIVE", Metadata={**hashed, "glacier-jobs-upload": "token"})
    other = upload(local_aws, distinct_bytes(MEBIBYTE, seed=1))
    with pytest.raises(TargetDiffers, match=tree_hash(archive.content)):
        store(hook, bucket, other.retrieve())


def test_a_repeated_replacement_finds_its_own_object_and_replaces_one_that_is_stored_otherwise(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket
) -> None:
    job_id = upload(local_aws, distinct_bytes(MEBIBYTE)).retrieve()
    assert store(hook, bucket, job_id, replace=True).result == "stored"
    local_aws.reset_calls()

    assert store(hook, bucket, job_id, replace=True).result == "found"

    assert ranges(local_aws) == []
    assert store(hook, bucket, job_id, replace=True, storage_class="DEEP_ARCHIVE").result == "stored"
    assert store(hook, bucket, job_id, replace=True).result == "stored"
    assert store(hook, bucket, job_id, replace=True, kms_key_id="0a1b").result == "stored"
    assert store(hook, bucket, job_id, replace=True, kms_key_id="0a1b").result == "found"


def test_an_object_that_is_stored_otherwise_is_found_and_both_ways_are_logged(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = upload(local_aws, distinct_bytes(MEBIBYTE)).retrieve()
    store(hook, bucket, job_id)

    found = store(hook, bucket, job_id, storage_class="STANDARD_IA", kms_key_id="0a1b")

    assert found.result == "found"
    assert "the storage class STANDARD, not STANDARD_IA" in caplog.text
    assert "the KMS key None, not 0a1b" in caplog.text
    caplog.clear()
    store(hook, bucket, job_id, storage_class="STANDARD")
    assert "not changed" not in caplog.text


@pytest.fixture
def two_parts(local_aws: Control) -> Archive:
    return upload(local_aws, distinct_bytes(PART + 1))


def interrupt(hook: GlacierJobsHook, bucket: Bucket, job_id: str) -> None:
    """Store the first part of an output, and fail."""
    bucket.fail("part", Fault(status=500), skip=1)
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    bucket.fail("nothing", Fault())


def test_an_upload_with_other_options_is_aborted_and_begun_anew(
    hook: GlacierJobsHook, bucket: Bucket, two_parts: Archive
) -> None:
    job_id = two_parts.retrieve()
    interrupt(hook, bucket, job_id)

    store(hook, bucket, job_id, storage_class="STANDARD_IA")

    assert (bucket.content(), bucket.head()["StorageClass"]) == (two_parts.content, "STANDARD_IA")
    assert (bucket.keys(), bucket.uploads()) == (["photos/photo.jpg"], [])


def test_a_checkpoint_of_a_gone_upload_that_may_not_be_deleted_is_an_error_that_says_so(
    hook: GlacierJobsHook, bucket: Bucket, two_parts: Archive
) -> None:
    job_id = two_parts.retrieve()
    interrupt(hook, bucket, job_id)
    (upload_id,) = bucket.uploads()
    bucket.client.abort_multipart_upload(Bucket="restored", Key="photos/photo.jpg", UploadId=upload_id)
    bucket.fail("DELETE checkpoint", Fault(status=403, code="AccessDenied"))

    with pytest.raises(AccessDenied, match=r"Delete s3://restored/photos/\.retrieving/"):
        store(hook, bucket, job_id)


def test_the_upload_of_another_process_is_kept_where_an_equal_object_is_found(
    hook: GlacierJobsHook, bucket: Bucket, two_parts: Archive
) -> None:
    job_id = two_parts.retrieve()
    interrupt(hook, bucket, job_id)
    put(bucket, two_parts.content)

    assert store(hook, bucket, job_id).result == "found"

    assert len(bucket.uploads()) == 1
    assert len(bucket.keys()) == 2


def test_a_checkpoint_that_names_the_upload_of_another_process_is_kept(
    hook: GlacierJobsHook, bucket: Bucket, two_parts: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = s3_target.S3Target.publish

    def late(self: Any, *arguments: Any, **keywords: Any) -> Any:
        (key,) = bucket.keys()
        body = json.dumps({"upload_id": "other", "token": "other", "of_object": {}}).encode()
        bucket.client.put_object(Bucket="restored", Key=key, Body=body)
        return publish(self, *arguments, **keywords)

    monkeypatch.setattr(s3_target.S3Target, "publish", late)

    assert store(hook, bucket, two_parts.retrieve()).result == "stored"

    assert len(bucket.keys()) == 2


def test_an_object_that_is_replaced_while_it_is_compared_is_left_to_a_retry(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket
) -> None:
    archive = upload(local_aws, distinct_bytes(MEBIBYTE))
    put(bucket, archive.content)
    bucket.fail("GET", Fault(status=412, code="PreconditionFailed"))

    with pytest.raises(ServiceUnavailable, match="was replaced while it was compared"):
        store(hook, bucket, archive.retrieve())


def test_a_later_try_uploads_only_what_is_missing(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("part", Fault(status=500), skip=3)
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    local_aws.reset_calls()

    store(hook, bucket, job_id)

    assert bucket.content() == archive.content
    # The tree hashes of the parts 1 and 2 together and of part 3, and the bytes of part 4.
    first, second, missing = f"0-{2 * PART - 1}", f"{2 * PART}-{3 * PART - 1}", f"{3 * PART}-{SIZE - 1}"
    assert ranges(local_aws) == [f"bytes={span}" for span in (first, second, missing)]


def test_a_listed_part_of_another_size_is_uploaded_again(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("part", Fault(status=500), skip=3)
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    (upload_id,) = bucket.uploads()
    bucket.client.upload_part(
        Bucket="restored", Key="photos/photo.jpg", UploadId=upload_id, PartNumber=2, Body=b"x" * 6 * MEBIBYTE
    )

    store(hook, bucket, job_id)

    assert bucket.content() == archive.content


def test_the_checkpoint_says_which_upload_of_which_output_it_is(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    bucket.fail("part", Fault(status=500), skip=3)
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    (key,) = bucket.keys()
    checkpoint = json.loads(bucket.client.get_object(Bucket="restored", Key=key)["Body"].read())

    assert checkpoint["destination"] == "s3://restored/photos/photo.jpg"
    assert checkpoint["upload_id"] in bucket.uploads()
    assert checkpoint["output"]["archive_id"] == archive.archive_id
    assert checkpoint["output"]["size_in_bytes"] == SIZE


def test_something_else_in_place_of_the_checkpoint_is_an_error(
    hook: GlacierJobsHook, bucket: Bucket, job_id: str
) -> None:
    bucket.fail("part", Fault(status=500))
    with pytest.raises(ServiceUnavailable):
        store(hook, bucket, job_id, max_ranges=1)
    (key,) = bucket.keys()
    bucket.client.put_object(Bucket="restored", Key=key, Body=b"[]")

    with pytest.raises(MalformedAnswer, match=r"\.retrieving/.*delete it"):
        store(hook, bucket, job_id)


def test_an_expiry_in_mid_download_keeps_the_upload_and_a_new_job_continues(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    local_aws.hook("advance", {"seconds": 25 * 3600}, operation="GetJobOutput", skip=2, count=1)

    with pytest.raises(JobOutputExpired, match=rf"{2 * PART} of {SIZE} bytes .*s3://restored/photos/\.retrieving/"):
        store(hook, bucket, job_id, max_ranges=1)

    store(hook, bucket, archive.retrieve())
    assert bucket.content() == archive.content
    assert bucket.requests["part"] == 4


def test_a_range_that_is_not_aligned_and_an_inventory_are_stored_too(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive
) -> None:
    job_id = archive.retrieve(RetrievalByteRange=f"{3 * MEBIBYTE}-{21 * MEBIBYTE - 1}")

    stored = store(hook, bucket, job_id)

    expected = archive.content[3 * MEBIBYTE : 21 * MEBIBYTE]
    assert bucket.content() == expected
    assert (stored.sha256_tree_hash, stored.verified) == (tree_hash(expected), True)

    local_aws.add_jobs("photos", [{"JobId": "i", "StatusCode": "Succeeded", "InventorySizeInBytes": 0}])
    with hook.open_job_output("photos", "i") as output:
        size = output.total_size_in_bytes
    local_aws.add_jobs("photos", [{"JobId": "i", "StatusCode": "Succeeded", "InventorySizeInBytes": size}])
    stored = store(hook, bucket, "i", replace=True)
    assert bucket.content().startswith(b'{"VaultARN"')
    assert (stored.size_in_bytes, stored.verified) == (size, False)


@pytest.fixture
def large_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts of 8 MiB count as too large for the memory, so that they are uploaded piece by piece of 4 MiB."""
    monkeypatch.setattr(s3_target, "LARGEST_PIECE_BYTES", 4 * MEBIBYTE)
    monkeypatch.setattr(s3_target, "STREAMED_PIECE_BYTES", 4 * MEBIBYTE)


@pytest.mark.usefixtures("large_parts")
def test_a_large_part_is_uploaded_piece_by_piece(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    local_aws.fault("corrupted_body", position=5, skip=3, count=1)

    stored = store(hook, bucket, job_id)

    assert bucket.content() == archive.content
    assert (stored.sha256_tree_hash, stored.verified) == (tree_hash(archive.content), True)
    assert f"bytes={4 * MEBIBYTE}-{8 * MEBIBYTE - 1}" in ranges(local_aws)


@pytest.mark.usefixtures("large_parts", "no_backoff")
def test_a_wrong_piece_of_a_large_part_is_an_error_of_the_output_and_not_of_s3(
    hook: GlacierJobsHook, local_aws: Control, bucket: Bucket, job_id: str
) -> None:
    local_aws.fault("corrupted_body", position=0, skip=1)

    with pytest.raises(TreeHashMismatch, match="bytes 0 to"):
        store(hook, bucket, job_id, max_ranges=1)


@pytest.mark.usefixtures("large_parts", "no_backoff")
def test_a_large_part_that_s3_refuses_is_fetched_again(
    hook: GlacierJobsHook, connect: Connect, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    connect(bucket.conn_id, endpoint_url=bucket.proxy.endpoint, attempts=3)
    bucket.fail("part", Fault(status=500), skip=1)

    store(hook, bucket, job_id)

    assert bucket.content() == archive.content


CHILD = """
import os, signal, sys
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.s3_target import ObjectOptions, S3Target
from glacier_jobs.retrieval.source import job_source

job_id, uri, method, when, count = sys.argv[1:]
original, calls = S3Target.call, []

def dying(self, called, **arguments):
    if called == method and "retrieving" not in arguments.get("Key", ""):
        calls.append(called)
        if when == "before" and len(calls) >= int(count):
            os.kill(os.getpid(), signal.SIGKILL)
    answer = original(self, called, **arguments)
    if when == "after" and len(calls) >= int(count) and called == method:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

S3Target.call = dying
hook = GlacierJobsHook(aws_conn_id="local_aws")
target = open_target(uri, dest_aws_conn_id=None, options=ObjectOptions(), max_requests=2)
store_output(job_source(hook, "photos", job_id, "-"), target, uri, replace=False, max_ranges=2)
"""


@pytest.mark.parametrize(
    ("method", "when", "count"),
    [
        ("create_multipart_upload", "after", 1),
        ("upload_part", "before", 1),
        ("upload_part", "after", 2),
        ("upload_part", "after", 4),
        ("complete_multipart_upload", "before", 1),
        ("complete_multipart_upload", "after", 1),
    ],
)
def test_a_killed_process_costs_at_most_the_ranges_under_way(
    hook: GlacierJobsHook,
    local_aws: Control,
    bucket: Bucket,
    archive: Archive,
    job_id: str,
    method: str,
    when: str,
    count: int,
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}

    killed = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", CHILD, job_id, bucket.uri, method, when, str(count)],
        env=environment,
        capture_output=True,
        check=False,
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    stored = store(hook, bucket, job_id, max_ranges=2)
    assert bucket.content() == archive.content
    assert stored.sha256_tree_hash == tree_hash(archive.content)
    assert bucket.requests["part"] <= 4 + 2
    assert bucket.keys() == ["photos/photo.jpg"]


def test_two_at_once_both_end_with_the_same_object(
    hook: GlacierJobsHook, bucket: Bucket, archive: Archive, job_id: str
) -> None:
    script = CHILD.replace("S3Target.call = dying\n", "")
    command = [sys.executable, "-c", script, job_id, bucket.uri, "", "", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603 - our own command
        for _ in range(2)
    ]

    errors = [process.communicate(timeout=120)[1].decode() for process in processes]

    assert [process.returncode for process in processes] == [0, 0], errors
    assert bucket.content() == archive.content
    assert bucket.keys() == ["photos/photo.jpg"]
