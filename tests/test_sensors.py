"""Tests that run in all modes (poke, reschedule and deferrable), followed by tests of a single mode."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import glacier_jobs
from glacier_jobs import compat
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.links import GlacierVaultLink
from glacier_jobs.no_retries import ArgumentRefused
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.waiting.state import NAMED_AT_MOST
from glacier_jobs.waiting.task_state import STORED_IDS_AT_MOST
from local_aws.client import Control
from local_aws.faults import KINDS
from local_aws.faulty_proxy import Fault, faulty_proxy
from tests.conftest import Connect, IdsOnS3
from tests.credential_source import CredentialSource
from tests.versions import AirflowFailException, AirflowRescheduleException
from tests.waits import (
    MODES,
    Ended,
    Mode,
    TaskInstance,
    deferral,
    needs_task_state_store,
    new_context,
    rebuilt,
    run,
    wait,
)

HOUR = 3600

# All faults of the local AWS, grouped by their effect on a wait.
DENIALS = {
    "access_denied": "AccessDeniedException",
    "unrecognized_client": "UnrecognizedClientException",
    "invalid_signature": "InvalidSignatureException",
    "expired_token": "ExpiredTokenException",
}
REFUSALS = {
    "no_longer_supported": "NoLongerSupportedException",
    "limit_exceeded": "LimitExceededException",
    "vault_not_found": "ResourceNotFoundException",
}
TRANSIENT = [
    "insufficient_capacity",
    "policy_enforced",
    "throttling",
    "service_unavailable",
    "request_timeout",
    "dropped_connection",
    "truncated_body",
    "cut_json",
    "not_json",
    "marker_cycle",
]
UNUSUAL_ANSWERS = ["short_page", "empty_page", "repeated_job", "latency"]
#: Not a fault: ``crowd`` delays calls until several are in progress, for tests of concurrent listings. A dripping body
#: ends only at the deadline of its answer, after half a minute: ``tests/glacier/test_deadlines.py``. An answer that a
#: job is not known says that the job is missing. The answers with outputs are changed in
#: ``tests/glacier/test_outputs.py`` and ``tests/retrieval``.
OF_OUTPUTS = ["cut_body", "corrupted_body", "removed_tree_hash", "ignored_range"]
NO_FAULTS = ["crowd", "dripping_body", "job_not_found", *OF_OUTPUTS]

#: A transient error of the store of ids.
UNAVAILABLE = Fault(status=503, code="ServiceUnavailable")

in_all_modes = pytest.mark.parametrize("mode", MODES)
in_modes_that_poke = pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "deferrable"])


@pytest.fixture
def glacier(connect: Connect) -> dict[str, Any]:
    """Arguments for a sensor that waits for jobs of the vault photos and does not retry requests."""
    return {"vault_name": "photos", "aws_conn_id": connect(attempts=1)}


def job(job_id: str, **overrides: Any) -> dict[str, Any]:
    return {"JobId": job_id, "_life": {"duration_seconds": 4 * HOUR, **overrides}}


@in_all_modes
def test_a_succeeded_job_returns_its_description(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded", "InventorySizeInBytes": 7}])

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "success"
    assert ended.value["JobId"] == "a"
    assert ended.value["StatusCode"] == "Succeeded"
    assert ended.value["InventorySizeInBytes"] == 7


@in_all_modes
def test_a_job_that_takes_hours_is_waited_for(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 1.5 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "success"
    assert ended.value["StatusCode"] == "Succeeded"
    assert local_aws.calls().by_operation["ListJobs"] == 4


@in_all_modes
def test_several_jobs_return_counts(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=1 * HOUR), job("b", duration_seconds=9 * HOUR), job("c")])
    local_aws.hook("advance", {"seconds": 2 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id=["a", "b", "c"], **glacier)

    assert ended == Ended("success", {"vault_name": "photos", "jobs": 3, "succeeded": 3, "failed": 0, "missing": 0})


@in_all_modes
def test_a_list_of_one_job_returns_counts_like_any_list(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id=["a"], **glacier)

    assert ended == Ended("success", {"vault_name": "photos", "jobs": 1, "succeeded": 1, "failed": 0, "missing": 0})


@in_all_modes
def test_a_failed_job_fails_at_once_and_says_why(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=HOUR, outcome="Failed", status_message="Torn")])
    local_aws.hook("advance", {"seconds": 2 * HOUR}, operation="ListJobs", count=1)

    ended = wait(mode, job_id=["a", "b"], **glacier)

    assert ended == Ended(
        "failed at once",
        "1 of 2 awaited jobs of vault photos cannot succeed any more (2 jobs: 1 pending, 1 failed):\n"
        "- b failed: Torn\n"
        "Start the retrieval again: finished jobs are kept for about 24 hours.",
    )


@in_all_modes
def test_the_sensor_can_wait_for_all_jobs_before_it_fails(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a"), job("b", duration_seconds=HOUR, outcome="Failed", status_message="Torn")])
    local_aws.hook("advance", {"seconds": 2 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id=["a", "b"], wait_for_all=True, **glacier)

    assert ended.how == "failed at once"
    assert "(2 jobs: 1 succeeded, 1 failed):\n- b failed: Torn" in ended.value


@in_all_modes
def test_results_are_kept_when_finished_jobs_expire(mode: Mode, glacier: Any, local_aws: Control) -> None:
    """Glacier drops the first job a day before the last one succeeds. Only the wait's state has its result."""
    local_aws.add_jobs(
        "photos",
        [
            job("a", duration_seconds=1 * HOUR),
            job("b", duration_seconds=2 * HOUR, outcome="Failed"),
            job("c", duration_seconds=60 * HOUR),
        ],
    )
    local_aws.hook("advance", {"seconds": 10 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id=["a", "b", "c"], wait_for_all=True, **glacier)

    assert ended.how == "failed at once"
    assert "(3 jobs: 2 succeeded, 1 failed):\n- b failed: Glacier gives no reason\n" in ended.value


@in_all_modes
def test_of_many_failed_jobs_the_first_are_named_and_the_others_are_counted(
    mode: Mode, glacier: Any, local_aws: Control
) -> None:
    ids = [f"job-{number:03}" for number in range(60)]
    local_aws.add_jobs("photos", [job(job_id, outcome="Failed", status_message=f"why {job_id}") for job_id in ids])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=1)

    ended = wait(mode, job_id=ids, **glacier)

    assert ended.how == "failed at once"
    assert ended.value.count("\n- job-") == NAMED_AT_MOST == 20
    assert "- job-019 failed: why job-019\n- and 40 more\n" in ended.value


@in_all_modes
def test_an_unknown_job_is_missing_after_the_grace_period(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])

    ended = wait(mode, job_id=["a", "b"], missing_grace=0, **glacier)

    assert ended == Ended(
        "failed at once",
        "1 of 2 awaited jobs of vault photos cannot succeed any more (2 jobs: 1 pending, 1 missing):\n"
        "- b is missing: it is not listed, and Describe Job does not know it\n"
        "Start the retrieval again: finished jobs are kept for about 24 hours.",
    )


@in_all_modes
def test_an_unknown_job_is_pending_within_the_grace_period(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    ended = wait(mode, job_id="a", timeout=0.3, poke_interval=0.1, **glacier)

    assert ended.how == "timed out"
    assert "1 of 1 awaited jobs of vault photos are still pending after 0.3 s (1 job: 1 pending):\n- a" in ended.value


@in_all_modes
def test_the_grace_period_can_end_during_the_wait(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    ended = wait(mode, job_id="a", missing_grace=0.3, poke_interval=0.1, **glacier)

    assert ended.how == "failed at once"
    assert "1 missing" in ended.value


@in_all_modes
def test_a_job_that_was_listed_before_and_is_gone_is_missing_at_once(
    mode: Mode, glacier: Any, local_aws: Control
) -> None:
    """It succeeded and expired between two polls."""
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 40 * HOUR}, operation="ListJobs", count=1)

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert "- a is missing" in ended.value


@in_all_modes
def test_a_job_that_is_listed_late_is_not_missing(mode: Mode, glacier: Any, local_aws: Control) -> None:
    """Describe Job returns the job while List Jobs does not, for longer than the grace period."""
    local_aws.add_jobs("photos", [job("a", listed_after_seconds=3 * HOUR)])
    local_aws.hook("advance", {"seconds": 1 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id="a", missing_grace=0, **glacier)

    assert ended.how == "success"
    assert ended.value["StatusCode"] == "Succeeded"


@in_all_modes
def test_a_job_on_the_last_of_many_pages_is_found(mode: Mode, glacier: Any, local_aws: Control) -> None:
    fillers = [job(f"other-{number:04}") for number in range(2_000)]
    local_aws.add_jobs("photos", [*fillers, *[job(f"mine-{number:03}") for number in range(100)]])
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs", skip=41, count=2)

    ended = wait(mode, job_id=[f"mine-{number:03}" for number in range(100)], **glacier)

    assert ended.how == "success"
    assert ended.value["succeeded"] == 100


@in_all_modes
def test_no_job_is_missed_when_page_boundaries_move_during_a_listing(
    mode: Mode, glacier: Any, local_aws: Control
) -> None:
    """Jobs before the marker expire at each page, so that the next page would skip jobs."""
    old = [
        {"JobId": f"old-{number:03}", "StatusCode": "Succeeded", "_life": {"retention_seconds": 60 * (number + 1)}}
        for number in range(150)
    ]
    local_aws.add_jobs("photos", old + [job(f"mine-{number:03}") for number in range(120)])
    local_aws.hook("advance", {"seconds": 20 * 60}, operation="ListJobs")
    local_aws.fault("repeated_job", probability=0.5)

    ended = wait(mode, job_id=[f"mine-{number:03}" for number in range(120)], **glacier)

    assert ended == Ended("success", {"vault_name": "photos", "jobs": 120, "succeeded": 120, "failed": 0, "missing": 0})


@in_all_modes
def test_thousands_of_jobs_are_waited_for(mode: Mode, glacier: Any, local_aws: Control) -> None:
    ids = local_aws.add_jobs("photos", [job(f"job-{number:05}") for number in range(5_000)])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=99, count=1)

    ended = wait(mode, job_id=ids, **glacier)

    assert ended.how == "success"
    assert ended.value["succeeded"] == 5_000
    assert local_aws.calls().by_operation == {"ListJobs": 200}


def test_each_fault_of_the_local_aws_is_among_those_of_this_suite() -> None:
    assert sorted([*DENIALS, *REFUSALS, *TRANSIENT, *UNUSUAL_ANSWERS, *NO_FAULTS]) == sorted(KINDS)


@in_all_modes
def test_an_unknown_vault_fails_at_once(mode: Mode, glacier: Any, local_aws: Control) -> None:
    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert "Vault not found for ARN" in ended.value
    assert "check the vault's name, the account and the Region" in ended.value


@in_all_modes
@pytest.mark.parametrize(("kind", "code"), REFUSALS.items())
def test_a_refusal_fails_at_once_also_during_the_wait(
    mode: Mode, kind: str, code: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault(kind, skip=1)

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert code in ended.value


@in_all_modes
@pytest.mark.parametrize(("kind", "code"), DENIALS.items())
def test_access_that_is_denied_before_the_first_good_poll_fails_at_once(
    mode: Mode, kind: str, code: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("throttling", count=1)
    local_aws.fault(kind, skip=1)

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert code in ended.value


@in_all_modes
@pytest.mark.parametrize("kind", DENIALS)
def test_access_that_is_denied_after_a_good_poll_counts_as_a_bad_poll(
    mode: Mode, kind: str, glacier: Any, local_aws: Control
) -> None:
    """For example while a policy or a key is exchanged."""
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs", skip=1)
    # The hook itself asks again once, with new credentials, if a token has expired.
    local_aws.fault(kind, operation="ListJobs", skip=1, count=4 if kind == "expired_token" else 2)

    ended = wait(mode, job_id="a", max_bad_polls=2, **glacier)

    assert ended.how == "success"


@in_all_modes
@pytest.mark.parametrize("operation", ["ListJobs", "DescribeJob"])
def test_access_that_stays_denied_fails_without_a_retry(
    mode: Mode, operation: str, glacier: Any, local_aws: Control
) -> None:
    """Only a job that is not listed is described."""
    local_aws.add_jobs("photos", [job("a"), job("b")])
    local_aws.hook("remove_jobs", {"vault_name": "photos", "job_ids": ["a"]}, operation="ListJobs", count=1)
    local_aws.fault("access_denied", operation=operation, skip=1 if operation == "ListJobs" else 0)

    ended = wait(mode, job_id=["a", "b"], max_bad_polls=2, soft_fail=True, **glacier)

    assert ended.how == "failed at once"
    assert ended.value.startswith(
        "3 polls in a row of the jobs of vault photos failed (2 jobs: 2 pending). The last error:"
    )
    assert "AccessDeniedException" in ended.value


@in_all_modes
@pytest.mark.parametrize("operation", ["ListJobs", "DescribeJob"])
def test_a_connection_that_is_corrected_after_a_denial_is_read_again(
    mode: Mode, operation: str, connect: Connect, local_aws: Control
) -> None:
    """The key is denied from the second poll on, in which the job a is not listed and must be described."""
    old, new = "LOCALAWSACCESSKEYOLD", "LOCALAWSACCESSKEYNEW"
    local_aws.add_jobs("photos", [job("a"), job("b")])
    local_aws.hook("remove_jobs", {"vault_name": "photos", "job_ids": ["a"]}, operation="ListJobs", count=1)
    local_aws.fault(
        "unrecognized_client", operation=operation, access_key=old, skip=1 if operation == "ListJobs" else 0
    )
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", access_key=new)
    with faulty_proxy(local_aws.endpoint) as proxy:
        conn_id = connect("corrected", endpoint_url=proxy.endpoint, access_key=old, attempts=1)
        requests: list[str] = []

        def correct(method: str, path: str) -> None:
            requests.append(path)
            if len(requests) == (2 if operation == "ListJobs" else 3):
                local_aws.add_jobs("photos", [job("a")])
                connect("corrected", endpoint_url=proxy.endpoint, access_key=new, attempts=1)

        proxy.rule = correct
        ended = wait(mode, job_id=["a", "b"], vault_name="photos", aws_conn_id=conn_id, timeout=20)

    assert ended.value == {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0}
    keys = [request["access_key"] for request in local_aws.requests()]
    assert keys == [old] * (2 if operation == "ListJobs" else 3) + [new] * 2


@in_all_modes
def test_a_source_of_credentials_that_is_away_at_the_start_is_waited_for(
    mode: Mode, connect: Connect, local_aws: Control, credentials: CredentialSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore asks it up to three times for a poll."""
    credentials.serve_a_container(monkeypatch)
    credentials.is_away(count=6)
    local_aws.add_jobs("photos", [job("a", duration_seconds=0)])

    ended = wait(mode, job_id="a", vault_name="photos", aws_conn_id=connect(access_key=None, attempts=1))

    assert ended.how == "success"
    assert credentials.requests > 6


@in_all_modes
def test_a_source_of_credentials_that_is_away_during_the_wait_is_waited_for(
    mode: Mode, connect: Connect, local_aws: Control, credentials: CredentialSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.serve_a_container(monkeypatch)
    credentials.is_away(skip=4, count=6)
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 1.5 * HOUR}, operation="ListJobs")

    ended = wait(mode, job_id="a", vault_name="photos", aws_conn_id=connect(access_key=None, attempts=1))

    assert ended.how == "success"
    assert credentials.requests > 10


@in_all_modes
def test_a_source_of_credentials_that_stays_away_ends_the_try(mode: Mode, connect: Connect, local_aws: Control) -> None:
    ended = wait(
        mode, job_id="a", vault_name="photos", max_bad_polls=1, aws_conn_id=connect(access_key=None, attempts=1)
    )

    assert ended.how == "to be retried"
    assert "Unable to locate credentials" in ended.value
    assert "check the Airflow connection" in ended.value


@in_all_modes
def test_a_vault_that_is_deleted_during_the_wait_fails_at_once(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("delete_vault", {"vault_name": "photos"}, operation="ListJobs", count=1)

    ended = wait(mode, job_id="a", **glacier)

    assert ended.how == "failed at once"
    assert "Vault not found" in ended.value


@in_all_modes
def test_an_undocumented_status_fails_at_once(mode: Mode, glacier: Any, local_aws: Control) -> None:
    lifecycle = {"verbatim": True}
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Paused", "Completed": False, "_life": lifecycle}])

    ended = wait(mode, job_id="a", **glacier)

    assert ended == Ended(
        "failed at once", "job a: StatusCode is 'Paused'; expected one of InProgress, Succeeded, Failed"
    )


@in_all_modes
def test_a_connection_that_does_not_exist_fails_at_once(mode: Mode, local_aws: Control) -> None:
    ended = wait(mode, job_id="a", vault_name="photos", aws_conn_id="nowhere", region_name="us-east-1")

    assert ended.how == "failed at once"
    assert "the Airflow connection 'nowhere' does not exist" in ended.value


@in_all_modes
@pytest.mark.parametrize("kind", TRANSIENT)
def test_transient_errors_of_polls_are_waited_out(mode: Mode, kind: str, glacier: Any, local_aws: Control) -> None:
    """The hook requests a page up to three times if its body cannot be read."""
    local_aws.add_jobs("photos", [job("a"), *[job(f"other-{number}") for number in range(60)]])
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs", skip=1)
    local_aws.fault(kind, operation="ListJobs", skip=1, count=3)

    ended = wait(mode, job_id="a", max_bad_polls=3, **glacier)

    assert ended.how == "success"


@in_all_modes
@pytest.mark.parametrize("kind", UNUSUAL_ANSWERS)
def test_unusual_pages_do_not_change_the_result(mode: Mode, kind: str, glacier: Any, local_aws: Control) -> None:
    ids = [f"job-{number:03}" for number in range(120)]
    local_aws.add_jobs("photos", [job(job_id) for job_id in ids])
    local_aws.fault(kind, operation="ListJobs", probability=0.5)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", skip=2, count=1)

    ended = wait(mode, job_id=ids, **glacier)

    assert ended == Ended("success", {"vault_name": "photos", "jobs": 120, "succeeded": 120, "failed": 0, "missing": 0})


@in_all_modes
def test_too_many_bad_polls_in_a_row_end_the_try(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("service_unavailable")

    ended = wait(mode, job_id="a", max_bad_polls=2, **glacier)

    assert ended.how == "to be retried"
    assert ended.value.startswith(
        "3 polls in a row of the jobs of vault photos failed (1 job: 1 pending). The last error: List Jobs of vault "
        "photos in us-east-1: AWS answered ServiceUnavailableException (HTTP 500)"
    )
    assert local_aws.calls().total == 3


@in_all_modes
def test_a_good_poll_resets_the_count_of_bad_ones(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    for good_polls in range(3):
        local_aws.fault("throttling", skip=1 + 2 * good_polls + good_polls, count=2)
    local_aws.hook("advance", {"seconds": HOUR}, operation="ListJobs")

    ended = wait(mode, job_id="a", max_bad_polls=2, **glacier)

    assert ended.how == "success"


@in_all_modes
def test_with_silent_fail_any_number_of_bad_polls_is_ignored(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=0)])
    local_aws.fault("service_unavailable", count=5)

    ended = wait(mode, job_id="a", max_bad_polls=0, silent_fail=True, **glacier)

    assert ended.how == "success"


@in_all_modes
def test_the_timeout_counts_from_the_start_of_the_try(mode: Mode, glacier: Any, local_aws: Control) -> None:
    """The try started almost two hours ago, so the timeout of two hours ends soon after the first poll."""
    local_aws.add_jobs("photos", [job("a")])
    started_at = datetime.now(timezone.utc) - timedelta(hours=2, seconds=-0.3)

    ended = wait(mode, new_context(start_date=started_at), job_id="a", timeout=2 * HOUR, **glacier)

    assert ended.how == "timed out"
    assert ended.value == (
        "1 of 1 awaited jobs of vault photos are still pending after 7200 s (1 job: 1 pending):\n- a"
    )


@in_all_modes
def test_the_last_poll_is_at_the_deadline(mode: Mode, glacier: Any, local_aws: Control) -> None:
    """The interval is longer than the timeout, and the job succeeds after the first poll."""
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", count=1)

    ended = wait(mode, job_id="a", timeout=2, poke_interval=HOUR, **glacier)

    assert ended.how == "success"


@in_all_modes
def test_a_timeout_with_soft_fail_skips(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])

    assert wait(mode, job_id="a", timeout=0.2, soft_fail=True, **glacier).how == "skipped"


@in_all_modes
def test_a_failed_job_with_soft_fail_skips(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a", outcome="Failed")])
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs")

    assert wait(mode, job_id="a", soft_fail=True, **glacier).how == "skipped"


@in_all_modes
def test_a_missing_job_with_soft_fail_skips(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    assert wait(mode, job_id="a", missing_grace=0, soft_fail=True, **glacier).how == "skipped"


@in_all_modes
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"job_id": []}, "job_id is empty"),
        ({"vault_name": "no name"}, "vault_name is 'no name'"),
        ({"vault_name": "nowhere"}, "Vault not found"),
        ({"account_id": "12"}, "account_id is '12'"),
        ({"aws_conn_id": "nowhere"}, "the Airflow connection 'nowhere' does not exist"),
        (
            {"outcome_uri": "s3://nowhere@outcomes/today.parquet"},
            "the Airflow connection in outcome_uri does not exist",
        ),
        ({"botocore_config": {"no_such_setting": 1}}, "no_such_setting"),
        ({"region_name": "no region"}, "no region"),
        ({"verify": "/no/such/bundle.pem"}, "verify is '/no/such/bundle.pem'; expected"),
    ],
    ids=str,
)
def test_what_only_a_person_can_correct_fails_without_a_retry_also_with_soft_fail(
    mode: Mode, arguments: Any, message: str, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])

    ended = wait(mode, **{"job_id": "a", "soft_fail": True, "region_name": "us-east-1", **glacier, **arguments})

    assert ended.how == "failed at once"
    assert message in ended.value


@pytest.mark.parametrize("name", ["job_id", "outcome_uri"])
def test_a_uri_with_a_secret_is_refused_when_the_dag_is_parsed(name: str) -> None:
    uris: Any = {"job_id": "a", name: "s3://login:pa55word@bucket/file"}

    with pytest.raises(AirflowFailException, match=f"{name} has a text of .* not the id of a connection") as caught:
        GlacierJobSensor(task_id="wait", vault_name="photos", **uris)

    assert "pa55word" not in str(caught.value)


@in_all_modes
def test_access_that_is_denied_fails_without_a_retry_also_with_soft_fail(
    mode: Mode, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("access_denied")

    assert wait(mode, job_id="a", soft_fail=True, **glacier).how == "failed at once"


@in_all_modes
def test_a_refusal_during_the_wait_fails_without_a_retry_also_with_soft_fail(
    mode: Mode, glacier: Any, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("delete_vault", {"vault_name": "photos"}, operation="ListJobs", count=1)

    assert wait(mode, job_id="a", soft_fail=True, silent_fail=True, **glacier).how == "failed at once"


@in_all_modes
def test_bad_polls_with_soft_fail_are_still_retried(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("service_unavailable", skip=1)

    assert wait(mode, job_id="a", soft_fail=True, max_bad_polls=1, **glacier).how == "to be retried"


@in_all_modes
def test_any_failure_with_never_fail_skips(mode: Mode, glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.fault("service_unavailable", skip=1)

    assert wait(mode, job_id="a", never_fail=True, max_bad_polls=1, **glacier).how == "skipped"


@in_all_modes
@pytest.mark.parametrize("job_id", [[], "", None, ["a", None], "[]", 7, "{'id': 'a'}", "file:///nowhere/at/all"])
def test_invalid_ids_fail_at_once(mode: Mode, job_id: Any, glacier: Any, local_aws: Control) -> None:
    ended = wait(mode, job_id=job_id, **glacier)

    assert ended.how == "failed at once"
    assert "job_id" in ended.value
    assert local_aws.calls().total == 0


@in_all_modes
def test_ids_can_be_read_from_a_file(mode: Mode, glacier: Any, local_aws: Control, tmp_path: Path) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), job("b", duration_seconds=HOUR)])
    local_aws.hook("advance", {"seconds": 2 * HOUR}, operation="ListJobs")
    (tmp_path / "ids.txt").write_text("a\nb\na\n")

    ended = wait(mode, job_id=f"file://{tmp_path}/ids.txt", **glacier)

    assert ended.value == {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0}


@in_modes_that_poke
def test_transient_errors_of_reading_ids_are_waited_out(
    mode: Mode, glacier: Any, local_aws: Control, ids_on_s3: IdsOnS3
) -> None:
    local_aws.add_jobs("photos", [job("a", duration_seconds=0), job("b", duration_seconds=0)])
    ids_on_s3.fail(UNAVAILABLE, count=2)

    ended = wait(mode, job_id=ids_on_s3.uri, max_bad_polls=2, **glacier)

    assert ended == Ended("success", {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0})


@in_modes_that_poke
def test_failed_reads_of_ids_are_limited_like_bad_polls(mode: Mode, glacier: Any, ids_on_s3: IdsOnS3) -> None:
    ids_on_s3.fail(UNAVAILABLE)

    ended = wait(mode, job_id=ids_on_s3.uri, max_bad_polls=1, **glacier)

    assert ended.how == "to be retried"
    assert ended.value.startswith(
        "2 polls in a row of the jobs of vault photos failed (no jobs known). "
        f"The last error: job_id is '{ids_on_s3.uri}', which cannot be read now"
    )


@in_modes_that_poke
def test_failed_reads_of_ids_and_bad_polls_are_counted_together(
    mode: Mode, glacier: Any, local_aws: Control, ids_on_s3: IdsOnS3
) -> None:
    ids_on_s3.fail(UNAVAILABLE, count=1)
    local_aws.fault("service_unavailable")

    ended = wait(mode, job_id=ids_on_s3.uri, max_bad_polls=1, **glacier)

    assert ended.how == "to be retried"
    assert ended.value.startswith("2 polls in a row of the jobs of vault photos failed (2 jobs: 2 pending)")


@in_modes_that_poke
def test_ids_that_cannot_be_read_are_waited_for_until_the_deadline(
    mode: Mode, glacier: Any, ids_on_s3: IdsOnS3
) -> None:
    ids_on_s3.fail(UNAVAILABLE)

    ended = wait(mode, job_id=ids_on_s3.uri, timeout=0.3, silent_fail=True, **glacier)

    assert ended == Ended("timed out", "0.3 s are over, and the ids of the awaited jobs of vault photos cannot be read")


def test_a_deferrable_sensor_that_cannot_read_ids_is_retried(glacier: Any, ids_on_s3: IdsOnS3) -> None:
    ids_on_s3.fail(UNAVAILABLE, count=1)

    assert wait("deferrable", job_id=ids_on_s3.uri, **glacier).how == "to be retried"


def test_a_file_of_ids_is_not_needed_any_more_once_the_wait_has_read_it(
    glacier: Any, local_aws: Control, tmp_path: Path
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs", count=1)
    (tmp_path / "ids.txt").write_text("a\n")
    sensor = GlacierJobSensor(task_id="wait", mode="poke", job_id=f"file://{tmp_path}/ids.txt", **glacier)
    context = new_context()

    assert not sensor.poke(context).is_done
    (tmp_path / "ids.txt").unlink()

    assert sensor.poke(context).is_done


@needs_task_state_store
def test_a_rescheduled_sensor_keeps_results_while_ids_cannot_be_read(
    glacier: Any, local_aws: Control, ids_on_s3: IdsOnS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Glacier drops one of the two jobs before the ids, which are not stored, can be read again."""
    monkeypatch.setattr("glacier_jobs.waiting.task_state.STORED_IDS_AT_MOST", 0)
    local_aws.add_jobs("photos", [job("a", duration_seconds=1 * HOUR), job("b", duration_seconds=60 * HOUR)])
    context = new_context()
    sensor = GlacierJobSensor(task_id="wait", job_id=ids_on_s3.uri, **glacier)
    for hours, failures in ((2, 0), (40, 1)):
        local_aws.advance(hours * HOUR)
        ids_on_s3.fail(UNAVAILABLE, count=failures)
        with pytest.raises(AirflowRescheduleException):
            sensor.execute(context)
    local_aws.advance(20 * HOUR)

    result = sensor.execute(context)

    assert result == {"vault_name": "photos", "jobs": 2, "succeeded": 2, "failed": 0, "missing": 0}


@in_all_modes
def test_requests_go_to_the_given_region_and_account(mode: Mode, connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")], account_id="210987654321", region="eu-west-1")
    local_aws.hook("advance", {"seconds": 3 * HOUR}, operation="ListJobs")

    ended = wait(
        mode,
        job_id="a",
        vault_name="photos",
        account_id="210987654321",
        aws_conn_id=connect(region_name=None),
        region_name="eu-west-1",
        botocore_config={"user_agent_extra": "waits"},
    )

    assert ended.how == "success"
    requested = {(request["account"], request["region"]) for request in local_aws.requests()}
    assert requested == {("210987654321", "eu-west-1")}


@needs_task_state_store
def test_a_rescheduled_wait_continues_in_another_process(glacier: Any, local_aws: Control) -> None:
    """Each poke is a new sensor object. Only the task's state store has the result of the previous poke."""
    local_aws.add_jobs("photos", [job("a")])
    context = new_context()
    with pytest.raises(AirflowRescheduleException):
        GlacierJobSensor(task_id="wait", job_id="a", **glacier).execute(context)
    local_aws.advance(40 * HOUR)

    with pytest.raises(AirflowFailException, match="a is missing"):
        GlacierJobSensor(task_id="wait", job_id="a", **glacier).execute(context)


@needs_task_state_store
def test_a_retry_starts_with_new_state(glacier: Any, local_aws: Control) -> None:
    """The second try does not use the state of the first, so the job is not missing. It has its own timeout."""
    local_aws.add_jobs("photos", [job("a")])
    context = new_context()
    sensor = GlacierJobSensor(task_id="wait", job_id="a", timeout=HOUR, poke_interval=600, **glacier)
    with pytest.raises(AirflowRescheduleException):
        sensor.execute(context)
    local_aws.remove_jobs("photos", ["a"])
    context["ti"] = TaskInstance(try_number=2)

    with pytest.raises(AirflowRescheduleException) as rescheduled:
        sensor.execute(context)

    next_poke_after = rescheduled.value.reschedule_date - datetime.now(timezone.utc)
    assert next_poke_after > timedelta(minutes=9)


@needs_task_state_store
def test_a_rescheduled_wait_continues_for_the_same_jobs_if_its_templates_are_rendered_differently(
    connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [job("a")])
    local_aws.add_jobs("films", [job("b", duration_seconds=0)])
    conn_id = connect(attempts=1)
    context = new_context()
    with pytest.raises(AirflowRescheduleException):
        GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", aws_conn_id=conn_id).execute(context)
    local_aws.advance(5 * HOUR)

    result = GlacierJobSensor(task_id="wait", vault_name="films", job_id=["b"], aws_conn_id=conn_id).execute(context)

    assert result["JobId"] == "a"


@needs_task_state_store
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_wait_whose_many_ids_change_between_two_pokes_is_refused(
    soft_fail: bool, glacier: Any, local_aws: Control
) -> None:
    """So many ids are not stored. A new try begins with the new ids."""
    ids = local_aws.add_jobs("photos", [job(f"job-{number:03}") for number in range(STORED_IDS_AT_MOST + 1)])
    context = new_context()
    with pytest.raises(AirflowRescheduleException):
        GlacierJobSensor(task_id="wait", job_id=ids, **glacier).execute(context)
    local_aws.advance(5 * HOUR)
    sensor = GlacierJobSensor(task_id="wait", job_id=ids[1:], soft_fail=soft_fail, **glacier)

    with pytest.raises(
        AirflowFailException, match=r"the ids of this wait have changed(.|\n)* expected the same 101 ids"
    ):
        sensor.execute(context)

    context["ti"] = TaskInstance(try_number=2)
    assert sensor.execute(context)["succeeded"] == STORED_IDS_AT_MOST


@needs_task_state_store
def test_a_rescheduled_poke_does_not_start_before_airflow_has_ended_the_last_one(
    glacier: Any, local_aws: Control
) -> None:
    """This also holds for a short interval and for a near deadline."""
    local_aws.add_jobs("photos", [job("a")])

    shorts: list[dict[str, Any]] = [{"poke_interval": 1}, {"timeout": 5}]
    for short in shorts:
        with pytest.raises(AirflowRescheduleException) as rescheduled:
            GlacierJobSensor(task_id="wait", job_id="a", **short, **glacier).execute(new_context())
        assert rescheduled.value.reschedule_date - datetime.now(timezone.utc) > timedelta(seconds=14)


@needs_task_state_store
def test_a_poke_with_a_transient_error_is_repeated_with_backoff(glacier: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault("throttling")
    context = new_context()
    sensor = GlacierJobSensor(task_id="wait", job_id="a", poke_interval=60, **glacier)

    dates = []
    for _ in range(6):
        with pytest.raises(AirflowRescheduleException) as rescheduled:
            sensor.execute(context)
        dates.append((rescheduled.value.reschedule_date - datetime.now(timezone.utc)).total_seconds())

    assert min(dates) >= 59
    assert max(dates) <= 60 * 2**6
    assert max(dates) > 65


@pytest.mark.parametrize("has_store", [False, True])
def test_a_sensor_is_rescheduled_by_default_where_airflow_keeps_the_state_of_a_task(
    has_store: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "HAS_TASK_STATE_STORE", has_store)

    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a")

    assert (sensor.mode, sensor.deferrable) == ("reschedule" if has_store else "poke", False)


def test_an_empty_mode_is_refused_by_airflow() -> None:
    with pytest.raises(Exception, match="mode must be one of"):
        GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", mode="")


@pytest.mark.parametrize("mode", ["poke", None])
def test_without_a_task_state_store_a_sensor_can_poke(mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "HAS_TASK_STATE_STORE", False)

    assert GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", mode=mode).mode == "poke"


def test_without_a_task_state_store_the_mode_reschedule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poke would be a new wait: a job that ended and expired between two pokes would count as missing."""
    monkeypatch.setattr(compat, "HAS_TASK_STATE_STORE", False)

    with pytest.raises(
        ArgumentRefused, match=r'"reschedule", which needs Airflow 3\.3(.|\n)*deferrable=True, or mode="poke"'
    ):
        GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", mode="reschedule")


def test_a_deferrable_sensor_is_not_rescheduled(monkeypatch: pytest.MonkeyPatch) -> None:
    """So its mode does not matter, for example where it comes from ``default_args``."""
    monkeypatch.setattr(compat, "HAS_TASK_STATE_STORE", False)

    assert GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", mode="reschedule", deferrable=True)


def test_the_defaults_fit_glacier() -> None:
    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a")

    assert timedelta(seconds=sensor.poke_interval) == timedelta(minutes=10)
    assert timedelta(hours=12) < timedelta(seconds=sensor.timeout) < timedelta(days=7)


def test_deferral_is_the_default_if_airflow_is_configured_so(tmp_path: Path) -> None:
    """The default is read when the module is imported, as in Airflow's own operators."""
    program = (
        "from glacier_jobs.sensors import GlacierJobSensor\n"
        "print(GlacierJobSensor(task_id='wait', vault_name='photos', job_id='a').deferrable)"
    )
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        "PYTHONPATH": str(Path(glacier_jobs.__file__).parent.parent),
    }

    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stdout.strip().endswith("True")


def test_a_misspelt_region_is_refused() -> None:
    with pytest.raises(TypeError, match="region_name"):
        GlacierJobSensor(task_id="wait", vault_name="photos", job_id="a", region="eu-west-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_bad_polls", value) for value in (-1, 1.5, True, "3")),
        *(
            (name, value)
            for name in ("timeout", "poke_interval", "missing_grace", "max_wait")
            for value in (-1, "1", 1e15)
        ),
        ("outcome_uri", "s3://login:pa55word@bucket/file"),
    ],
)
def test_an_invalid_argument_of_a_mapped_task_fails_without_a_retry(name: str, value: Any) -> None:
    """Airflow creates a mapped task in its run, and retries all other errors."""
    with DAG("waits", schedule=None):
        mapped = GlacierJobSensor.partial(task_id="wait", vault_name="photos", job_id="a").expand_kwargs(
            [{name: value}]
        )

    with pytest.raises(AirflowFailException, match=f"^{name} ") as caught:
        mapped.unmap({name: value})

    assert isinstance(caught.value, InvalidArgument)
    assert isinstance(caught.value, ValueError)


def test_every_template_field_is_an_argument_and_those_of_the_aws_base_class_are_included() -> None:
    arguments: dict[str, Any] = {
        "vault_name": "{{ v }}",
        "job_id": "{{ j }}",
        "account_id": "{{ a }}",
        "outcome_uri": "{{ o }}",
        "aws_conn_id": "{{ c }}",
        "region_name": "{{ r }}",
        "verify": "{{ f }}",
        "botocore_config": {"user_agent_extra": "{{ b }}"},
    }
    sensor = GlacierJobSensor(task_id="wait", **arguments)

    assert {name: getattr(sensor, name) for name in sensor.template_fields} == arguments


def test_a_deferral_keeps_every_setting_and_the_timeout(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [job("a")])
    started_at = datetime.now(timezone.utc) - timedelta(hours=1)
    settings = {"region_name": "us-east-1", "verify": False, "botocore_config": {"connect_timeout": 7}}

    deferred = deferral(new_context(start_date=started_at), job_id="a", timeout=3 * HOUR, **settings, **glacier)
    _, kwargs = deferred.trigger.serialize()

    assert kwargs.items() >= {**settings, **glacier, "account_id": "-", "job_ids": ["a"]}.items()
    assert datetime.fromisoformat(kwargs["deadline"]) == started_at + timedelta(hours=3)
    assert deferred.timeout is not None
    assert timedelta(hours=2) < deferred.timeout < timedelta(hours=2, minutes=2)


@pytest.mark.parametrize("job_id", ["a", ["a", "b"]])
def test_no_description_can_be_read_in_a_trigger_or_its_event(job_id: Any, glacier: Any, local_aws: Control) -> None:
    """Airflow logs events."""
    local_aws.add_jobs("photos", [{**job(job_id), "JobDescription": "holiday pictures"} for job_id in "ab"])
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="ListJobs")

    deferred = deferral(job_id=job_id, **glacier)
    event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))

    assert "holiday" not in str(deferred.trigger.serialize()) + str(event.payload)
    assert (event.payload["description"] is None) == (job_id != "a")


def test_the_tasks_page_in_airflow_links_to_the_vault(glacier: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded"}])
    context = new_context()
    GlacierJobSensor(task_id="wait", mode="poke", job_id="a", **glacier).execute(context)

    link = GlacierVaultLink().format_link(**context["ti"].xcoms["glacier_vault"])

    assert link == ("https://console.aws.amazon.com/glacier/home?region=us-east-1#/vault/photos/view/properties")
