from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.waiting.state import (
    NAMED_AT_MOST,
    PollResult,
    Verdict,
    Wait,
    failure_message,
    timeout_message,
    unreachable_message,
)

START = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
GRACE = timedelta(minutes=15)
SOON = START + timedelta(minutes=1)
LATER = START + timedelta(minutes=16)


def waiting_for(*job_ids: str, **known: Any) -> Wait:
    return replace(Wait.for_jobs(job_ids, started_at=START), **known)


def found(**status_codes: str) -> PollResult:
    return PollResult(found={job_id: {"StatusCode": code} for job_id, code in status_codes.items()})


def test_each_status_has_its_verdict() -> None:
    wait = waiting_for("a", "b", "c").after(found(a="InProgress", b="Succeeded", c="Failed"), SOON, GRACE)

    assert wait.verdicts == {"a": Verdict.PENDING, "b": Verdict.SUCCEEDED, "c": Verdict.FAILED}
    assert (wait.pending, wait.jobs, wait.problems) == (("a",), 3, 1)


def test_glaciers_message_of_a_failure_is_kept() -> None:
    result = PollResult(found={"a": {"StatusCode": "Failed", "StatusMessage": "The archive is gone."}})

    wait = waiting_for("a").after(result, SOON, GRACE)

    assert wait.messages == {"a": "The archive is gone."}


@pytest.mark.parametrize("status_code", [None, "", "Paused", "succeeded"])
def test_a_job_whose_status_is_not_documented_is_pending_and_named(status_code: str | None) -> None:
    result = PollResult(found={"a": {"StatusCode": status_code}, "b": {"StatusCode": "Succeeded"}})

    wait = waiting_for("a", "b").after(result, SOON, GRACE)

    assert wait.verdicts == {"a": Verdict.PENDING, "b": Verdict.SUCCEEDED}
    (refused,) = result.refusals("ab").items()
    assert refused[0] == "a"
    assert isinstance(refused[1], MalformedAnswer)
    assert str(refused[1]).startswith(f"job a: StatusCode is {status_code!r}; expected one of InProgress, ")


@pytest.mark.parametrize(
    ("gone", "seen", "now", "missing"),
    [
        (True, True, SOON, True),
        (True, False, LATER, True),
        (True, False, START + GRACE, True),
        (True, False, SOON, False),
        (False, True, LATER, False),
    ],
)
def test_a_job_is_missing_if_it_is_gone_and_was_seen_before_or_its_grace_is_over(
    gone: bool, seen: bool, now: datetime, missing: bool
) -> None:
    wait = waiting_for("a", seen=frozenset({"a"} if seen else ()))

    wait = wait.after(PollResult(found={}, gone=frozenset({"a"} if gone else ())), now, GRACE)

    assert (wait.verdicts["a"] is Verdict.MISSING) == missing
    assert wait.pending == (() if missing else ("a",))


def test_a_job_stays_seen_if_a_poll_does_not_show_it() -> None:
    wait = waiting_for("a", "b").after(found(a="InProgress"), SOON, GRACE).after(found(), SOON, GRACE)

    assert wait.seen == {"a"}
    assert wait.doubtful(SOON, GRACE) == {"a"}
    assert wait.doubtful(LATER, GRACE) == {"a", "b"}


def test_a_successful_poll_resets_the_count_of_failed_ones() -> None:
    wait = waiting_for("a", bad_polls=2)

    assert wait.after(found(), SOON, GRACE).bad_polls == 0


def test_a_wait_is_over_with_the_first_problem_or_with_the_last_job() -> None:
    pending = waiting_for("a", "b").after(found(a="Failed"), SOON, GRACE)
    final = pending.after(found(b="Succeeded"), SOON, GRACE)

    assert pending.is_over(wait_for_all=False)
    assert not pending.is_over(wait_for_all=True)
    assert final.is_over(wait_for_all=True)


def test_the_first_problems_are_named_and_the_others_counted() -> None:
    ids = [f"job-{number:03}" for number in range(50)]
    wait = waiting_for(*ids).after(found(**{job_id.replace("-", "-"): "Failed" for job_id in ids}), SOON, GRACE)

    message = failure_message("photos", wait)

    assert message.startswith("50 of 50 awaited jobs of vault photos cannot succeed any more (50 jobs: 50 failed):\n")
    assert message.count("\n- job-") == NAMED_AT_MOST
    assert "\n- and 30 more\n" in message


def test_a_failure_says_what_became_of_each_job() -> None:
    wait = waiting_for("a", "b", "c").after(
        PollResult(
            found={"a": {"StatusCode": "Failed", "StatusMessage": "Torn"}, "b": {"StatusCode": "Failed"}},
            gone=frozenset("c"),
        ),
        LATER,
        GRACE,
    )

    assert failure_message("photos", wait).splitlines()[1:-1] == [
        "- a failed: Torn",
        "- b failed: Glacier gives no reason",
        "- c is missing: it is not listed, and Describe Job does not know it",
    ]


def test_a_time_out_names_the_first_that_are_pending() -> None:
    message = timeout_message("photos", waiting_for(*[f"job-{number:03}" for number in range(21)]), 60)

    assert message.startswith("21 of 21 awaited jobs of vault photos are still pending after 60 s")
    assert message.endswith("\n- job-019\n- and 1 more")


def test_a_wait_knows_whether_all_pending_jobs_are_expedited() -> None:
    def tiers(**by_id: str) -> PollResult:
        return PollResult(found={job_id: {"StatusCode": "InProgress", "Tier": tier} for job_id, tier in by_id.items()})

    assert waiting_for("a", "b").after(tiers(a="Expedited", b="Expedited"), SOON, GRACE).expedited
    assert not waiting_for("a", "b").after(tiers(a="Expedited", b="Bulk"), SOON, GRACE).expedited
    assert not waiting_for("a", "b").after(tiers(a="Expedited"), SOON, GRACE).expedited
    assert not waiting_for("a").after(found(a="InProgress"), SOON, GRACE).expedited


def test_many_bad_polls_name_the_last_error() -> None:
    message = unreachable_message("photos", waiting_for("a", bad_polls=3), "HTTP 500")

    assert message == (
        "3 polls in a row of the jobs of vault photos failed (1 job: 1 pending). The last error: HTTP 500"
    )


STATES = st.sampled_from(["InProgress", "Succeeded", "Failed", "gone", "not listed"])


@given(
    st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=20, unique=True).flatmap(
        lambda ids: st.tuples(
            st.just(ids), st.lists(st.lists(STATES, min_size=len(ids), max_size=len(ids)), max_size=6)
        )
    ),
    st.booleans(),
)
def test_no_job_is_lost_or_counted_twice_whatever_the_polls_show(
    polls: tuple[list[str], list[list[str]]], grace_is_over: bool
) -> None:
    ids, results = polls
    wait = waiting_for(*ids)

    for states in results:
        by_id = dict(zip(ids, states, strict=True))
        result = PollResult(
            found={job_id: {"StatusCode": state} for job_id, state in by_id.items() if state[0].isupper()},
            gone=frozenset(job_id for job_id, state in by_id.items() if state == "gone"),
        )
        before, wait = wait, wait.after(result, LATER if grace_is_over else SOON, GRACE)

        assert list(wait.verdicts) == ids
        assert wait.jobs == len(ids)
        assert wait.seen <= set(wait.pending)
        final = {job_id: verdict for job_id, verdict in before.verdicts.items() if verdict is not Verdict.PENDING}
        assert wait.verdicts.items() >= final.items()
