from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from glacier_jobs.errors import AccessDenied, GlacierJobsError, MalformedAnswer, Throttled, VaultNotFound
from glacier_jobs.waiting.rules import Ending, WaitRules
from glacier_jobs.waiting.state import PollResult, Verdict, Wait

START = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
RULES = WaitRules(missing_grace=timedelta(minutes=15), max_bad_polls=2, wait_for_all=False)
WAIT = Wait.for_jobs("ab", started_at=START)


def shown(**status_codes: str) -> PollResult:
    return PollResult(found={job_id: {"StatusCode": code} for job_id, code in status_codes.items()})


def after(wait: Wait, result: PollResult | GlacierJobsError, rules: WaitRules = RULES) -> Any:
    return rules.after(wait, result, START)


@pytest.mark.parametrize(
    ("polled", "bad_polls", "error", "ending"),
    [
        (False, 0, AccessDenied("no"), Ending.REFUSED),
        (True, 0, AccessDenied("no"), None),
        (True, 1, AccessDenied("no"), None),
        (True, 2, AccessDenied("no"), Ending.DENIED),
        (True, 0, VaultNotFound("no"), Ending.REFUSED),
        (False, 1, Throttled("later"), None),
        (False, 2, Throttled("later"), Ending.UNREACHABLE),
        (True, 2, Throttled("later"), Ending.UNREACHABLE),
    ],
    ids=str,
)
def test_a_failed_poll_ends_the_wait_if_it_is_final_or_one_too_many(
    polled: bool, bad_polls: int, error: GlacierJobsError, ending: Ending | None
) -> None:
    step = after(replace(WAIT, polled=polled, bad_polls=bad_polls), error)

    assert (step.ending, step.error) == (ending, error)
    assert step.wait.bad_polls == bad_polls + (ending is not Ending.REFUSED)


def test_any_number_of_polls_may_fail_without_a_limit() -> None:
    rules = replace(RULES, max_bad_polls=None)

    assert after(replace(WAIT, bad_polls=10_000), Throttled("later"), rules).ending is None


def test_what_a_poll_showed_is_kept_if_one_job_cannot_be_described() -> None:
    denied = replace(shown(a="Succeeded"), refused={"b": AccessDenied("no")})

    first = after(WAIT, denied)
    later = after(replace(WAIT, polled=True, bad_polls=1), denied)

    assert (first.ending, later.ending, later.wait.bad_polls) == (Ending.REFUSED, None, 2)
    assert first.wait.verdicts == later.wait.verdicts == {"a": Verdict.SUCCEEDED, "b": Verdict.PENDING}


def test_of_several_refusals_the_final_one_ends_the_wait() -> None:
    refused = PollResult(found={}, refused={"a": AccessDenied("no"), "b": MalformedAnswer("what")})

    step = after(replace(WAIT, polled=True), refused)

    assert (step.ending, str(step.error)) == (Ending.REFUSED, "what")


def test_the_refusal_of_a_job_that_is_not_awaited_any_more_is_ignored() -> None:
    """The poll was shared with others."""
    assert after(WAIT, replace(shown(a="InProgress"), refused={"c": AccessDenied("no")})).ending is None


def test_the_wait_is_judged_once_a_job_failed_also_if_another_cannot_be_described() -> None:
    assert after(WAIT, replace(shown(a="Failed"), refused={"b": AccessDenied("no")})).ending is Ending.JUDGED


def test_an_undocumented_status_is_refused_and_what_else_the_poll_showed_is_kept() -> None:
    step = after(WAIT, shown(a="Paused", b="Succeeded"))

    assert (step.ending, type(step.error)) == (Ending.REFUSED, MalformedAnswer)
    assert step.wait.verdicts == {"a": Verdict.PENDING, "b": Verdict.SUCCEEDED}


def test_an_undocumented_status_of_a_job_that_is_not_awaited_is_ignored() -> None:
    """The poll was shared with others."""
    assert after(WAIT, shown(a="InProgress", c="Paused")).ending is None


@pytest.mark.parametrize(
    ("known", "minutes", "seconds"),
    [
        ({"expedited": True, "seen": frozenset("ab")}, 0, 60.0),
        ({"seen": frozenset("ab")}, 0, 600.0),
        ({"seen": frozenset("a")}, 0, 600.0),
        ({}, 0, 60.0),
        ({}, 14.9, 60.0),
        ({}, 15, 600.0),
        ({"verdicts": {"a": Verdict.SUCCEEDED, "b": Verdict.PENDING}}, 0, 60.0),
        ({"verdicts": {"a": Verdict.SUCCEEDED, "b": Verdict.SUCCEEDED}}, 0, 600.0),
        ({"polled": False}, 0, 600.0),
    ],
)
def test_the_default_interval_is_shorter_for_jobs_that_are_or_may_be_expedited(
    known: dict[str, Any], minutes: float, seconds: float
) -> None:
    wait = replace(WAIT, **{"polled": True, **known})

    assert RULES.default_interval_seconds(wait, START + timedelta(minutes=minutes)) == seconds
