from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.utils import calculate_tree_hash

from glacier_jobs.errors import (
    FinalError,
    InvalidArgument,
    JobFailed,
    JobNotFound,
    JobOutputExpired,
    JobOutputNotReady,
    MalformedAnswer,
    RequestRefused,
    ServiceUnavailable,
    VaultNotFound,
)
from glacier_jobs.glacier.client import RetryPolicy
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from tests.conftest import Connect

MEBIBYTE = 1024 * 1024
SIZE = 3 * MEBIBYTE + 5
CONTENT = bytes(number * number % 251 for number in range(SIZE))
ONCE = RetryPolicy(attempts=1, seconds=0.0, answer_timeout_seconds=1.0)


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect())


@pytest.fixture
def job_id(local_aws: Control) -> str:
    """A succeeded job whose output is ``CONTENT``."""
    return retrieve(local_aws)


def retrieve(local_aws: Control, content: bytes = CONTENT, **parameters: Any) -> str:
    glacier: Any = boto3.client("glacier", **local_aws.boto3_arguments())
    local_aws.add_vaults("photos")
    archive_id = glacier.upload_archive(vaultName="photos", archiveDescription="a photo", body=content)["archiveId"]
    job_parameters = {"Type": "archive-retrieval", "ArchiveId": archive_id, "Tier": "Expedited", **parameters}
    job_id: str = glacier.initiate_job(vaultName="photos", jobParameters=job_parameters)["jobId"]
    local_aws.advance(180)
    return job_id


def ranges(local_aws: Control) -> list[str | None]:
    return [request["range"] for request in local_aws.requests("GetJobOutput")]


def test_the_whole_output_is_read_as_a_stream(hook: GlacierJobsHook, job_id: str) -> None:
    with hook.open_job_output("photos", job_id) as output:
        first, second, rest = output.read(10), output.read(2 * MEBIBYTE), output.read()
        at_the_end = output.read(10)

    assert first + second + rest == CONTENT
    assert (len(first), len(second), at_the_end) == (10, 2 * MEBIBYTE, b"")
    assert (output.size_in_bytes, output.total_size_in_bytes) == (SIZE, SIZE)
    assert output.sha256_tree_hash == calculate_tree_hash(io.BytesIO(CONTENT))  # type: ignore[arg-type]  # needs no fileno
    assert (output.archive_description, output.content_type) == ("a photo", "application/octet-stream")


def test_a_range_says_its_size_and_that_of_the_whole(hook: GlacierJobsHook, job_id: str) -> None:
    with hook.open_job_output("photos", job_id, MEBIBYTE, 2 * MEBIBYTE - 1) as output:
        body = output.read()

    assert body == CONTENT[MEBIBYTE : 2 * MEBIBYTE]
    assert (output.size_in_bytes, output.total_size_in_bytes) == (MEBIBYTE, SIZE)
    assert output.sha256_tree_hash == calculate_tree_hash(io.BytesIO(body))  # type: ignore[arg-type]  # needs no fileno


def test_a_range_that_is_the_whole_output_may_be_answered_as_the_whole_and_no_other(
    hook: GlacierJobsHook, local_aws: Control, job_id: str
) -> None:
    local_aws.fault("ignored_range")

    with hook.open_job_output("photos", job_id, 0, SIZE - 1) as output:
        assert output.read() == CONTENT
    for start, end in ((0, SIZE - 2), (1, SIZE - 1)):
        with pytest.raises(MalformedAnswer, match="A proxy may remove the header Range"):
            hook.open_job_output("photos", job_id, start, end)


def test_a_range_that_is_not_aligned_has_no_tree_hash_and_ends_with_the_output(
    hook: GlacierJobsHook, job_id: str
) -> None:
    with hook.open_job_output("photos", job_id, SIZE - 7, SIZE + 100) as output:
        assert output.read() == CONTENT[-7:]

    assert output.sha256_tree_hash is None


def test_the_stream_can_be_wrapped_as_text(hook: GlacierJobsHook, local_aws: Control) -> None:
    job_id = retrieve(local_aws, b"one\ntwo\n")

    with hook.open_job_output("photos", job_id) as output:
        assert list(io.TextIOWrapper(io.BufferedReader(output))) == ["one\n", "two\n"]


@pytest.mark.parametrize(
    ("vault_name", "job_id", "start", "end"),
    [
        ("a/b", "j", None, None),
        ("photos", "", None, None),
        ("photos", None, None, None),
        ("photos", "j", 5, None),
        ("photos", "j", None, 5),
        ("photos", "j", 5, 4),
        ("photos", "j", -1, 4),
        ("photos", "j", False, 4),
        ("photos", "j", "0", "4"),
    ],
)
def test_a_wrong_argument_is_refused_without_a_request(
    hook: GlacierJobsHook, local_aws: Control, vault_name: Any, job_id: Any, start: Any, end: Any
) -> None:
    with pytest.raises(InvalidArgument):
        hook.open_job_output(vault_name, job_id, start, end)

    assert local_aws.calls().total == 0


def test_a_body_that_is_cut_is_an_error_and_never_the_end_of_the_stream(
    hook: GlacierJobsHook, local_aws: Control, job_id: str
) -> None:
    local_aws.fault("cut_body", position=2 * MEBIBYTE)

    with hook.open_job_output("photos", job_id) as output:
        begin = output.read(2 * MEBIBYTE)
        with pytest.raises(ServiceUnavailable, match=f"job {job_id} of vault photos"):
            output.read(MEBIBYTE)

    assert begin == CONTENT[: 2 * MEBIBYTE]


def test_a_body_that_drips_is_an_error_at_its_deadline(connect: Connect, local_aws: Control, job_id: str) -> None:
    local_aws.fault("dripping_body", operation="GetJobOutput", seconds=0.01)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=ONCE)

    began = time.monotonic()
    with (
        hook.open_job_output("photos", job_id) as output,
        pytest.raises(ServiceUnavailable, match="was not complete after 1 s"),
    ):
        output.read()

    assert time.monotonic() - began < 10


def test_a_body_that_stalls_ends_with_the_read_timeout(connect: Connect, local_aws: Control, job_id: str) -> None:
    local_aws.fault("dripping_body", operation="GetJobOutput", seconds=30)
    hook = GlacierJobsHook(aws_conn_id=connect(), config={"read_timeout": 1, "retries": {"total_max_attempts": 1}})

    with (
        hook.open_job_output("photos", job_id) as output,
        pytest.raises(ServiceUnavailable, match="Read timeout"),
    ):
        output.read()


def test_the_output_of_a_job_in_progress_says_to_wait(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "j"}])

    with pytest.raises(JobOutputNotReady, match=r"job j of vault photos .* InProgress.*GlacierJobSensor") as caught:
        hook.open_job_output("photos", "j")

    assert isinstance(caught.value, FinalError)


def test_a_failed_job_gives_the_reason_of_aws(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "j", "StatusCode": "Failed", "StatusMessage": "the archive was deleted"}])

    with pytest.raises(JobFailed, match=r"job j of vault photos .*the archive was deleted.*initiate a new job"):
        hook.open_job_output("photos", "j")


def test_an_expired_job_says_how_long_outputs_are_kept(hook: GlacierJobsHook, local_aws: Control, job_id: str) -> None:
    local_aws.advance(25 * 3600)

    with pytest.raises(JobOutputExpired, match=r"job .* of vault photos .*Initiate a new job.*24 hours") as caught:
        hook.open_job_output("photos", job_id)

    assert job_id in str(caught.value)
    assert isinstance(caught.value, JobNotFound)


def test_an_unknown_vault_is_not_taken_for_an_expired_job(hook: GlacierJobsHook) -> None:
    with pytest.raises(VaultNotFound, match="photos"):
        hook.open_job_output("photos", "j")


def test_a_select_job_says_where_its_output_is(hook: GlacierJobsHook, local_aws: Control) -> None:
    job = {"Action": "Select", "StatusCode": "Succeeded", "JobOutputPath": "answers/7", "ArchiveId": "a"}
    local_aws.add_jobs("photos", [{**job, "JobId": "j"}])

    with pytest.raises(RequestRefused, match=r"select job, whose output is on S3 .answers/7"):
        hook.open_job_output("photos", "j")


def test_an_output_that_may_be_read_but_not_described_keeps_the_error_of_aws(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "j"}])
    local_aws.fault("access_denied", operation="DescribeJob")

    with pytest.raises(RequestRefused, match="not currently available for download"):
        hook.open_job_output("photos", "j")


@pytest.mark.usefixtures("no_backoff")
def test_a_throttled_request_is_repeated(connect: Connect, local_aws: Control, job_id: str) -> None:
    local_aws.fault("throttling", operation="GetJobOutput", count=2)

    with GlacierJobsHook(aws_conn_id=connect()).open_job_output("photos", job_id) as output:
        assert output.read() == CONTENT


def test_a_closed_stream_cannot_be_read(hook: GlacierJobsHook, job_id: str) -> None:
    output = hook.open_job_output("photos", job_id)
    output.close()

    with pytest.raises(ValueError, match="closed"):
        output.read(1)


@pytest.mark.usefixtures("no_backoff")
def test_a_long_read_continues_where_the_connection_was_dropped(
    hook: GlacierJobsHook, local_aws: Control, job_id: str
) -> None:
    local_aws.fault("cut_body", position=MEBIBYTE, count=3)
    local_aws.fault("service_unavailable", operation="GetJobOutput", skip=1, count=1)

    with hook.open_resuming_job_output("photos", job_id) as output:
        parts = list(iter(lambda: output.read(100_000), b""))

    assert b"".join(parts) == CONTENT
    assert {len(part) for part in parts[:-1]} == {100_000}
    assert ranges(local_aws)[0] is None
    assert ranges(local_aws)[-1] == f"bytes={2 * MEBIBYTE}-{SIZE - 1}"
    assert output.total_size_in_bytes == SIZE


@pytest.mark.usefixtures("no_backoff")
def test_a_connection_that_is_dropped_without_any_progress_is_an_error_in_the_end(
    connect: Connect, local_aws: Control, job_id: str
) -> None:
    local_aws.fault("cut_body", position=0)
    policy = RetryPolicy(attempts=3, seconds=0.0)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=policy)

    with (
        hook.open_resuming_job_output("photos", job_id) as output,
        pytest.raises(ServiceUnavailable, match=f"job {job_id}"),
    ):
        output.read()

    assert len(ranges(local_aws)) == 3


@pytest.mark.usefixtures("no_backoff")
def test_an_output_whose_size_changes_is_an_error(hook: GlacierJobsHook, local_aws: Control) -> None:
    job = {"Action": "ArchiveRetrieval", "ArchiveId": "a", "StatusCode": "Succeeded", "JobId": "j"}
    local_aws.add_jobs("photos", [{**job, "ArchiveSizeInBytes": SIZE}])
    local_aws.fault("cut_body", position=MEBIBYTE, count=1)
    local_aws.hook(
        "add_jobs",
        {"vault_name": "photos", "jobs": [{**job, "ArchiveSizeInBytes": SIZE + 1}]},
        operation="GetJobOutput",
        count=1,
    )

    with (
        hook.open_resuming_job_output("photos", "j") as output,
        pytest.raises(MalformedAnswer, match=f"{SIZE + 1} bytes now, and had {SIZE}"),
    ):
        output.read()


def test_the_output_of_an_inventory_has_no_tree_hash(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"Action": "InventoryRetrieval", "StatusCode": "Succeeded", "JobId": "j"}])

    with hook.open_resuming_job_output("photos", "j") as output:
        assert output.read().startswith(b'{"VaultARN"')

    assert (output.sha256_tree_hash, output.content_type) == (None, "application/json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": 200, "contentRange": None, "length": "11"}, "status 200 and Content-Range None"),
        ({"contentRange": "bytes 1-10/100"}, "Content-Range 'bytes 1-10/100' and 10 bytes"),
        ({"contentRange": "bytes 0-8/100"}, "expected the requested range"),
        ({"length": "11"}, "and 11 bytes"),
        ({"length": None}, "Content-Length is None"),
    ],
)
def test_an_answer_with_another_range_than_requested_is_malformed(
    hook: GlacierJobsHook, local_aws: Control, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    given = {"status": 206, "contentRange": "bytes 0-9/100", "length": "10", **change}
    closed: list[bool] = []
    answer = {
        "status": given["status"],
        "contentRange": given["contentRange"],
        "body": type("Body", (), {"close": lambda self: closed.append(True)})(),
        "ResponseMetadata": {"HTTPHeaders": {} if given["length"] is None else {"content-length": given["length"]}},
    }
    client: Any = hook.get_conn()
    answering: Callable[..., Any] = lambda **_: answer  # noqa: E731 - a type for the lambda
    monkeypatch.setattr(client, "get_job_output", answering)

    with pytest.raises(MalformedAnswer, match=message):
        hook.open_job_output("photos", "j", 0, 9)

    assert closed == [True]
