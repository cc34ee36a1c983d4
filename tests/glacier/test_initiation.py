from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from glacier_jobs.errors import InvalidArgument, JobMayHaveStarted
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.hooks import GlacierJobsHook, RetryPolicy
from local_aws.client import Control
from tests.conftest import Connect

MEBIBYTE = 1024 * 1024
ARCHIVE: dict[str, Any] = {"vault_name": "photos", "job_type": "archive-retrieval", "archive_id": "a1"}
INVENTORY: dict[str, Any] = {"vault_name": "photos", "job_type": "inventory-retrieval"}
TOPIC = "arn:aws:sns:us-east-1:123456789012:restored"


@pytest.fixture
def hook(connect: Connect, local_aws: Control) -> GlacierJobsHook:
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"ArchiveId": "a1", "Size": 3 * MEBIBYTE + 5}])
    return GlacierJobsHook(aws_conn_id=connect(attempts=None))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (ARCHIVE, {"Type": "archive-retrieval", "ArchiveId": "a1"}),
        (
            {**ARCHIVE, "retrieval_byte_range": f"{MEBIBYTE}-{2 * MEBIBYTE - 1}", "tier": "Expedited"},
            {
                "Type": "archive-retrieval",
                "ArchiveId": "a1",
                "RetrievalByteRange": f"{MEBIBYTE}-{2 * MEBIBYTE - 1}",
                "Tier": "Expedited",
            },
        ),
        (
            {**INVENTORY, "description": "weekly", "sns_topic": TOPIC, "output_format": "CSV", "tier": "Bulk"},
            {
                "Type": "inventory-retrieval",
                "Description": "weekly",
                "SNSTopic": TOPIC,
                "Format": "CSV",
                "Tier": "Bulk",
            },
        ),
        (
            {
                **INVENTORY,
                "inventory_retrieval_parameters": {
                    "StartDate": datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
                    "EndDate": "2020-02-01",
                    "Limit": 10,
                    "Marker": None,
                },
            },
            {
                "Type": "inventory-retrieval",
                "InventoryRetrievalParameters": {
                    "StartDate": "2020-01-01T00:00:00Z",
                    "EndDate": "2020-02-01",
                    "Limit": "10",
                },
            },
        ),
    ],
)
def test_arguments_become_the_parameters_of_the_request(arguments: Any, expected: Any) -> None:
    assert JobRequest.checked(**arguments).parameters() == expected


def test_glacier_accepts_all_parameters(hook: GlacierJobsHook, local_aws: Control) -> None:
    archive = hook.initiate_job(
        "photos",
        "archive-retrieval",
        archive_id="a1",
        retrieval_byte_range=f"{2 * MEBIBYTE}-{3 * MEBIBYTE + 4}",
        tier="Expedited",
        description="d" * 1024,
        sns_topic=TOPIC,
    )
    inventory = hook.initiate_job(
        "photos",
        "inventory-retrieval",
        output_format="CSV",
        inventory_retrieval_parameters={"StartDate": "2020-01-01T00:00Z", "EndDate": "2020-01-02", "Limit": "5"},
        account_id="123456789012",
    )

    jobs = {job["JobId"]: job for job in hook.list_jobs("photos")}
    assert (jobs[archive]["RetrievalByteRange"], jobs[archive]["SNSTopic"]) == ("2097152-3145732", TOPIC)
    assert (jobs[archive]["Tier"], jobs[archive]["JobDescription"]) == ("Expedited", "d" * 1024)
    parameters = jobs[inventory]["InventoryRetrievalParameters"]
    assert (parameters["Format"], parameters["Limit"]) == ("CSV", "5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**ARCHIVE, "vault_name": "a/b"}, "vault_name is 'a/b'"),
        ({**ARCHIVE, "account_id": "42"}, "account_id is '42'"),
        ({**ARCHIVE, "job_type": "select"}, "allowed are archive-retrieval, inventory-retrieval"),
        ({**ARCHIVE, "archive_id": None}, "archive_id is None; expected the ID of an archive"),
        ({**ARCHIVE, "archive_id": "a b"}, "archive_id is 'a b'"),
        ({**ARCHIVE, "archive_id": ["a"]}, "archive_id"),
        ({**ARCHIVE, "tier": "bulk"}, "tier is 'bulk'; allowed are Expedited, Standard, Bulk"),
        ({**ARCHIVE, "output_format": "JSON"}, "output_format is 'JSON'; expected none for a job of the type archive"),
        ({**ARCHIVE, "inventory_retrieval_parameters": {"Limit": 1}}, "inventory_retrieval_parameters"),
        ({**ARCHIVE, "retrieval_byte_range": "0"}, "retrieval_byte_range is '0'"),
        ({**ARCHIVE, "retrieval_byte_range": "5-9"}, "a multiple of 1048576"),
        ({**ARCHIVE, "retrieval_byte_range": "1048576-0"}, "retrieval_byte_range"),
        ({**ARCHIVE, "retrieval_byte_range": "\u0660-\u0669"}, "retrieval_byte_range"),
        ({**ARCHIVE, "description": "d" * 1025}, "description is 1025 characters; allowed are up to 1024"),
        ({**ARCHIVE, "description": "café"}, "printable ASCII"),
        ({**ARCHIVE, "description": "a\nb"}, "printable ASCII"),
        ({**ARCHIVE, "description": 7}, "description is 7"),
        ({**ARCHIVE, "sns_topic": "restored"}, "expected the ARN of an SNS topic"),
        ({**INVENTORY, "archive_id": "a1"}, "archive_id is 'a1'; expected none for a job of the type inventory"),
        ({**INVENTORY, "retrieval_byte_range": "0-1"}, "retrieval_byte_range is '0-1'; expected none"),
        ({**INVENTORY, "output_format": "XML"}, "output_format is 'XML'; allowed are JSON, CSV"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"limit": 1}}, "StartDate, EndDate, Limit, Marker"),
        ({**INVENTORY, "inventory_retrieval_parameters": "all"}, "inventory_retrieval_parameters is 'all'"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"Limit": 0}}, "'Limit'. is 0"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"Limit": True}}, "'Limit'. is True"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"Marker": ""}}, "'Marker'. is ''"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"StartDate": "today"}}, "'StartDate'. is 'today'"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"StartDate": "2020-02-30"}}, "2020-02-30"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"EndDate": "2020-01-01T00:00:00"}}, "with time zone"),
        ({**INVENTORY, "inventory_retrieval_parameters": {"EndDate": datetime(2020, 1, 1)}}, "EndDate"),  # noqa: DTZ001
        (
            {**INVENTORY, "inventory_retrieval_parameters": {"StartDate": "2020-01-02", "EndDate": "2020-01-02"}},
            "StartDate is 2020-01-02, which is not before EndDate",
        ),
    ],
)
def test_an_argument_that_glacier_would_refuse_is_refused_before_the_request(
    arguments: dict[str, Any], message: str, hook: GlacierJobsHook, local_aws: Control
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        hook.initiate_job(**arguments)

    assert local_aws.calls().total == 0


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("dropped_connection", {"after_effect": True}),
        ("dropped_connection", {}),
        ("service_unavailable", {}),
        ("request_timeout", {}),
        ("not_json", {}),
    ],
)
def test_a_request_without_an_answer_is_not_repeated(
    kind: str, arguments: dict[str, Any], hook: GlacierJobsHook, local_aws: Control
) -> None:
    local_aws.fault(kind, operation="InitiateJob", **arguments)

    with pytest.raises(JobMayHaveStarted, match=r"Initiate Job for inventory in vault photos in us-east-1: .*may have"):
        hook.initiate_job("photos", "inventory-retrieval")

    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_an_answer_that_comes_too_late_is_not_repeated(connect: Connect, local_aws: Control) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault("latency", operation="InitiateJob", seconds=5)
    settings = {"read_timeout": 1, "retries": {"total_max_attempts": 9}}
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None, config_kwargs=settings))

    with pytest.raises(JobMayHaveStarted, match="Read timeout"):
        hook.initiate_job("photos", "inventory-retrieval")

    assert local_aws.calls().by_operation["InitiateJob"] == 1


@pytest.mark.usefixtures("no_backoff")
def test_an_expired_token_is_renewed_and_the_request_made_again(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.fault("expired_token", operation="InitiateJob", count=1)

    hook.initiate_job("photos", "inventory-retrieval")

    assert len(local_aws.jobs("photos")) == 1
    assert local_aws.calls().by_operation["InitiateJob"] == 2


def test_other_requests_are_still_repeated_after_a_job_was_started(hook: GlacierJobsHook, local_aws: Control) -> None:
    hook.initiate_job("photos", "inventory-retrieval")
    local_aws.fault("service_unavailable", operation="ListJobs", count=1)

    assert len(list(hook.list_jobs("photos"))) == 1


@pytest.mark.usefixtures("no_backoff")
def test_an_endpoint_that_accepts_no_connection_has_received_nothing(local_aws: Control, connect: Connect) -> None:
    policy = RetryPolicy(attempts=1, seconds=0.1)
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url="http://127.0.0.1:9"), retry_policy=policy)

    with pytest.raises(Exception, match="no usable answer") as caught:
        hook.initiate_job("photos", "inventory-retrieval")

    assert not isinstance(caught.value, JobMayHaveStarted)
