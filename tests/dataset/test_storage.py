"""The opening of stores, whose credentials can be away."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import boto3
import pytest

from glacier_jobs.dataset.storage import open_dataset, open_location
from glacier_jobs.errors import CredentialsUnavailable, ServiceUnavailable
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.waiting.job_ids import awaited_ids
from glacier_jobs.waiting.outcome_file import check_outcome_uri, write_outcomes
from glacier_jobs.waiting.state import Wait
from local_aws.client import Control
from local_aws.faulty_proxy import Fault
from tests.conftest import Connect, IdsOnS3
from tests.credential_source import CredentialProcess, CredentialSource
from tests.operators.test_snapshot import CONTEXT
from tests.versions import GET_FS

USES: dict[str, Callable[[str], object]] = {
    "dataset": lambda uri: open_dataset(uri),
    "ids": lambda uri: awaited_ids(uri),
    "outcomes": lambda uri: check_outcome_uri(uri),
}

in_each_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def new_name() -> str:
    """Return the name of a connection whose file system Airflow has not cached yet."""
    return f"store_{secrets.token_hex(4)}"


@pytest.fixture
def bucket(local_aws: Control) -> str:
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="ids")
    s3.put_object(Bucket="ids", Key="today.txt", Body=b"a\nb\n")
    return "ids"


@in_each_use
def test_an_sts_that_does_not_answer_is_a_transient_error(
    use: Callable[[str], object], bucket: str, connect: Connect
) -> None:
    """The provider assumes the connection's role as soon as the store is opened."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]
    conn_id = connect(
        new_name(),
        attempts=1,
        role_arn="arn:aws:iam::123456789012:role/archive",
        service_config={"sts": {"endpoint_url": f"http://127.0.0.1:{closed_port}"}},
    )

    with pytest.raises(ServiceUnavailable, match=f"{closed_port}"):
        use(f"s3://{conn_id}@{bucket}/today.txt")


@in_each_use
def test_a_source_of_credentials_that_is_away_is_a_transient_error(
    use: Callable[[str], object], bucket: str, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    CredentialProcess(tmp_path, monkeypatch).breaks()
    conn_id = connect(new_name(), access_key=None, profile_name="archive")

    with pytest.raises(CredentialsUnavailable, match=r"credentials\.json"):
        use(f"s3://{conn_id}@{bucket}/today.txt")


def test_a_file_system_that_cannot_be_opened_now_is_a_transient_error(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_fs(*_: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(GET_FS, get_fs)

    with pytest.raises(ServiceUnavailable, match=r"dataset_uri is .*too many open files"):
        open_dataset(f"s3://{connect(new_name())}@bucket/root")


def write(uri: str) -> None:
    write_outcomes(uri, "photos", Wait.for_jobs(["a"], started_at=datetime.now(timezone.utc)))


def snapshot(uri: str) -> None:
    GlacierJobsToParquetOperator(task_id="keep", dataset_uri=uri, aws_conn_id="glacier").execute(CONTEXT)


DENIED: dict[str, Callable[[str], object]] = {
    "ids": lambda uri: awaited_ids(uri),
    "outcomes": write,
    "dataset": snapshot,
}


@pytest.fixture
def instance(connect: Connect, credentials: CredentialSource, monkeypatch: pytest.MonkeyPatch) -> str:
    """A connection whose credentials are those of an EC2 instance, whose metadata service is away."""
    credentials.serve_an_instance(monkeypatch)
    credentials.is_away()
    return connect(new_name(), access_key=None, attempts=1)


@pytest.mark.parametrize("use", DENIED.values(), ids=DENIED)
def test_a_denial_without_credentials_is_transient_and_the_next_attempt_has_them(
    use: Callable[[str], object], instance: str, connect: Connect, ids_on_s3: IdsOnS3, credentials: CredentialSource
) -> None:
    """Airflow uses S3 without credentials while the metadata service is away."""
    connect("glacier")
    connect(instance, access_key=None, attempts=1, endpoint_url=ids_on_s3.proxy.endpoint)
    uri = f"s3://{instance}@ids/today.txt"
    ids_on_s3.fail(Fault(status=403, code="AccessDenied"))
    with pytest.raises(CredentialsUnavailable, match=f"{uri}.*without credentials"):
        use(uri)
    ids_on_s3.fail(Fault(), count=0)
    credentials.is_away(count=0)

    filesystem, _ = open_location(uri, "x")

    assert not filesystem.anon
    use(uri)


def test_a_public_bucket_is_read_without_credentials(instance: str, bucket: str, local_aws: Control) -> None:
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.put_object(Bucket=bucket, Key="public.txt", Body=b"a\nb\n", ACL="public-read")

    assert awaited_ids(f"s3://{instance}@{bucket}/public.txt") == ("a", "b")


def test_a_file_system_with_credentials_is_opened_once(ids_on_s3: IdsOnS3) -> None:
    assert open_location(ids_on_s3.uri, "x")[0] is open_location(ids_on_s3.uri, "x")[0]
