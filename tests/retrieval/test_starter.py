"""A job is started once, whatever happens: Glacier's own counters prove it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glacier_jobs.errors import (
    AccessDenied,
    ArchiveNotFound,
    GlacierJobsError,
    InsufficientCapacity,
    IntentExpired,
    InvalidArgument,
    JobFailed,
    PolicyEnforced,
    ServiceUnavailable,
    Throttled,
    TransientError,
    VaultNotFound,
)
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.starter import check_reuse
from glacier_jobs.retrieval.tokens import has_token, token_of
from local_aws.client import Control
from tests.retrieval.conftest import NewStarter, Time
from tests.waits import StateStore

HOUR = 3600
REQUEST = JobRequest.checked(
    vault_name="photos", job_type="archive-retrieval", archive_id="a1", tier="Bulk", description="one of many"
)
TOKEN = token_of(REQUEST, {"task_id": "start"})


def listed_jobs(local_aws: Control) -> list[str]:
    """Return the ids of all jobs of the vault that were started, also those that Glacier does not list yet."""
    return [job["JobId"] for job in local_aws.jobs("photos", unlisted=True)]


def add_job(local_aws: Control, **overrides: Any) -> None:
    """Add a job for the whole archive ``a1``, in progress, which another program started."""
    job = {
        "JobId": "theirs",
        "Action": "ArchiveRetrieval",
        "ArchiveId": "a1",
        "ArchiveSizeInBytes": 3 * 1024 * 1024,
        "RetrievalByteRange": f"0-{3 * 1024 * 1024 - 1}",
        "Tier": "Bulk",
        "_life": {"duration_seconds": 12 * HOUR},
    }
    local_aws.add_jobs("photos", [{**job, **overrides}])


def test_a_first_try_starts_the_job_at_once(new_starter: NewStarter, time: Time, local_aws: Control) -> None:
    job = new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert job.initiation == "started"
    assert listed_jobs(local_aws) == [job.description["JobId"]]
    assert job.description["JobDescription"] == f"one of many {TOKEN}"
    assert (job.description["ArchiveId"], job.description["Tier"]) == ("a1", "Bulk")
    assert time.pauses == []


def test_a_first_try_without_reuse_lists_no_jobs(new_starter: NewStarter, local_aws: Control) -> None:
    new_starter(reuse="never").start(REQUEST, TOKEN, may_exist=False)

    assert local_aws.calls().by_operation == {"InitiateJob": 1, "DescribeJob": 1}


@pytest.mark.parametrize("has_store", [False, True], ids=["no store", "store"])
@pytest.mark.parametrize("reuse", ["equal", "never"])
def test_a_later_try_finds_the_job(
    new_starter: NewStarter, time: Time, local_aws: Control, has_store: bool, reuse: str
) -> None:
    store = StateStore() if has_store else None
    first = new_starter(store, reuse=reuse).start(REQUEST, TOKEN, may_exist=False)

    later = new_starter(store, reuse=reuse).start(REQUEST, TOKEN, may_exist=True)

    assert (later.initiation, later.description["JobId"]) == ("found", first.description["JobId"])
    assert local_aws.calls().by_operation["InitiateJob"] == 1
    assert time.pauses == []


NO_ANSWER = {
    "no answer": ("dropped_connection", {"after_effect": True}),
    "500": ("service_unavailable", {"after_effect": True}),
    "408": ("request_timeout", {"after_effect": True}),
    "page of a proxy": ("not_json", {}),
}


@pytest.mark.parametrize("listed_after_seconds", [0, 14 * 60])
@pytest.mark.parametrize("case", NO_ANSWER)
def test_a_job_that_was_started_without_an_answer_is_found(
    new_starter: NewStarter, time: Time, local_aws: Control, case: str, listed_after_seconds: int
) -> None:
    kind, arguments = NO_ANSWER[case]
    local_aws.settings(listed_after_seconds=listed_after_seconds)
    local_aws.fault(kind, operation="InitiateJob", count=1, **arguments)

    job = new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert job.initiation == "started"
    assert listed_jobs(local_aws) == [job.description["JobId"]]
    assert local_aws.calls().by_operation["InitiateJob"] == 1


@pytest.mark.parametrize(
    ("kind", "arguments"), [("dropped_connection", {}), ("service_unavailable", {}), ("request_timeout", {})]
)
def test_a_request_that_glacier_did_not_execute_is_repeated_once_that_is_proved(
    new_starter: NewStarter, time: Time, local_aws: Control, kind: str, arguments: dict[str, Any]
) -> None:
    local_aws.fault(kind, operation="InitiateJob", count=1, **arguments)

    job = new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert job.initiation == "started"
    assert listed_jobs(local_aws) == [job.description["JobId"]]
    assert local_aws.calls().by_operation["InitiateJob"] == 2
    assert timedelta(minutes=15) < time.paused < timedelta(minutes=25)


def test_two_complete_listings_prove_that_there_is_no_job(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    local_aws.fault("dropped_connection", operation="InitiateJob", count=1)
    add_job(local_aws, ArchiveId="a2")

    new_starter(reuse="never").start(REQUEST, TOKEN, may_exist=False)

    operations = [call["operation"] for call in local_aws.requests()]
    first = operations.index("InitiateJob")
    second = operations.index("InitiateJob", first + 1)
    assert operations[second - 2 : second] == ["ListJobs", "ListJobs"]
    # All pauses lie before the last two listings: these begin after the job would be listed.
    assert len(operations[first + 1 : second]) == len(time.pauses) + 2


def test_a_request_that_is_never_answered_is_given_up(new_starter: NewStarter, local_aws: Control) -> None:
    local_aws.fault("dropped_connection", operation="InitiateJob")

    with pytest.raises(ServiceUnavailable, match="no job was started for archive a1, after 3 requests"):
        new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert listed_jobs(local_aws) == []


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("access_denied", AccessDenied),
        ("insufficient_capacity", InsufficientCapacity),
        ("policy_enforced", PolicyEnforced),
        ("vault_not_found", VaultNotFound),
    ],
)
def test_a_refusal_leaves_nothing_to_look_for(
    new_starter: NewStarter, time: Time, local_aws: Control, kind: str, error: type[GlacierJobsError]
) -> None:
    store = StateStore()
    fault = local_aws.fault(kind, operation="InitiateJob")
    with pytest.raises(error):
        new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    assert local_aws.calls().by_operation["InitiateJob"] == 1
    local_aws.remove_fault(fault)

    job = new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert job.initiation == "started"
    assert time.pauses == []


@pytest.mark.usefixtures("no_backoff")
def test_a_throttled_request_is_repeated(new_starter: NewStarter, local_aws: Control) -> None:
    local_aws.fault("throttling", operation="InitiateJob", count=5)

    job = new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert listed_jobs(local_aws) == [job.description["JobId"]]
    assert local_aws.calls().by_operation["InitiateJob"] == 6


def test_an_unknown_archive_is_named(new_starter: NewStarter) -> None:
    request = JobRequest.checked(vault_name="photos", job_type="archive-retrieval", archive_id="jobless")

    with pytest.raises(ArchiveNotFound, match="jobless"):
        new_starter().start(request, TOKEN, may_exist=False)


def test_a_later_try_without_a_stored_intent_looks_and_starts_at_once(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    job = new_starter(StateStore()).start(REQUEST, TOKEN, may_exist=True)

    assert job.initiation == "started"
    assert time.pauses == []
    assert local_aws.calls().by_operation["ListJobs"] == 1


def test_a_later_try_without_a_store_waits_until_a_job_would_be_listed(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    job = new_starter().start(REQUEST, TOKEN, may_exist=True)

    assert job.initiation == "started"
    assert time.paused > timedelta(minutes=15)


def test_a_try_that_was_killed_before_the_answer_leaves_an_intent(
    new_starter: NewStarter, time: Time, local_aws: Control, hook: GlacierJobsHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill is an exception that nothing catches; ``tests/drills`` kills a process."""
    local_aws.settings(listed_after_seconds=600)
    store = StateStore()
    initiate = hook.initiate

    def killed(request: JobRequest, guard: Any) -> str:
        initiate(request, guard)
        raise SystemExit

    monkeypatch.setattr(hook, "initiate", killed)
    with pytest.raises(SystemExit):
        new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    monkeypatch.undo()

    job = new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert (job.initiation, [job.description["JobId"]]) == ("found", listed_jobs(local_aws))


def test_a_process_that_was_suspended_starts_nothing(new_starter: NewStarter, time: Time, local_aws: Control) -> None:
    class SlowStore(StateStore):
        """Takes an hour to store a value, as does a process that is suspended meanwhile."""

        def set(self, key: str, value: Any) -> None:
            super().set(key, value)
            local_aws.advance(HOUR)

    with pytest.raises(TransientError, match="more than 60 s passed"):
        new_starter(SlowStore()).start(REQUEST, TOKEN, may_exist=False)

    assert listed_jobs(local_aws) == []


def test_the_job_of_an_earlier_try_that_failed_is_not_started_again(
    new_starter: NewStarter, local_aws: Control
) -> None:
    store = StateStore()
    local_aws.next_outcome("Failed", status_message="archive was deleted", duration_seconds=60)
    new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(60)

    with pytest.raises(JobFailed, match=r"archive was deleted\. Clear the task to start another"):
        new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert len(listed_jobs(local_aws)) == 1


def test_a_job_that_failed_is_started_again_for_a_task_that_was_cleared(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    store = StateStore()
    local_aws.next_outcome("Failed", duration_seconds=60)
    failed = new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(60)

    again = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)
    later = new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert again.initiation == "started"
    assert later.description["JobId"] == again.description["JobId"] != failed.description["JobId"]
    assert time.pauses == []


def test_the_second_job_of_a_cleared_task_is_found_although_the_first_failed(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    store = StateStore()
    local_aws.next_outcome("Failed", duration_seconds=60)
    new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(HOUR)
    local_aws.settings(listed_after_seconds=600)
    second = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)

    third = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)

    assert third.description["JobId"] == second.description["JobId"]


def test_an_old_failed_job_is_not_taken_for_that_of_a_request_without_an_answer(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    store = StateStore()
    local_aws.next_outcome("Failed", duration_seconds=60)
    failed = new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(HOUR)
    local_aws.settings(listed_after_seconds=600)
    local_aws.fault("service_unavailable", operation="InitiateJob", count=1, after_effect=True)

    second = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)

    assert second.initiation == "started"
    assert listed_jobs(local_aws) == [failed.description["JobId"], second.description["JobId"]]


@pytest.mark.parametrize("cleared", [False, True])
def test_a_job_that_was_started_just_after_another_failed_is_found(
    new_starter: NewStarter,
    time: Time,
    local_aws: Control,
    hook: GlacierJobsHook,
    monkeypatch: pytest.MonkeyPatch,
    cleared: bool,
) -> None:
    store = StateStore()
    local_aws.next_outcome("Failed", duration_seconds=60)
    new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(90)
    local_aws.settings(listed_after_seconds=600)
    initiate = hook.initiate

    def killed(request: JobRequest, guard: Any) -> str:
        initiate(request, guard)
        raise SystemExit

    monkeypatch.setattr(hook, "initiate", killed)
    with pytest.raises(SystemExit):
        new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)
    monkeypatch.undo()

    third = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=cleared)

    assert third.initiation == "found"
    assert listed_jobs(local_aws)[1:] == [third.description["JobId"]]


def test_a_job_that_failed_before_it_was_listed_is_that_of_the_intent(
    new_starter: NewStarter, time: Time, local_aws: Control, hook: GlacierJobsHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StateStore()
    initiate = hook.initiate

    def killed(request: JobRequest, guard: Any) -> str:
        initiate(request, guard)
        raise SystemExit

    local_aws.settings(listed_after_seconds=600)
    local_aws.next_outcome("Failed", duration_seconds=60)
    monkeypatch.setattr(hook, "initiate", killed)
    with pytest.raises(SystemExit):
        new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    monkeypatch.undo()

    with pytest.raises(JobFailed, match="Clear the task"):
        new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert len(listed_jobs(local_aws)) == 1


@pytest.mark.usefixtures("no_backoff")
def test_a_throttled_process_that_was_suspended_makes_no_further_request(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    """Its next attempt would come an hour later, when another try may have started the job."""
    local_aws.fault("throttling", operation="InitiateJob", count=1)
    # For the listing, the intent and the first attempt.
    times = iter([time.now()] * 3)
    late = replace(new_starter(StateStore()), clock=lambda: next(times, time.now() + timedelta(hours=1)))

    with pytest.raises(IntentExpired, match="more than 60 s passed"):
        late.start(REQUEST, TOKEN, may_exist=False)

    assert listed_jobs(local_aws) == []


def test_a_task_that_is_cleared_after_its_store_was_emptied_is_in_doubt(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    """Airflow can be configured to empty the store of a task that has succeeded."""
    local_aws.settings(listed_after_seconds=600)
    first = new_starter(StateStore()).start(REQUEST, TOKEN, may_exist=False)

    again = new_starter(StateStore()).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)

    assert again.description["JobId"] == first.description["JobId"]


def test_a_task_that_is_cleared_after_a_refusal_starts_the_job_at_once(
    new_starter: NewStarter, time: Time, local_aws: Control
) -> None:
    store = StateStore()
    fault = local_aws.fault("access_denied", operation="ListJobs")
    with pytest.raises(AccessDenied):
        new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.remove_fault(fault)

    job = new_starter(store).start(REQUEST, TOKEN, may_exist=True, restart_failed=True)

    assert job.initiation == "started"
    assert time.pauses == []


def test_an_error_after_the_start_says_that_the_job_was_started(new_starter: NewStarter, local_aws: Control) -> None:
    local_aws.fault("access_denied", operation="DescribeJob")

    with pytest.raises(AccessDenied, match=r"the job \S+ was started, but cannot be described"):
        new_starter().start(REQUEST, TOKEN, may_exist=False)


def test_a_job_whose_output_may_be_deleted_is_started_again(
    new_starter: NewStarter, local_aws: Control, time: Time
) -> None:
    store = StateStore()
    local_aws.settings(retention_seconds=48 * HOUR)
    local_aws.next_outcome("Succeeded", duration_seconds=60)
    old = new_starter(store).start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(60 + 24 * HOUR)

    new = new_starter(store).start(REQUEST, TOKEN, may_exist=True)

    assert new.initiation == "started"
    assert new.description["JobId"] != old.description["JobId"]


def test_the_own_job_is_used_however_little_time_is_left(
    new_starter: NewStarter, local_aws: Control, time: Time
) -> None:
    local_aws.next_outcome("Succeeded", duration_seconds=60)
    old = new_starter().start(REQUEST, TOKEN, may_exist=False)
    local_aws.advance(60 + 23 * HOUR)

    found = new_starter().start(REQUEST, TOKEN, may_exist=True)

    assert (found.initiation, found.description["JobId"]) == ("found", old.description["JobId"])


def test_an_equal_job_of_another_program_is_used(new_starter: NewStarter, local_aws: Control) -> None:
    add_job(local_aws)

    job = new_starter().start(REQUEST, TOKEN, may_exist=False)

    assert (job.initiation, job.description["JobId"]) == ("found", "theirs")
    assert "InitiateJob" not in local_aws.calls().by_operation


@pytest.mark.parametrize(
    "overrides",
    [
        {"ArchiveId": "a2"},
        {"RetrievalByteRange": "0-1048575"},
        {"StatusCode": "Failed", "_life": {}},
        {"Action": "InventoryRetrieval"},
    ],
)
def test_a_job_for_something_else_is_not_used(
    new_starter: NewStarter, local_aws: Control, overrides: dict[str, Any]
) -> None:
    add_job(local_aws, **overrides)

    assert new_starter().start(REQUEST, TOKEN, may_exist=False).initiation == "started"


def test_an_equal_job_is_not_used_without_reuse(new_starter: NewStarter, local_aws: Control) -> None:
    add_job(local_aws)

    assert new_starter(reuse="never").start(REQUEST, TOKEN, may_exist=False).initiation == "started"


@pytest.mark.parametrize(("hours", "initiation"), [(17.9, "found"), (18.1, "started")])
def test_an_equal_job_must_be_kept_long_enough(
    new_starter: NewStarter, local_aws: Control, time: Time, hours: float, initiation: str
) -> None:
    add_job(local_aws, _life={"duration_seconds": 60})
    local_aws.advance(60 + hours * HOUR)

    assert new_starter(min_hours_left=6).start(REQUEST, TOKEN, may_exist=False).initiation == initiation


def test_of_several_equal_jobs_the_completed_one_that_is_kept_longest_is_used(
    new_starter: NewStarter, local_aws: Control, time: Time
) -> None:
    add_job(local_aws, JobId="old", _life={"duration_seconds": 60})
    add_job(local_aws, JobId="new", _life={"duration_seconds": 3 * HOUR})
    add_job(local_aws, JobId="running", _life={"duration_seconds": 24 * HOUR})
    local_aws.advance(6 * HOUR)

    assert new_starter().start(REQUEST, TOKEN, may_exist=False).description["JobId"] == "new"


def test_a_new_job_that_describe_job_does_not_know_yet_is_described_later(
    new_starter: NewStarter, local_aws: Control, time: Time
) -> None:
    local_aws.fault("job_not_found", operation="DescribeJob", count=2)

    job = new_starter(reuse="never").start(REQUEST, TOKEN, may_exist=False)

    assert job.description["ArchiveId"] == "a1"
    assert len(time.pauses) == 2


@pytest.mark.parametrize("value", ["always", None, True])
def test_a_value_for_reuse_that_is_not_known_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="allowed are equal, never"):
        check_reuse(value)


FATES = ("answered", "no answer", "refused", "killed", "not executed")


@pytest.mark.usefixtures("no_backoff")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=5),
    listed_after_seconds=st.sampled_from([0, 5, 300, 899]),
    has_store=st.booleans(),
)
def test_no_series_of_tries_starts_two_jobs(
    new_starter: NewStarter,
    time: Time,
    local_aws: Control,
    hook: GlacierJobsHook,
    fates: list[str],
    listed_after_seconds: int,
    has_store: bool,
) -> None:
    local_aws.remove_jobs("photos", listed_jobs(local_aws))
    local_aws.settings(listed_after_seconds=listed_after_seconds)
    store = StateStore() if has_store else None
    for number, fate in enumerate(fates):
        local_aws.clear_faults()
        with pytest.MonkeyPatch.context() as patch:
            if fate == "no answer":
                local_aws.fault("service_unavailable", operation="InitiateJob", count=1, after_effect=True)
            elif fate == "not executed":
                local_aws.fault("dropped_connection", operation="InitiateJob", count=1)
            elif fate == "refused":
                local_aws.fault("access_denied", operation="InitiateJob")
            elif fate == "killed":
                initiate = hook.initiate

                def killed(request: JobRequest, guard: Any, initiate: Any = initiate) -> str:
                    initiate(request, guard)
                    raise SystemExit

                patch.setattr(hook, "initiate", killed)
            try:
                new_starter(store).start(REQUEST, TOKEN, may_exist=number > 0)
            except (AccessDenied, SystemExit):
                continue

        assert len(listed_jobs(local_aws)) <= 1

    local_aws.clear_faults()
    job = new_starter(store).start(REQUEST, TOKEN, may_exist=True)
    assert listed_jobs(local_aws) == [job.description["JobId"]]
    assert has_token(job.description, TOKEN)


@pytest.mark.usefixtures("no_backoff")
def test_a_request_that_is_throttled_for_ever_fails(
    new_starter: NewStarter, hook: GlacierJobsHook, local_aws: Control
) -> None:
    starter = new_starter(reuse="never")
    hook.retry_policy = replace(hook.retry_policy, seconds=0.2)
    local_aws.fault("throttling", operation="InitiateJob")

    with pytest.raises(Throttled, match="Initiate Job for archive a1 in vault photos"):
        starter.start(REQUEST, TOKEN, may_exist=False)
