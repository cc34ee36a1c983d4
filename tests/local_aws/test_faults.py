from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, PaginationError, ReadTimeoutError
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control, ControlError
from local_aws.faults import KINDS
from tests.local_aws.conftest import ONE_ATTEMPT, ListAll, signed_headers


@pytest.fixture(autouse=True)
def _ten_jobs(local_aws: Control) -> None:
    local_aws.add_jobs("v", [{"JobId": f"j{i}", "StatusCode": "Succeeded"} for i in range(10)])


def ids(jobs: list[dict[str, Any]]) -> str:
    return "".join(job["JobId"][1:] for job in jobs)


def error_of(call: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttling", "ThrottlingException", 400),
        ("service_unavailable", "ServiceUnavailableException", 500),
        ("request_timeout", "RequestTimeoutException", 408),
        ("access_denied", "AccessDeniedException", 403),
        ("expired_token", "ExpiredTokenException", 403),
        ("invalid_signature", "InvalidSignatureException", 403),
        ("unrecognized_client", "UnrecognizedClientException", 400),
        ("no_longer_supported", "NoLongerSupportedException", 400),
        ("policy_enforced", "PolicyEnforcedException", 400),
        ("insufficient_capacity", "InsufficientCapacityException", 503),
        ("job_not_found", "ResourceNotFoundException", 404),
        ("limit_exceeded", "LimitExceededException", 400),
        ("vault_not_found", "ResourceNotFoundException", 404),
    ],
)
def test_an_error_fault_returns_its_code_and_status_until_it_is_cleared(
    local_aws: Control, glacier: GlacierClient, kind: str, code: str, status: int
) -> None:
    local_aws.fault(kind)
    assert error_of(lambda: glacier.list_jobs(vaultName="v")) == (code, status)
    assert error_of(glacier.list_vaults) == (code, status)
    local_aws.clear_faults()
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 10


def test_the_body_of_an_error_has_code_message_and_type(local_aws: Control) -> None:
    local_aws.fault("service_unavailable")
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", f"{local_aws.endpoint}/-/vaults", headers=signed_headers(), retries=False)
    assert response.json() == {
        "code": "ServiceUnavailableException",
        "message": "The service cannot complete the request.",
        "type": "Server",
    }


def test_access_can_be_denied_for_one_vault(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("w")
    local_aws.fault("access_denied", vault_name="v", operation="ListJobs")
    with pytest.raises(ClientError, match=r"not authorized to perform: glacier:ListJobs on resource: .*:vaults/v"):
        glacier.list_jobs(vaultName="v")
    assert glacier.list_jobs(vaultName="w")["JobList"] == []
    assert len(glacier.list_vaults()["VaultList"]) == 2


def test_a_fault_skips_calls_first_and_ends_after_its_count(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("throttling", operation="ListJobs", skip=2, count=1)
    outcomes = []
    for _ in range(4):
        try:
            glacier.list_jobs(vaultName="v")
            outcomes.append("listed")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["listed", "listed", "ThrottlingException", "listed"]


def test_a_fault_can_apply_to_one_access_key(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("expired_token", access_key="SOMEBODYELSE")
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 10
    local_aws.fault("expired_token", access_key="LOCALAWSACCESSKEY000")
    assert error_of(lambda: glacier.list_jobs(vaultName="v")) == ("ExpiredTokenException", 403)


def test_a_fault_with_a_probability_applies_to_the_same_calls_for_the_same_seed(
    local_aws: Control, glacier: GlacierClient
) -> None:
    def results() -> str:
        local_aws.clear_faults()
        local_aws.seed_dice(7)
        local_aws.fault("throttling", probability=0.5)
        codes = ""
        for _ in range(20):
            try:
                glacier.describe_vault(vaultName="v")
                codes += "."
            except ClientError:
                codes += "x"
        return codes

    first = results()
    assert first == results()
    assert set(first) == {".", "x"}


def test_removing_one_fault_keeps_the_others(local_aws: Control, glacier: GlacierClient) -> None:
    throttling = local_aws.fault("throttling", operation="ListJobs")
    local_aws.fault("service_unavailable", operation="ListVaults")
    local_aws.remove_fault(throttling)
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 10
    assert error_of(glacier.list_vaults) == ("ServiceUnavailableException", 500)


def test_short_pages_lose_nothing(local_aws: Control, list_all: ListAll) -> None:
    local_aws.fault("short_page", size=3)
    assert ids(list_all("v")) == "0123456789"
    assert local_aws.calls().by_operation["ListJobs"] == 4


def test_short_pages_of_vaults_lose_nothing(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("a", "b", "c")
    local_aws.fault("short_page", size=1, operation="ListVaults")
    pages = glacier.get_paginator("list_vaults").paginate(accountId="-")
    assert [vault["VaultName"] for page in pages for vault in page["VaultList"]] == ["a", "b", "c", "v"]


def test_the_marker_of_an_empty_page_starts_with_the_omitted_jobs(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("empty_page", operation="ListJobs", skip=1, count=2)
    first = glacier.list_jobs(vaultName="v", limit="4")
    second = glacier.list_jobs(vaultName="v", limit="4", marker=first["Marker"])
    third = glacier.list_jobs(vaultName="v", limit="4", marker=second["Marker"])
    fourth = glacier.list_jobs(vaultName="v", limit="4", marker=third["Marker"])
    assert (second["JobList"], third["JobList"]) == ([], [])
    assert len({first["Marker"], second["Marker"], third["Marker"]}) == 3
    assert [job["JobId"] for job in fourth["JobList"]] == ["j4", "j5", "j6", "j7"]


def test_an_empty_first_page_of_vaults_has_a_marker(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("empty_page", operation="ListVaults")
    first = glacier.list_vaults()
    assert first["VaultList"] == []
    assert [vault["VaultName"] for vault in glacier.list_vaults(marker=first["Marker"])["VaultList"]] == ["v"]


def test_a_vault_without_jobs_can_have_an_empty_page_with_a_marker(local_aws: Control, list_all: ListAll) -> None:
    local_aws.add_vaults("w")
    local_aws.fault("empty_page", operation="ListJobs", count=1)
    assert list_all("w") == []
    assert local_aws.calls().by_operation["ListJobs"] == 2


def test_a_marker_can_repeat_the_last_job_of_a_page(local_aws: Control, list_all: ListAll) -> None:
    local_aws.fault("repeated_job", skip=1, count=1)
    assert ids(list_all("v", 4)) == "01234567789"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_marker_cycle_repeats_earlier_markers(local_aws: Control, glacier: GlacierClient, length: int) -> None:
    local_aws.fault("marker_cycle", length=length)
    markers: list[str] = []
    marker: dict[str, Any] = {}
    for _ in range(12):
        marker = {"marker": glacier.list_jobs(vaultName="v", limit="1", **marker)["Marker"]}
        markers.append(marker["marker"])
    assert markers[length:] == markers[:-length]
    assert len(set(markers)) == length


def test_a_repeated_marker_stops_botocores_paginator(local_aws: Control, list_all: ListAll) -> None:
    local_aws.fault("marker_cycle", skip=1)
    with pytest.raises(PaginationError, match="The same next token was received twice"):
        list_all("v", 2)


def test_a_dropped_connection_is_closed_without_a_response(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("dropped_connection", count=1)
    with pytest.raises(ConnectionClosedError):
        glacier.list_jobs(vaultName="v")
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 10


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_job_can_be_initiated_although_the_connection_was_dropped(
    local_aws: Control, glacier: GlacierClient, after_effect: bool
) -> None:
    local_aws.fault("dropped_connection", operation="InitiateJob", after_effect=after_effect)
    with pytest.raises(ConnectionClosedError):
        glacier.initiate_job(vaultName="v", jobParameters={"Type": "inventory-retrieval"})
    assert len(local_aws.jobs("v")) == 10 + after_effect


def test_a_truncated_body_is_shorter_than_its_content_length(local_aws: Control) -> None:
    local_aws.fault("truncated_body")
    with urllib3.PoolManager() as pool:
        response = pool.request(
            "GET",
            f"{local_aws.endpoint}/-/vaults/v/jobs",
            headers=signed_headers(),
            retries=False,
            preload_content=False,
        )
        with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
            response.read()


@pytest.mark.parametrize("kind", ["cut_json", "not_json"])
def test_botocore_returns_a_response_without_a_list_for_a_body_that_is_not_json(
    local_aws: Control, glacier: GlacierClient, kind: str
) -> None:
    local_aws.fault(kind)
    answer = glacier.list_jobs(vaultName="v")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert set(answer) == {"ResponseMetadata"}


def test_latency_delays_the_response(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("latency", seconds=0.2, operation="ListJobs")
    started = time.monotonic()
    glacier.list_jobs(vaultName="v")
    assert time.monotonic() - started >= 0.2


def test_latency_longer_than_the_read_timeout_is_a_timeout(local_aws: Control) -> None:
    local_aws.fault("latency", seconds=3)
    config = ONE_ATTEMPT.merge(Config(read_timeout=0.1))
    client = boto3.client("glacier", config=config, **local_aws.boto3_arguments())
    with closing(client), pytest.raises(ReadTimeoutError):
        client.list_vaults()


def test_a_reset_drops_waiting_calls(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("latency", seconds=60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(glacier.create_vault, vaultName="too-late")
        while local_aws.calls().in_flight == 0:
            pass
        local_aws.reset()
        with pytest.raises(ConnectionClosedError):
            waiting.result(timeout=30)
    assert local_aws.vaults() == []
    assert local_aws.calls().in_flight == 0


def test_faults_of_different_kinds_are_combined(local_aws: Control, glacier: GlacierClient, list_all: ListAll) -> None:
    local_aws.fault("short_page", size=3)
    local_aws.fault("empty_page", skip=1, count=1, operation="ListJobs")
    local_aws.fault("repeated_job", skip=2, count=1)
    local_aws.fault("latency", seconds=0.001)
    assert ids(list_all("v")) == "01234556789"


def test_a_hook_can_delete_a_vault_between_list_vaults_and_list_jobs(
    local_aws: Control, glacier: GlacierClient
) -> None:
    local_aws.hook("delete_vault", {"vault_name": "v"}, operation="ListVaults", count=1)
    assert [vault["VaultName"] for vault in glacier.list_vaults()["VaultList"]] == ["v"]
    assert error_of(lambda: glacier.list_jobs(vaultName="v")) == ("ResourceNotFoundException", 404)


def test_a_hook_can_delete_a_vault_during_its_listing(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.hook("delete_vault", {"vault_name": "v"}, operation="ListJobs", vault_name="v", skip=1, count=1)
    first = glacier.list_jobs(vaultName="v", limit="3")
    second = glacier.list_jobs(vaultName="v", limit="3", marker=first["Marker"])
    assert error_of(lambda: glacier.list_jobs(vaultName="v", marker=second["Marker"])) == (
        "ResourceNotFoundException",
        404,
    )


def test_a_job_can_change_its_state_between_two_pages(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.set_clock(speed=0)
    local_aws.add_jobs("w", [{"JobId": f"j{i}", "_life": {"duration_seconds": 90}} for i in range(3)])
    local_aws.hook("advance", {"seconds": 60}, operation="ListJobs", vault_name="w")
    states: list[str] = []
    marker: dict[str, Any] = {}
    for _ in range(3):
        page = glacier.list_jobs(vaultName="w", limit="1", **marker)
        states.append(page["JobList"][0]["StatusCode"])
        marker = {"marker": page.get("Marker")}
    assert states == ["InProgress", "InProgress", "Succeeded"]


def test_jobs_can_disappear_and_appear_between_two_pages(local_aws: Control, list_all: ListAll) -> None:
    local_aws.hook("remove_jobs", {"vault_name": "v", "job_ids": ["j4"]}, operation="ListJobs", count=1)
    new = {"JobId": "j8", "StatusCode": "Failed", "CreationDate": "2000-01-01T00:00:00.000Z"}
    local_aws.hook("add_jobs", {"vault_name": "v", "jobs": [new]}, operation="ListJobs", count=1)
    assert ids(list_all("v", 4)) == "01235679"


def test_the_crowd_fault_makes_calls_concurrent(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.reset_calls()
    local_aws.fault("crowd", size=4, seconds=20)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: glacier.list_jobs(vaultName="v"), range(4)))
    assert local_aws.calls().most_in_flight == 4
    assert local_aws.calls().in_flight == 0


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("sabotage", {}, "unknown fault: 'sabotage'"),
        ("throttling", {"vault": "v"}, "does not accept"),
        ("short_page", {"seconds": 1}, "does not accept"),
        ("short_page", {"size": 0}, "the size of short_page is 0"),
        ("marker_cycle", {"length": 0}, "the length of marker_cycle is 0"),
    ],
)
def test_an_unknown_or_invalid_fault_is_rejected(
    local_aws: Control, kind: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ControlError, match=message):
        local_aws.fault(kind, **given)


def test_an_unknown_or_invalid_hook_is_rejected(local_aws: Control) -> None:
    with pytest.raises(ControlError, match="unknown command: 'explode'"):
        local_aws.hook("explode")
    with pytest.raises(ControlError, match="does not accept"):
        local_aws.hook("advance", {"seconds": 1}, vault="v")


def test_a_reset_removes_all_faults_and_hooks(local_aws: Control, glacier: GlacierClient) -> None:
    for kind in KINDS:
        local_aws.fault(kind)
    local_aws.hook("delete_vault", {"vault_name": "v"})
    local_aws.reset()
    local_aws.add_vaults("v")
    assert glacier.list_jobs(vaultName="v")["JobList"] == []
    assert len(glacier.list_vaults()["VaultList"]) == 1


def test_an_error_fault_can_follow_the_effect_of_the_call(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("service_unavailable", operation="InitiateJob", count=1, after_effect=True)
    jobs = len(local_aws.jobs("v"))

    found = error_of(lambda: glacier.initiate_job(vaultName="v", jobParameters={"Type": "inventory-retrieval"}))

    assert found == ("ServiceUnavailableException", 500)
    assert len(local_aws.jobs("v")) == jobs + 1


def test_a_response_can_be_late_after_the_effect_of_the_call(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("latency", operation="InitiateJob", seconds=30, after_effect=True)
    jobs = len(local_aws.jobs("v"))

    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(glacier.initiate_job, vaultName="v", jobParameters={"Type": "inventory-retrieval"})
        while len(local_aws.jobs("v")) == jobs:
            time.sleep(0.01)
        assert not call.done()
        local_aws.reset()
        assert call.result(timeout=10)["jobId"]


def _downloadable(local_aws: Control, size: int) -> str:
    given = {"Action": "ArchiveRetrieval", "ArchiveId": "a", "ArchiveSizeInBytes": size, "StatusCode": "Succeeded"}
    return local_aws.add_jobs("v", [{**given, "JobId": "output"}])[0]


def test_a_corrupted_body_differs_in_one_byte_from_the_body_that_its_headers_describe(
    local_aws: Control, glacier: GlacierClient
) -> None:
    job_id = _downloadable(local_aws, 3_000_000)
    right = glacier.get_job_output(vaultName="v", jobId=job_id)
    local_aws.fault("corrupted_body", position=2_000_000, count=1)

    wrong = glacier.get_job_output(vaultName="v", jobId=job_id)

    body, other = right["body"].read(), wrong["body"].read()
    assert [position for position in range(len(body)) if body[position] != other[position]] == [2_000_000]
    assert len(body) == len(other)


def test_a_removed_tree_hash_and_an_ignored_range_change_the_headers_only(
    local_aws: Control, glacier: GlacierClient
) -> None:
    job_id = _downloadable(local_aws, 3_000_000)
    local_aws.fault("removed_tree_hash", count=1)
    without_hash = glacier.get_job_output(vaultName="v", jobId=job_id, range="bytes=0-1048575")
    local_aws.fault("ignored_range", count=1)

    whole = glacier.get_job_output(vaultName="v", jobId=job_id, range="bytes=0-1048575")

    assert ("checksum" in without_hash, without_hash["status"]) == (False, 206)
    assert ("checksum" in whole, whole["status"], len(whole["body"].read())) == (True, 200, 3_000_000)


def test_a_cut_body_ends_at_its_position(local_aws: Control) -> None:
    job_id = _downloadable(local_aws, 3_000_000)
    local_aws.fault("cut_body", position=2_000_000)
    path = f"/-/vaults/v/jobs/{job_id}/output"

    with urllib3.PoolManager() as pool:
        response = pool.request(
            "GET", f"{local_aws.endpoint}{path}", headers=signed_headers(), retries=False, preload_content=False
        )
        body = response.read(2_000_000)
        with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
            response.read(1)

    assert response.headers["Content-Length"] == "3000000"
    assert len(body) == 2_000_000


def test_the_output_of_an_archive_drips_too(local_aws: Control, glacier: GlacierClient) -> None:
    job_id = _downloadable(local_aws, 5)
    local_aws.fault("dripping_body", seconds=0.05)

    began = time.monotonic()
    body = glacier.get_job_output(vaultName="v", jobId=job_id)["body"].read()

    assert len(body) == 5
    assert time.monotonic() - began >= 0.2
