from __future__ import annotations

import json
from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.memory import from_json, to_json
from glacier_jobs.verdict import Problem, Verdict, Wait

START = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=timezone.utc)
IDS = st.lists(st.text(min_size=1, max_size=5), max_size=30, unique=True)
COUNTS = st.integers(0, 10_000)


@st.composite
def waits(draw: st.DrawFn) -> tuple[list[str], Wait]:
    job_ids = draw(IDS)
    pending = [job_id for job_id in job_ids if draw(st.booleans())]
    problem = st.builds(
        Problem,
        job_id=st.text(max_size=5),
        verdict=st.sampled_from([Verdict.FAILED, Verdict.MISSING]),
        message=st.none() | st.text(max_size=5),
    )
    return job_ids, Wait(
        started_at=START,
        pending=tuple(pending),
        seen=frozenset(job_id for job_id in pending if draw(st.booleans())),
        succeeded=draw(COUNTS),
        failed=draw(COUNTS),
        missing=draw(COUNTS),
        problems=tuple(draw(st.lists(problem, max_size=3))),
        bad_polls=draw(COUNTS),
        pages=draw(COUNTS),
    )


@given(waits())
def test_a_wait_comes_back_from_json_as_it_was(remembered: tuple[list[str], Wait]) -> None:
    job_ids, wait = remembered

    assert from_json(json.loads(json.dumps(to_json(wait, job_ids))), job_ids) == wait


def test_with_other_ids_only_the_beginning_and_the_bad_polls_are_remembered() -> None:
    wait = Wait(started_at=START, pending=("b",), seen=frozenset("b"), succeeded=1, bad_polls=3)

    assert from_json(to_json(wait, ["a", "b"]), ["b", "c"]) == Wait(started_at=START, pending=("b", "c"), bad_polls=3)


def test_ten_thousand_jobs_are_remembered_in_a_few_kilobytes() -> None:
    job_ids = [f"{number:092}" for number in range(10_000)]
    wait = Wait(started_at=START, pending=tuple(job_ids), seen=frozenset(job_ids))

    assert len(json.dumps(to_json(wait, job_ids))) < 6_000
