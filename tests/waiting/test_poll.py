from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glacier_jobs.errors import AccessDenied, MalformedAnswer, VaultNotFound
from glacier_jobs.glacier.client import POLLING_RETRY_POLICY
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.waiting.poll import PollCancelled, PollRequest, poll
from glacier_jobs.waiting.state import PollResult
from local_aws.client import Control
from tests.conftest import Connect


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect(attempts=1), retry_policy=POLLING_RETRY_POLICY)


def ids(*numbers: int) -> list[str]:
    return [f"job-{number:05}" for number in numbers]


def fill(local_aws: Control, jobs: int) -> None:
    """Put jobs into the vault photos, a page of 50 after the other."""
    local_aws.add_jobs("photos", [{"JobId": job_id} for job_id in ids(*range(jobs))])


def seen(
    hook: GlacierJobsHook, job_ids: Collection[str], *, doubtful: Collection[str] = (), **arguments: Any
) -> PollResult:
    request = PollRequest(job_ids=frozenset(job_ids), doubtful=frozenset(doubtful))
    return poll(hook, "photos", "-", request, **arguments)


def test_one_listing_answers_any_number_and_stops_once_all_are_found(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 1_000)

    result = seen(hook, ids(*range(120)))

    assert set(result.found) == set(ids(*range(120)))
    assert result.pages == 3
    assert local_aws.calls().by_operation == {"ListJobs": 3}


def test_few_jobs_deep_in_a_list_of_unknown_length_are_described(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 5_000)

    result = seen(hook, ids(4_000, 4_500))

    assert set(result.found) == set(ids(4_000, 4_500))
    assert local_aws.calls().by_operation == {"ListJobs": 3, "DescribeJob": 2}


def test_the_next_poll_describes_them_at_once(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 5_000)
    pages = seen(hook, ids(4_000, 4_500)).pages
    local_aws.reset_calls()

    result = seen(hook, ids(4_000, 4_500), pages=pages)

    assert set(result.found) == set(ids(4_000, 4_500))
    assert local_aws.calls().by_operation == {"DescribeJob": 2}


def test_jobs_on_the_first_page_of_a_long_list_are_listed_again(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 5_000)
    pages = seen(hook, ids(7, 8)).pages

    seen(hook, ids(7, 8), pages=pages)

    assert local_aws.calls().by_operation == {"ListJobs": 2}


def test_a_job_is_gone_if_neither_the_whole_list_shows_it_nor_describe_job_knows_it(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    fill(local_aws, 500)

    result = seen(hook, ids(3, 900), doubtful=ids(900))

    assert (set(result.found), result.gone) == (set(ids(3)), frozenset(ids(900)))
    assert local_aws.calls().by_operation == {"ListJobs": 10, "DescribeJob": 1}


def test_a_job_that_only_describe_job_knows_is_found(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 60)
    local_aws.add_jobs("photos", [{"JobId": "late", "_life": {"listed_after_seconds": 3600}}])

    result = seen(hook, ["late"], doubtful=["late"])

    assert (set(result.found), result.gone) == ({"late"}, frozenset())


def test_a_job_that_slips_through_between_two_pages_is_found_by_describe_job(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    """The first page's jobs vanish before the second is requested: the list moves up by a page, and is read past it."""
    fill(local_aws, 110)
    local_aws.settings(marker_repeats_job=False)
    local_aws.hook("remove_jobs", {"vault_name": "photos", "job_ids": ids(*range(50))}, operation="ListJobs", count=1)

    result = seen(hook, ids(*range(50, 110)), doubtful=ids(*range(50, 110)))

    assert set(result.found) == set(ids(*range(50, 110)))


def test_a_job_that_cannot_be_described_is_reported_beside_the_others(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    fill(local_aws, 120)
    local_aws.fault("access_denied", operation="DescribeJob")

    result = seen(hook, [*ids(100), "typo"], doubtful=["typo"])

    assert set(result.found) == set(ids(100))
    assert result.refused.keys() == {"typo"}
    assert isinstance(result.refused["typo"], AccessDenied)
    assert not result.gone


def test_a_job_that_cannot_be_described_is_found_in_the_list(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 500)
    local_aws.fault("access_denied", operation="DescribeJob")

    result = seen(hook, ids(450), pages=10)

    assert set(result.found) == set(ids(450))
    assert not result.refused
    assert local_aws.calls().by_operation["DescribeJob"] == 1


def test_a_job_that_describe_job_does_not_know_is_not_gone_if_a_later_page_lists_it(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    fill(local_aws, 500)
    job = {"vault_name": "photos", "jobs": [{"JobId": "late"}]}
    local_aws.hook("add_jobs", job, operation="DescribeJob", count=1)

    result = seen(hook, ["late"], doubtful=["late"], pages=10)

    assert (set(result.found), result.gone) == ({"late"}, frozenset())
    assert local_aws.calls().by_operation["DescribeJob"] == 1


def test_a_malformed_description_of_one_job_concerns_no_other(
    hook: GlacierJobsHook, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(local_aws, 500)
    get_job = hook.get_job

    def malformed_once(vault_name: str, job_id: str, account_id: str = "-") -> JobDescription:
        if job_id == "odd":
            raise MalformedAnswer("the answer has no JobId")
        return get_job(vault_name, job_id, account_id)

    # The local AWS lists a job as it describes it.
    monkeypatch.setattr(hook, "get_job", malformed_once)

    result = seen(hook, [*ids(450), "odd"], pages=10)

    assert set(result.found) == set(ids(450))
    assert isinstance(result.refused["odd"], MalformedAnswer)


def test_only_doubtful_jobs_are_reported_as_gone(hook: GlacierJobsHook, local_aws: Control) -> None:
    """A job that may be listed late costs no call of its own at the list's end."""
    fill(local_aws, 60)

    result = seen(hook, ids(*range(60), 900))

    assert result.gone == frozenset()
    assert local_aws.calls().by_operation == {"ListJobs": 2}


def test_completed_jobs_are_reported_with_the_requested_descriptions(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs(
        "photos",
        [
            {"JobId": "a", "StatusCode": "Succeeded"},
            {"JobId": "b", "StatusCode": "Failed"},
            {"JobId": "c", "StatusCode": "InProgress"},
        ],
    )

    result = poll(hook, "photos", "-", PollRequest(delivered=frozenset("a")))

    assert result.completed.keys() == {"a", "b"}
    assert result.completed["a"] is None
    assert (result.completed["b"] or {})["StatusCode"] == "Failed"
    assert [request["query"].get("completed") for request in local_aws.requests("ListJobs")] == ["true"]


def test_awaited_and_completed_jobs_are_found_by_the_same_listing(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded"}, {"JobId": "b"}])

    result = poll(hook, "photos", "-", PollRequest(job_ids=frozenset("b"), delivered=frozenset()))

    assert (set(result.found), set(result.completed)) == ({"b"}, {"a"})
    assert local_aws.calls().by_operation == {"ListJobs": 1}


def test_requests_are_merged() -> None:
    assert PollRequest.merged(
        [
            PollRequest(job_ids=frozenset("ab"), doubtful=frozenset("a")),
            PollRequest(job_ids=frozenset("bc")),
            PollRequest(delivered=frozenset("xy")),
            PollRequest(delivered=frozenset("yz")),
        ]
    ) == PollRequest(job_ids=frozenset("abc"), doubtful=frozenset("a"), delivered=frozenset("y"))


def test_a_cancelled_poll_ends_before_its_next_request(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 500)

    with pytest.raises(PollCancelled, match="photos"):
        seen(hook, ids(*range(500)), is_cancelled=lambda: local_aws.calls().total >= 3)

    assert local_aws.calls().total == 3


def test_errors_are_those_of_the_hook(hook: GlacierJobsHook, local_aws: Control) -> None:
    with pytest.raises(VaultNotFound):
        seen(hook, ids(1), pages=9)
    fill(local_aws, 1)
    local_aws.fault("access_denied", operation="ListJobs")
    with pytest.raises(AccessDenied):
        seen(hook, ids(1))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.integers(1, 40),
    awaited=st.sets(st.integers(0, 60), min_size=1, max_size=8),
    page=st.integers(1, 10),
    pages=st.integers(0, 12),
)
def test_the_result_is_the_same_whichever_requests_are_made(
    hook: GlacierJobsHook, local_aws: Control, jobs: int, awaited: set[int], page: int, pages: int
) -> None:
    local_aws.reset()
    local_aws.settings(max_limit=page)
    fill(local_aws, jobs)

    result = seen(hook, ids(*awaited), doubtful=ids(*awaited), pages=pages)

    assert set(result.found) == set(ids(*(number for number in awaited if number < jobs)))
    assert result.gone == frozenset(ids(*(number for number in awaited if number >= jobs)))
    length = -(-jobs // page)
    assert local_aws.calls().total <= 2 * (length + len(awaited)) + 1
