from __future__ import annotations

from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control
from tests.local_aws.conftest import Description, ListAll, signed_headers, without_nulls


def jobs_of_every_state(count: int) -> list[Description]:
    states = ("Succeeded", "InProgress", "Failed")
    return [{"JobId": f"job-{i:04d}", "StatusCode": states[i % 3]} for i in range(count)]


def test_a_page_has_fifty_jobs_unless_the_limit_is_lower(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(51))
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 50
    assert len(glacier.list_jobs(vaultName="v", limit="7")["JobList"]) == 7


@pytest.mark.parametrize("page_size", [1, 2, 7, 49, 50])
def test_all_pages_together_contain_every_job_once(local_aws: Control, list_all: ListAll, page_size: int) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(99))
    assert list_all("v", page_size) == [without_nulls(job) for job in local_aws.jobs("v")]
    assert len({job["JobId"] for job in list_all("v", page_size)}) == 99


def test_the_last_page_has_a_null_marker_even_if_it_is_full(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(50))
    assert "Marker" not in glacier.list_jobs(vaultName="v")


def test_an_empty_vault_has_an_empty_list(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v")
    assert glacier.list_jobs(vaultName="v")["JobList"] == []


@pytest.mark.parametrize("name", ["v", "-", "a.b_c-D.9", "x" * 255, "..", "jobs"])
def test_a_vault_with_any_valid_name_can_be_listed(local_aws: Control, list_all: ListAll, name: str) -> None:
    local_aws.add_jobs(name, jobs_of_every_state(5))
    assert len(list_all(name, 2)) == 5


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"statuscode": "InProgress"}, {"InProgress"}),
        ({"statuscode": "Succeeded"}, {"Succeeded"}),
        ({"statuscode": "Failed"}, {"Failed"}),
        ({"completed": "true"}, {"Succeeded", "Failed"}),
        ({"completed": "false"}, {"InProgress"}),
        ({"completed": "true", "statuscode": "Failed"}, {"Failed"}),
        ({"completed": "false", "statuscode": "Failed"}, set()),
        ({"completed": "true", "statuscode": "InProgress"}, set()),
    ],
)
def test_filters_are_anded(
    local_aws: Control, list_all: ListAll, parameters: dict[str, str], expected: set[str]
) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(30))
    listed = list_all("v", 4, **parameters)
    assert {job["StatusCode"] for job in listed} == expected
    assert len(listed) == 10 * len(expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "51"},
        {"limit": "-1"},
        {"limit": "5.0"},
        {"limit": " 5"},
        {"limit": "five"},
        {"limit": "\N{ARABIC-INDIC DIGIT FIVE}"},
        {"statuscode": "succeeded"},
        {"statuscode": ""},
        {"statuscode": "Succeeded,Failed"},
        {"completed": "True"},
        {"completed": "1"},
        {"completed": ""},
        {"marker": "never-given"},
        {"marker": "AAAA"},
    ],
)
def test_an_invalid_parameter_is_rejected(
    local_aws: Control, glacier: GlacierClient, parameters: dict[str, Any]
) -> None:
    local_aws.add_vaults("v")
    with pytest.raises(ClientError) as caught:
        glacier.list_jobs(vaultName="v", **parameters)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_marker_of_another_vault_is_rejected(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(3))
    local_aws.add_jobs("w", jobs_of_every_state(3))
    marker = glacier.list_jobs(vaultName="v", limit="1")["Marker"]
    with pytest.raises(glacier.exceptions.InvalidParameterValueException, match="Invalid marker"):
        glacier.list_jobs(vaultName="w", marker=marker)


@pytest.mark.parametrize("name", ["nowhere", "odd:name", "with space"])
def test_a_missing_vault_is_a_404_with_its_name(glacier: GlacierClient, name: str) -> None:
    with pytest.raises(
        glacier.exceptions.ResourceNotFoundException, match=f"Vault not found for ARN: .*{name}"
    ) as caught:
        glacier.list_jobs(vaultName=name)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_jobs_are_listed_by_initiation_time_in_the_configured_order(local_aws: Control, list_all: ListAll) -> None:
    dates = ["2026-01-03T00:00:00.000Z", "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"]
    local_aws.add_jobs("v", [{"CreationDate": date} for date in dates])
    assert [job["CreationDate"] for job in list_all("v", 2)] == sorted(dates)
    local_aws.settings(newest_first=True)
    assert [job["CreationDate"] for job in list_all("v", 2)] == sorted(dates, reverse=True)


def test_the_maximum_limit_is_a_setting(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.settings(max_limit=1000)
    local_aws.add_jobs("v", jobs_of_every_state(1001))
    assert len(glacier.list_jobs(vaultName="v")["JobList"]) == 1000
    assert len(glacier.list_jobs(vaultName="v", limit="1000")["JobList"]) == 1000


def test_markers_can_repeat_the_last_job_of_the_previous_page(local_aws: Control, list_all: ListAll) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(5))
    local_aws.settings(marker_repeats_job=True)
    ids = [job["JobId"][-1] for job in list_all("v", 2)]
    assert ids == ["0", "1", "1", "2", "2", "3", "3", "4"]


@pytest.mark.parametrize(
    ("last_marker", "expected"), [("null", {"Marker": None}), ("absent", {}), ("empty", {"Marker": ""})]
)
def test_the_last_page_can_have_a_null_an_absent_or_an_empty_marker(
    local_aws: Control, last_marker: str, expected: dict[str, Any]
) -> None:
    local_aws.add_jobs("v", jobs_of_every_state(3))
    local_aws.settings(last_marker=last_marker)
    with urllib3.PoolManager() as pool:
        url = f"{local_aws.endpoint}/-/vaults/v/jobs"
        page = pool.request("GET", url, headers=signed_headers()).json()
        unfinished = pool.request("GET", f"{url}?limit=2", headers=signed_headers()).json()
    assert len(page.pop("JobList")) == 3
    assert page == expected
    assert unfinished["Marker"]


def test_an_unknown_member_is_returned(local_aws: Control) -> None:
    local_aws.add_jobs("v", [{"JobId": "j", "Priority": {"Level": 3}}])
    assert local_aws.jobs("v")[0]["Priority"] == {"Level": 3}


def test_a_listing_continues_if_jobs_are_added_and_removed_between_its_pages(
    local_aws: Control, glacier: GlacierClient
) -> None:
    local_aws.add_jobs("v", [{"JobId": f"j{i}", "CreationDate": f"2026-01-0{i}T00:00:00.000Z"} for i in range(1, 6)])
    first = glacier.list_jobs(vaultName="v", limit="2")
    local_aws.remove_jobs("v", ["j3"])
    local_aws.add_jobs("v", [{"JobId": "j9", "CreationDate": "2026-01-09T00:00:00.000Z"}])
    second = glacier.list_jobs(vaultName="v", limit="9", marker=first["Marker"])
    assert [job["JobId"] for job in second["JobList"]] == ["j4", "j5", "j9"]
