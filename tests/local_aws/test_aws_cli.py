"""The local Glacier with an independent client: the AWS CLI."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local_aws.client import Control
from local_aws.process import clean_environment
from tests.local_aws.conftest import Description, without_nulls

AWS = Path(sys.executable).with_name("aws")


def run(local_aws: Control, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), **local_aws.environment(), "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}
    command = [str(AWS), "glacier", *arguments, "--account-id", "-", "--output", "json"]
    return subprocess.run(  # noqa: S603 - our own command
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def aws(local_aws: Control, *arguments: str) -> Any:
    done = run(local_aws, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def aws_in_parallel(local_aws: Control, *commands: list[str]) -> list[Any]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda command: aws(local_aws, *command), commands))


@pytest.fixture
def vault_jobs(local_aws: Control) -> list[Description]:
    """The jobs of the vault ``v``: 8 succeeded, 8 in progress and 7 failed."""
    states = ("Succeeded", "InProgress", "Failed")
    local_aws.add_jobs("v", [{"JobId": f"j{i:02d}", "StatusCode": states[i % 3]} for i in range(23)])
    return [without_nulls(job) for job in local_aws.jobs("v")]


def test_list_jobs_accepts_every_parameter(local_aws: Control, vault_jobs: list[Description]) -> None:
    everything, failed, running, contradictory = aws_in_parallel(
        local_aws,
        ["list-jobs", "--vault-name", "v"],
        ["list-jobs", "--vault-name", "v", "--statuscode", "Failed", "--completed", "true"],
        ["list-jobs", "--vault-name", "v", "--completed", "false"],
        ["list-jobs", "--vault-name", "v", "--statuscode", "InProgress", "--completed", "true"],
    )
    assert everything["JobList"] == vault_jobs
    assert failed["JobList"] == [job for job in vault_jobs if job["StatusCode"] == "Failed"]
    assert running["JobList"] == [job for job in vault_jobs if not job["Completed"]]
    assert contradictory["JobList"] == []


def test_list_jobs_works_with_explicit_limits_and_markers(local_aws: Control, vault_jobs: list[Description]) -> None:
    listed: list[Description] = []
    marker: list[str] = []
    while True:
        page = aws(local_aws, "list-jobs", "--vault-name", "v", "--limit", "12", "--no-paginate", *marker)
        listed += page["JobList"]
        if page.get("Marker") is None:
            break
        marker = ["--marker", page["Marker"]]
    assert listed == vault_jobs
    assert [request["query"]["limit"] for request in local_aws.requests("ListJobs")] == ["12", "12"]


def test_list_jobs_paginates_automatically(local_aws: Control, vault_jobs: list[Description]) -> None:
    (small_pages,) = aws_in_parallel(local_aws, ["list-jobs", "--vault-name", "v", "--page-size", "4"])
    assert small_pages["JobList"] == vault_jobs
    assert len(local_aws.requests("ListJobs")) == 6
    assert {request["query"]["limit"] for request in local_aws.requests("ListJobs")} == {"4"}


def test_list_jobs_continues_from_a_starting_token(local_aws: Control, vault_jobs: list[Description]) -> None:
    first = aws(local_aws, "list-jobs", "--vault-name", "v", "--page-size", "4", "--max-items", "10")
    assert first["JobList"] == vault_jobs[:10]
    token = first["NextToken"]
    rest = aws(local_aws, "list-jobs", "--vault-name", "v", "--page-size", "4", "--starting-token", token)
    assert rest["JobList"] == vault_jobs[10:]


def test_list_jobs_paginates_through_empty_and_short_pages(local_aws: Control, vault_jobs: list[Description]) -> None:
    local_aws.fault("short_page", size=5)
    local_aws.fault("empty_page", skip=1, count=2)
    assert aws(local_aws, "list-jobs", "--vault-name", "v")["JobList"] == vault_jobs


def test_an_invalid_parameter_and_a_missing_vault_are_reported(
    local_aws: Control, vault_jobs: list[Description]
) -> None:
    wrong = run(local_aws, "list-jobs", "--vault-name", "v", "--statuscode", "Done")
    missing = run(local_aws, "list-jobs", "--vault-name", "w")
    assert "(InvalidParameterValueException) when calling the ListJobs operation: Invalid status code" in wrong.stderr
    assert "(ResourceNotFoundException) when calling the ListJobs operation: Vault not found for ARN" in missing.stderr
    assert 0 not in (wrong.returncode, missing.returncode)


def test_list_vaults_paginates_automatically(local_aws: Control) -> None:
    local_aws.add_vaults(*(f"vault-{i:02d}" for i in range(12)))
    everything, some = aws_in_parallel(
        local_aws, ["list-vaults"], ["list-vaults", "--page-size", "5", "--max-items", "6"]
    )
    assert everything["VaultList"] == [without_nulls(vault) for vault in local_aws.vaults()]
    assert [vault["VaultName"] for vault in some["VaultList"]] == [f"vault-{i:02d}" for i in range(6)]


def test_an_archive_can_be_uploaded_and_retrieved(local_aws: Control, tmp_path: Path) -> None:
    local_aws.set_clock(speed=0)
    content = bytes(range(256)) * 4096 + b"a mebibyte and a bit"
    (tmp_path / "archive").write_bytes(content)
    aws(local_aws, "create-vault", "--vault-name", "v")
    body = ["--body", str(tmp_path / "archive"), "--archive-description", "notes"]
    archive = aws(local_aws, "upload-archive", "--vault-name", "v", *body)
    parameters = {
        "Type": "archive-retrieval",
        "ArchiveId": archive["archiveId"],
        "Tier": "Expedited",
        "Description": "cli",
    }
    job_id = aws(local_aws, "initiate-job", "--vault-name", "v", "--job-parameters", json.dumps(parameters))["jobId"]
    job = ["--vault-name", "v", "--job-id", job_id]

    early = run(local_aws, "get-job-output", *job, str(tmp_path / "early"))
    local_aws.advance(180)
    described, whole, part = aws_in_parallel(
        local_aws,
        ["describe-job", *job],
        ["get-job-output", *job, str(tmp_path / "whole")],
        ["get-job-output", *job, "--range", "bytes=1048576-", str(tmp_path / "part")],
    )

    assert "not currently available for download" in early.stderr
    assert (described["StatusCode"], described["JobDescription"], described["Tier"]) == (
        "Succeeded",
        "cli",
        "Expedited",
    )
    assert (tmp_path / "whole").read_bytes() == content
    assert (whole["status"], whole["checksum"]) == (200, archive["checksum"])
    assert (tmp_path / "part").read_bytes() == b"a mebibyte and a bit"
    assert (part["status"], part["contentRange"]) == (206, f"bytes 1048576-{len(content) - 1}/{len(content)}")
