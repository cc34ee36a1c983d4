from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from statistics import median

import pytest
from mypy_boto3_glacier import GlacierClient

from local_aws import timestamps
from local_aws.client import Control
from local_aws.demo_vaults import FAILURE_MESSAGES, HOSTILE_DESCRIPTIONS, HOSTILE_VAULT
from local_aws.settings import TIERS
from tests.local_aws.conftest import Description, ListAll, without_nulls


def age(job: Description, key: str, now: datetime) -> timedelta:
    return now - timestamps.parse(job[key])


def vault_name(job: Description) -> str:
    name: str = job["VaultARN"].rpartition("/")[2]
    return name


def everywhere(local_aws: Control) -> list[Description]:
    return [job for region in ("us-east-1", "eu-west-1") for job in local_aws.jobs(region=region)]


def believable(local_aws: Control) -> list[Description]:
    return [job for job in everywhere(local_aws) if vault_name(job) != HOSTILE_VAULT]


def test_the_demo_has_hundreds_of_jobs_in_two_regions_and_one_empty_vault(local_aws: Control) -> None:
    local_aws.seed("demo")
    counts = Counter(vault_name(job) for job in local_aws.jobs())
    eu_jobs = local_aws.jobs(region="eu-west-1")
    vaults = [vault["VaultName"] for vault in local_aws.vaults()]
    assert counts.total() > 300
    assert len(eu_jobs) > 50
    assert len(counts.keys() | {vault_name(job) for job in eu_jobs}) == 9
    assert [name for name in vaults if not counts[name]] == ["email-journal"]


def test_the_demos_vault_of_unusual_jobs_has_every_combination_of_action_tier_and_state(local_aws: Control) -> None:
    local_aws.seed("demo")
    jobs = local_aws.jobs(HOSTILE_VAULT)
    tiers = {"ArchiveRetrieval": TIERS, "Select": TIERS, "InventoryRetrieval": (*TIERS, None)}
    assert {(job["Action"], job.get("Tier"), job["StatusCode"]) for job in jobs} == {
        (action, tier, status)
        for action, tiers_of_action in tiers.items()
        for tier in tiers_of_action
        for status in ("InProgress", "Succeeded", "Failed")
    }
    assert {job["Action"] for job in believable(local_aws)} == {"ArchiveRetrieval", "InventoryRetrieval"}


def test_the_demos_vault_of_unusual_jobs_has_whole_archives_ranges_and_all_inventory_parameters(
    local_aws: Control,
) -> None:
    local_aws.seed("demo")
    jobs = local_aws.jobs(HOSTILE_VAULT)
    whole = {
        job["RetrievalByteRange"] == f"0-{job['ArchiveSizeInBytes'] - 1}"
        for job in jobs
        if job["Action"] == "ArchiveRetrieval"
    }
    inventories = [job["InventoryRetrievalParameters"] for job in jobs if job["Action"] == "InventoryRetrieval"]
    given = {tuple(key for key in ("StartDate", "EndDate", "Limit") if parameters[key]) for parameters in inventories}
    assert whole == {True, False}
    assert {parameters["Format"] for parameters in inventories} == {"JSON", "CSV"}
    assert given == {(), ("StartDate",), ("StartDate", "EndDate"), ("Limit",)}
    assert any(parameters["Marker"] for parameters in inventories)


def test_the_demos_jobs_are_as_documented(local_aws: Control) -> None:
    local_aws.seed("demo")
    now = local_aws.now()
    for job in local_aws.jobs():
        assert job["Completed"] is (job["StatusCode"] != "InProgress")
        assert (job.get("CompletionDate") is None) is (job["StatusCode"] == "InProgress")
        assert timedelta(0) <= age(job, "CreationDate", now) < timedelta(hours=37)
        if job["Completed"]:
            assert job["CompletionDate"] > job["CreationDate"]
            assert age(job, "CompletionDate", now) < timedelta(hours=24)
        if job["StatusCode"] == "Failed":
            assert job["StatusMessage"]
        is_archive = job["Action"] == "ArchiveRetrieval"
        assert (job.get("ArchiveSizeInBytes") is not None) is is_archive
        assert (job.get("RetrievalByteRange") is not None) is is_archive
        assert (job.get("SelectParameters") is not None) is (job["Action"] == "Select")
        if job["Action"] != "InventoryRetrieval" or job["StatusCode"] != "Succeeded":
            assert job.get("InventorySizeInBytes") is None
        assert len(job.get("JobDescription") or "") <= 1024


def test_the_demo_has_absent_keys_nulls_and_values(local_aws: Control) -> None:
    local_aws.seed("demo")
    for jobs in (local_aws.jobs(HOSTILE_VAULT), believable(local_aws)):
        for key in ("SNSTopic", "ArchiveId", "ArchiveSizeInBytes", "InventorySizeInBytes"):
            assert {"absent" if key not in job else job[key] is None for job in jobs} == {"absent", True, False}, key


def test_hostile_descriptions_are_in_one_vault_of_the_demo_only(local_aws: Control) -> None:
    local_aws.seed("demo")
    hostile = {job.get("JobDescription") for job in local_aws.jobs(HOSTILE_VAULT)}
    assert hostile == set(HOSTILE_DESCRIPTIONS)
    assert {"<script>alert('jobs')</script>", "=HYPERLINK(0)", "%s %d %n", "null", "x" * 1024, None} <= hostile
    for job in believable(local_aws):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9 :,._/-]{5,79}", job.get("JobDescription") or "No description")


def test_few_of_the_demos_jobs_fail_and_most_have_succeeded(local_aws: Control) -> None:
    local_aws.seed("demo")
    jobs = believable(local_aws)
    counts = Counter(job["StatusCode"] for job in jobs)
    assert 0.02 < counts["Failed"] / len(jobs) < 0.05
    assert 0.1 < counts["InProgress"] / len(jobs) < 0.3
    messages = {job["StatusMessage"] for job in jobs if job["StatusCode"] == "Failed"}
    assert messages <= {message for messages in FAILURE_MESSAGES.values() for message in messages}


def test_the_demos_sizes_fit_their_vaults(local_aws: Control) -> None:
    local_aws.seed("demo")
    sizes: dict[str, list[int]] = {}
    for job in everywhere(local_aws):
        if job["Action"] == "ArchiveRetrieval":
            sizes.setdefault(vault_name(job), []).append(job["ArchiveSizeInBytes"])
    medians = {name: median(of_vault) for name, of_vault in sizes.items()}
    assert 10**6 < medians["finance_records"] < 10**8 < medians["photo-archive"] < 10**9
    assert 10**10 < medians["backups.nightly"] < 3 * 10**10
    assert 10**10 < medians["media-masters"] < 5 * 10**10


def test_the_next_outputs_to_expire_and_the_newest_failures_are_not_hostile(local_aws: Control) -> None:
    local_aws.seed("demo")
    finished = sorted((job for job in everywhere(local_aws) if job["Completed"]), key=lambda job: job["CompletionDate"])
    succeeded = [vault_name(job) for job in finished if job["StatusCode"] == "Succeeded"]
    failed = [vault_name(job) for job in finished if job["StatusCode"] == "Failed"]
    assert HOSTILE_VAULT not in succeeded[:10]
    assert HOSTILE_VAULT not in failed[-3:]


def test_some_of_the_demos_jobs_expire_within_an_hour(local_aws: Control) -> None:
    local_aws.set_clock(speed=0)
    local_aws.seed("demo")
    before = len(everywhere(local_aws))
    local_aws.advance(3600)
    assert before - 40 < len(everywhere(local_aws)) < before - 5


def test_the_demo_is_the_same_each_time_except_its_dates(local_aws: Control) -> None:
    local_aws.seed("demo")
    first = everywhere(local_aws)
    local_aws.reset()
    local_aws.set_clock(datetime(2031, 3, 1, 23, 59, 59, tzinfo=timezone.utc))
    local_aws.seed("demo")
    again = everywhere(local_aws)
    for key in ("JobId", "StatusCode", "Tier", "ArchiveSizeInBytes"):
        assert [job.get(key) for job in again] == [job.get(key) for job in first]


def test_every_output_of_the_demo_can_be_downloaded(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.seed("demo")
    for job in local_aws.jobs("photo-archive"):
        if job["StatusCode"] == "Succeeded" and job["Action"] != "Select":
            output = glacier.get_job_output(vaultName="photo-archive", jobId=job["JobId"], range="bytes=0-99")
            assert 0 < len(output["body"].read()) <= 100


@pytest.mark.parametrize("parameters", [{}, {"statuscode": "Failed"}, {"completed": "false"}])
def test_jobs_of_the_large_seed_are_listed_and_described(
    local_aws: Control, glacier: GlacierClient, list_all: ListAll, parameters: dict[str, str]
) -> None:
    local_aws.seed("large", vaults=3, jobs=130)
    for vault in local_aws.vaults():
        name = vault["VaultName"]
        expected_jobs = [without_nulls(job) for job in local_aws.jobs(name)]
        listed = list_all(name, **parameters)
        expected = [
            job
            for job in expected_jobs
            if parameters.get("statuscode") in (None, job["StatusCode"])
            and parameters.get("completed") in (None, str(job["Completed"]).lower())
        ]
        described: Description = dict(glacier.describe_job(vaultName=name, jobId=listed[7]["JobId"]))
        described.pop("ResponseMetadata")
        assert listed == expected
        assert described == listed[7]
        assert {job["VaultARN"] for job in listed} == {vault["VaultARN"]}


def test_a_job_can_be_initiated_in_a_vault_of_the_large_seed(
    local_aws: Control, glacier: GlacierClient, list_all: ListAll
) -> None:
    local_aws.seed("large", vaults=2, jobs=20)
    new = glacier.initiate_job(vaultName="large-0001", jobParameters={"Type": "inventory-retrieval"})["jobId"]
    assert len(list_all("large-0000")) == 20
    assert [job["JobId"] for job in list_all("large-0001")][-1] == new
    assert len(list_all("large-0001")) == 21


def test_a_job_of_another_vault_of_the_large_seed_is_not_found(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.seed("large", vaults=2, jobs=20)
    job_id = local_aws.jobs("large-0001")[0]["JobId"]
    with pytest.raises(glacier.exceptions.ResourceNotFoundException):
        glacier.describe_job(vaultName="large-0000", jobId=job_id)
