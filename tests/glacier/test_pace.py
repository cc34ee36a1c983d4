from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from glacier_jobs.errors import InvalidArgument, ServiceUnavailable
from glacier_jobs.glacier.deadlines import Cancellation, Cancelled
from glacier_jobs.glacier.pace import Pace
from glacier_jobs.hooks import GlacierJobsHook, RetryPolicy
from local_aws.client import Control
from tests.conftest import Connect


def test_requests_of_all_threads_are_spread_evenly(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"job-{number}"} for number in range(4)])
    hook = GlacierJobsHook(aws_conn_id=connect(), requests_per_second=10)
    hook.get_conn()
    began = time.monotonic()

    def listed(_: int) -> int:
        return sum(len(page.jobs) for page in hook.list_job_pages("photos", page_size=1))

    with ThreadPoolExecutor(3) as pool:
        jobs = list(pool.map(listed, range(3)))

    assert jobs == [4, 4, 4]
    # The first of 12 requests does not wait.
    assert time.monotonic() - began >= 11 / 10
    assert local_aws.calls().by_operation["ListJobs"] == 12


@pytest.mark.usefixtures("no_backoff")
def test_the_attempts_of_a_request_count_too(connect: Connect, local_aws: Control) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault("service_unavailable")
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=5), requests_per_second=10)
    hook.get_conn()
    began = time.monotonic()

    with pytest.raises(ServiceUnavailable):
        list(hook.list_jobs("photos"))

    assert time.monotonic() - began >= 4 / 10
    assert local_aws.calls().by_operation["ListJobs"] == 5


@pytest.mark.usefixtures("no_backoff")
def test_the_wait_for_a_turn_takes_no_time_from_the_retries(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("throttling", operation="ListJobs", count=3)
    hook = GlacierJobsHook(
        aws_conn_id=connect(attempts=None),
        requests_per_second=1,
        retry_policy=RetryPolicy(attempts=1, seconds=2),
    )
    # The client's first request takes the first turn, so that the next four wait longer than retries may take.
    list(hook.list_vaults())

    assert [job["JobId"] for job in hook.list_jobs("photos")] == ["a"]
    assert local_aws.calls().by_operation["ListJobs"] == 4


def test_a_pause_before_the_next_request_does_not_add_up_to_more(connect: Connect, local_aws: Control) -> None:
    pace = Pace(1000)
    pace.wait()
    time.sleep(0.05)
    began = time.monotonic()

    pace.wait()

    assert time.monotonic() - began < 0.02


def test_a_cancellation_ends_the_wait_for_a_turn() -> None:
    pace, cancellation, errors = Pace(0.001), Cancellation(), list[Exception]()
    pace.wait()

    def wait() -> None:
        with cancellation.applied():
            try:
                pace.wait()
            except Cancelled as error:
                errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    cancellation.cancel()
    thread.join(timeout=30)

    assert len(errors) == 1


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True, "fast", [1]])
def test_a_rate_that_is_no_number_above_zero_is_refused(connect: Connect, rate: float) -> None:
    with pytest.raises(InvalidArgument, match=r"requests_per_second is .*; expected a number above 0"):
        GlacierJobsHook(aws_conn_id=connect(), requests_per_second=rate)
