from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from mypy_boto3_glacier import GlacierClient

from local_aws import timestamps
from local_aws.client import Control
from tests.local_aws.conftest import Description, ListAll, without_nulls


def age(job: Description, key: str, now: datetime) -> timedelta:
    return now - timestamps.read(job[key])


def test_the_demo_has_hundreds_of_jobs_of_every_kind_in_two_regions(local_aws: Control) -> None:
    local_aws.seed("demo")
    here, abroad = local_aws.jobs(), local_aws.jobs(region="eu-west-1")
    vaults = local_aws.vaults()
    kinds = Counter((job["Action"], job["StatusCode"]) for job in here)
    assert len(here) > 300
    assert len(abroad) > 50
    assert 5 <= len(vaults) <= 8
    assert "empty-so-far" in {vault["VaultName"] for vault in vaults} - {job["VaultARN"] for job in here}
    assert set(kinds) == {
        (action, status)
        for action in ("ArchiveRetrieval", "InventoryRetrieval", "Select")
        for status in ("InProgress", "Succeeded", "Failed")
    }
    assert {job.get("Tier") for job in here} == {"Expedited", "Standard", "Bulk", None}


def test_the_demos_jobs_say_what_the_documents_promise(local_aws: Control) -> None:
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


def test_the_demo_has_hostile_descriptions_absent_keys_and_nulls(local_aws: Control) -> None:
    local_aws.seed("demo")
    jobs = local_aws.jobs()
    descriptions = {job.get("JobDescription") for job in jobs}
    assert {"<script>alert('jobs')</script>", "'; drop table jobs; --", None} <= descriptions
    assert any("SNSTopic" in job and job["SNSTopic"] is None for job in jobs)
    assert any("SNSTopic" not in job for job in jobs)


def test_some_of_the_demos_jobs_are_about_to_be_forgotten(local_aws: Control) -> None:
    local_aws.set_clock(speed=0)
    local_aws.seed("demo")
    before = len(local_aws.jobs())
    local_aws.advance(3600)
    assert before - 100 < len(local_aws.jobs()) < before - 20


def test_the_demo_is_the_same_each_time_but_for_its_dates(local_aws: Control) -> None:
    local_aws.seed("demo")
    first = {job["JobId"] for job in local_aws.jobs()}
    local_aws.reset()
    local_aws.seed("demo")
    assert {job["JobId"] for job in local_aws.jobs()} == first


def test_every_output_of_the_demo_can_be_had(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.seed("demo")
    for job in local_aws.jobs("photo-archive"):
        if job["StatusCode"] == "Succeeded" and job["Action"] != "Select":
            output = glacier.get_job_output(vaultName="photo-archive", jobId=job["JobId"], range="bytes=0-99")
            assert 0 < len(output["body"].read()) <= 100


@pytest.mark.parametrize("parameters", [{}, {"statuscode": "Failed"}, {"completed": "false"}])
def test_the_large_seed_is_listed_and_described_as_it_is_held(
    local_aws: Control, glacier: GlacierClient, list_all: ListAll, parameters: dict[str, str]
) -> None:
    local_aws.seed("large", vaults=3, jobs=130)
    for vault in local_aws.vaults():
        name = vault["VaultName"]
        held = [without_nulls(job) for job in local_aws.jobs(name)]
        listed = list_all(name, **parameters)
        expected = [
            job
            for job in held
            if parameters.get("statuscode") in (None, job["StatusCode"])
            and parameters.get("completed") in (None, str(job["Completed"]).lower())
        ]
        described: Description = dict(glacier.describe_job(vaultName=name, jobId=listed[7]["JobId"]))
        described.pop("ResponseMetadata")
        assert listed == expected
        assert described == listed[7]
        assert {job["VaultARN"] for job in listed} == {vault["VaultARN"]}


def test_a_vault_of_the_large_seed_takes_new_jobs(
    local_aws: Control, glacier: GlacierClient, list_all: ListAll
) -> None:
    local_aws.seed("large", vaults=2, jobs=20)
    new = glacier.initiate_job(vaultName="large-0001", jobParameters={"Type": "inventory-retrieval"})["jobId"]
    assert len(list_all("large-0000")) == 20
    assert [job["JobId"] for job in list_all("large-0001")][-1] == new
    assert len(list_all("large-0001")) == 21


def test_a_job_of_another_vault_of_the_large_seed_is_not_known(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.seed("large", vaults=2, jobs=20)
    job_id = local_aws.jobs("large-0001")[0]["JobId"]
    with pytest.raises(glacier.exceptions.ResourceNotFoundException):
        glacier.describe_job(vaultName="large-0000", jobId=job_id)
