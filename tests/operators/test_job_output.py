from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.sdk import DAG, task

from glacier_jobs.errors import ServiceUnavailable
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators import GlacierJobOutputToObjectStorageOperator
from local_aws.client import Control
from tests.conftest import Connect
from tests.retrieval.outputs import MEBIBYTE, Archive, distinct_bytes, tree_hash, upload
from tests.versions import AirflowFailException, DagSerialization

CONTEXT: Any = {}


@pytest.fixture
def archive(local_aws: Control) -> Archive:
    return upload(local_aws, distinct_bytes(MEBIBYTE + 1))


def operator(connect: Connect, tmp_path: Path, **arguments: Any) -> GlacierJobOutputToObjectStorageOperator:
    defaults = {
        "task_id": "store",
        "vault_name": "photos",
        "destination_uri": f"file://{tmp_path}/photo.jpg",
        "aws_conn_id": connect(),
    }
    return GlacierJobOutputToObjectStorageOperator(**{**defaults, **arguments})


def test_it_returns_what_it_stored_as_a_small_xcom(connect: Connect, archive: Archive, tmp_path: Path) -> None:
    job_id = archive.retrieve()

    xcom = operator(connect, tmp_path, job_id=job_id).execute(CONTEXT)

    assert xcom == {
        "destination_uri": f"file://{tmp_path}/photo.jpg",
        "size_in_bytes": MEBIBYTE + 1,
        "sha256_tree_hash": tree_hash(archive.content),
        "verified": True,
        "result": "stored",
        "vault_name": "photos",
        "job_id": job_id,
        "archive_id": archive.archive_id,
        "etag": None,
        "version_id": None,
    }
    assert json.loads(json.dumps(xcom)) == xcom
    assert (tmp_path / "photo.jpg").read_bytes() == archive.content


def test_a_retry_finds_what_an_earlier_try_stored(connect: Connect, archive: Archive, tmp_path: Path) -> None:
    task = operator(connect, tmp_path, job_id=archive.retrieve())

    first, second = task.execute(CONTEXT), task.execute(CONTEXT)

    assert second == {**first, "result": "found"}


@pytest.mark.parametrize("as_text", [False, True])
def test_the_job_may_be_given_as_its_description(
    connect: Connect, archive: Archive, tmp_path: Path, as_text: bool
) -> None:
    job = GlacierJobsHook(aws_conn_id=connect()).get_job("photos", archive.retrieve())

    xcom = operator(connect, tmp_path, job_id=str(job) if as_text else job).execute(CONTEXT)

    assert xcom["job_id"] == job["JobId"]


@pytest.mark.parametrize("by_uri", [True, False])
def test_it_stores_on_s3_through_another_connection(
    connect: Connect, archive: Archive, local_aws: Control, tmp_path: Path, by_uri: bool
) -> None:
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="restored")
    conn_id = connect("bucket_owner")
    user = f"{conn_id}@" if by_uri else ""
    uri = f"s3://{user}restored/photos/photo.jpg"
    options = {} if by_uri else {"dest_aws_conn_id": conn_id}

    xcom = operator(
        connect, tmp_path, job_id=archive.retrieve(), destination_uri=uri, storage_class="STANDARD_IA", **options
    ).execute(CONTEXT)

    stored = s3.get_object(Bucket="restored", Key="photos/photo.jpg")
    assert stored["Body"].read() == archive.content
    assert (xcom["destination_uri"], xcom["etag"], stored["StorageClass"]) == (uri, stored["ETag"], "STANDARD_IA")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vault_name": "a/b"}, "vault_name is 'a/b'"),
        ({"vault_name": "nowhere"}, "nowhere"),
        ({"job_id": ["a", "b"]}, "job_id has 2 ids"),
        ({"job_id": ""}, "job_id"),
        ({"job_id": "None"}, "job_id is 'None'"),
        ({"job_id": "unknown"}, "Job unknown of vault photos.*initiate a new job"),
        ({"job_id": "open"}, "job open of vault photos.*GlacierJobSensor"),
        ({"job_id": "failed"}, "job failed of vault photos.*the archive was deleted"),
        ({"account_id": "42"}, "12 digits"),
        ({"max_ranges": 0}, "max_ranges is 0"),
        ({"max_ranges": "8"}, "max_ranges is '8'"),
        ({"replace": "maybe"}, "replace is 'maybe'"),
        ({"destination_uri": "file:///x/"}, "ends with '/'"),
        ({"destination_uri": "file:///x/../y"}, "contains '..'"),
        ({"destination_uri": "file:///x/y", "storage_class": "STANDARD_IA"}, "storage_class"),
        ({"destination_uri": "gs://bucket/key"}, "scheme 'gs'"),
        ({"destination_uri": "s3://bucket"}, "no key"),
        ({"destination_uri": "s3://bucket/" + "k" * 1025}, "1024 bytes"),
        ({"destination_uri": "s3://nobody@bucket/key"}, "connection in destination_uri does not exist"),
        ({"destination_uri": "s3://bucket/key", "dest_aws_conn_id": "nobody"}, "connection in dest_aws_conn_id does"),
        ({"destination_uri": "s3://local_aws@bucket/key", "dest_aws_conn_id": "nobody"}, "another Airflow connection"),
        ({"aws_conn_id": "nobody"}, "'nobody' does not exist"),
    ],
)
def test_an_error_that_a_retry_cannot_fix_fails_at_once(
    connect: Connect, local_aws: Control, archive: Archive, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    failed = {"JobId": "failed", "StatusCode": "Failed", "StatusMessage": "the archive was deleted"}
    local_aws.add_jobs("photos", [{"JobId": "open"}, failed])

    with pytest.raises(AirflowFailException, match=message):
        operator(connect, tmp_path, **{"job_id": archive.retrieve(), **arguments}).execute(CONTEXT)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_backoff")
def test_an_error_that_a_retry_may_fix_is_left_to_airflow(
    connect: Connect, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    task = operator(connect, tmp_path, job_id=archive.retrieve())
    fault = local_aws.fault("service_unavailable", operation="GetJobOutput")

    with pytest.raises(ServiceUnavailable):
        task.execute(CONTEXT)

    local_aws.remove_fault(fault)
    assert task.execute(CONTEXT)["result"] == "stored"


def test_replace_may_be_rendered_to_text(connect: Connect, archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"old")

    assert operator(connect, tmp_path, job_id=archive.retrieve(), replace="True").execute(CONTEXT)["result"] == "stored"


def test_a_uri_that_may_hold_a_secret_is_refused_when_the_dag_is_parsed(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException) as caught:
        operator(connect, tmp_path, job_id="j", destination_uri="s3://AKIAIOSFODNN7EXAMPLE:secret@bucket/key")

    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["file:///data/photos/", "file:///data/../x", "file:///data/./x", "gs://bucket/key", "s3://bucket"]
)
def test_a_destination_that_can_never_be_stored_is_refused_when_the_dag_is_parsed(
    connect: Connect, tmp_path: Path, uri: str
) -> None:
    with pytest.raises(AirflowFailException, match="destination_uri"):
        operator(connect, tmp_path, job_id="j", destination_uri=uri)


def test_the_region_and_the_botocore_settings_reach_the_client(connect: Connect, tmp_path: Path) -> None:
    task = operator(
        connect,
        tmp_path,
        job_id="j",
        region_name="eu-west-1",
        verify=False,
        botocore_config={"read_timeout": 7},
        max_ranges=33,
    )

    client: Any = task.hook.get_conn()
    assert client.meta.region_name == "eu-west-1"
    assert (client.meta.config.read_timeout, client.meta.config.max_pool_connections) == (7, 33)
    assert task.hook.verify is False


def test_a_misspelt_or_discarded_keyword_is_refused(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="region_name"):
        operator(connect, tmp_path, job_id="j", region="eu-west-1")
    with pytest.raises(TypeError, match="uri"):
        operator(connect, tmp_path, job_id="j", uri="file:///x")


def test_it_survives_serialization_with_each_template_field_and_takes_an_upstream_tasks_result() -> None:
    with DAG("restore", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:

        @task
        def start() -> str:
            return "j"

        GlacierJobOutputToObjectStorageOperator(
            task_id="store",
            vault_name="{{ params.vault }}",
            job_id=start(),
            destination_uri="file:///data/{{ params.name }}",
            replace="{{ params.replace }}",
        )

    serialized = json.loads(json.dumps(DagSerialization.serialize_dag(dag)))

    store = next(each["__var"] for each in serialized["tasks"] if each["__var"]["task_id"] == "store")
    assert set(store["template_fields"]) == set(GlacierJobOutputToObjectStorageOperator.template_fields)
    assert store["destination_uri"] == "file:///data/{{ params.name }}"
    assert dag.get_task("store").upstream_task_ids == {"start"}
