from __future__ import annotations

import json
import random
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.errors import InvalidArgument
from glacier_jobs.waiting.state import Verdict, Wait
from glacier_jobs.waiting.stored_state import MESSAGE_CHARACTERS, from_json, to_json

BEGAN_AT = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=timezone.utc)
COUNTS = st.integers(0, 10_000)
#: Also half of a surrogate pair, which Glacier may send in a message as JSON.
TEXTS = st.text(st.characters() | st.just("\ud800"), max_size=5)


@st.composite
def waits(draw: st.DrawFn) -> Wait:
    verdicts = draw(st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(Verdict), max_size=30))
    return Wait(
        started_at=BEGAN_AT,
        verdicts=verdicts,
        single=draw(st.booleans()),
        seen=frozenset(
            job_id for job_id, verdict in verdicts.items() if verdict is Verdict.PENDING and draw(st.booleans())
        ),
        messages={
            job_id: draw(TEXTS)
            for job_id, verdict in verdicts.items()
            if verdict is Verdict.FAILED and draw(st.booleans())
        },
        unnamed=draw(st.dictionaries(st.sampled_from(Verdict), st.integers(1, 9), max_size=2)),
        polled=draw(st.booleans()),
        expedited=draw(st.booleans()),
        bad_polls=draw(COUNTS),
        pages=draw(COUNTS),
    )


@given(waits())
def test_a_wait_comes_back_from_json_as_it_was(wait: Wait) -> None:
    job_ids = list(wait.verdicts)

    read = from_json(json.loads(json.dumps(to_json(wait))), job_ids)

    assert read == wait
    assert list(read.verdicts) == job_ids


def test_a_wait_whose_ids_were_not_known_is_for_the_ids_that_are_read_later() -> None:
    wait = Wait(started_at=BEGAN_AT, verdicts={}, bad_polls=3)

    assert from_json(to_json(wait), ["b", "c"], single=True) == Wait(
        started_at=BEGAN_AT,
        verdicts={"b": Verdict.PENDING, "c": Verdict.PENDING},
        single=True,
        bad_polls=3,
    )


def test_a_wait_whose_ids_must_be_read_again_has_its_beginning_and_its_polls() -> None:
    wait = Wait(started_at=BEGAN_AT, verdicts={"a": Verdict.SUCCEEDED}, polled=True, bad_polls=3)

    assert from_json(to_json(wait), ()) == Wait(started_at=BEGAN_AT, verdicts={}, polled=True, bad_polls=3)


@pytest.mark.parametrize("job_ids", [["b"], ["a", "b", "c"], ["b", "a"]])
@pytest.mark.parametrize("version", ["0.1.0", "now"])
def test_a_wait_for_other_ids_is_refused(version: str, job_ids: list[str]) -> None:
    wait = Wait(started_at=BEGAN_AT, verdicts={"a": Verdict.SUCCEEDED, "b": Verdict.PENDING})
    stored = to_json(wait)
    if version == "0.1.0":
        del stored["jobs"]
        stored["pending"] = "5"

    with pytest.raises(InvalidArgument) as caught:
        from_json(stored, job_ids)

    assert str(caught.value) == (
        "the ids of this wait have changed since its first poll: job_id now gives other ids, or another order "
        f"({len(job_ids)} ids, the first is {job_ids[0]}); expected the same 2 ids in the same order until the wait is "
        "over"
    )


def test_ten_thousand_jobs_are_remembered_in_a_few_kilobytes() -> None:
    """Their verdicts follow no pattern, so that they can hardly be compressed."""
    job_ids = [f"{number:092}" for number in range(10_000)]
    verdicts = random.Random(7).choices(list(Verdict), k=len(job_ids))  # noqa: S311 - not for secrets
    wait = Wait(started_at=BEGAN_AT, verdicts=dict(zip(job_ids, verdicts, strict=True)))

    assert len(json.dumps(to_json(wait))) < 6_000


def test_a_state_of_version_0_1_0_is_read() -> None:
    """It names the jobs that have problems, up to 20, and counts all."""
    job_ids = list("abcdefghij")
    now = to_json(Wait(started_at=BEGAN_AT, verdicts=dict.fromkeys(job_ids, Verdict.PENDING)))
    stored = {
        "digest": now["digest"],
        "started_at": now["started_at"],
        "pending": f"{0b1_1010000000:x}",
        "seen": f"{0b1_1000000000:x}",
        "problems": [["d", "failed", "Torn"], ["e", "failed", None], ["f", "missing", None]],
        "succeeded": 1,
        "failed": 5,
        "missing": 2,
        "bad_polls": 4,
        "pages": 1,
    }

    assert from_json(stored, job_ids) == Wait(
        started_at=BEGAN_AT,
        verdicts={
            "a": Verdict.PENDING,
            "c": Verdict.PENDING,
            "d": Verdict.FAILED,
            "e": Verdict.FAILED,
            "f": Verdict.MISSING,
        },
        seen=frozenset("a"),
        messages={"d": "Torn"},
        unnamed={Verdict.SUCCEEDED: 1, Verdict.FAILED: 3, Verdict.MISSING: 1},
        polled=True,
        bad_polls=4,
        pages=1,
    )


def test_as_many_characters_of_messages_as_allowed_are_remembered() -> None:
    half = MESSAGE_CHARACTERS // 2
    messages = {"a": "a" * half, "b": "b" * (MESSAGE_CHARACTERS - half), "c": "c"}
    wait = Wait(started_at=BEGAN_AT, verdicts=dict.fromkeys(messages, Verdict.FAILED), messages=messages)

    assert from_json(to_json(wait), list("abc")).messages.keys() == {"a", "b"}


def test_messages_of_failed_jobs_are_remembered_up_to_a_number_of_characters() -> None:
    """Airflow refuses values above 64 KB in a task's state store."""
    job_ids = [f"{number:092}" for number in range(10_000)]
    wait = Wait(
        started_at=BEGAN_AT,
        verdicts=dict.fromkeys(job_ids, Verdict.FAILED),
        messages={job_id: f"The archive {job_id} does not exist." for job_id in job_ids},
    )

    stored = json.dumps(to_json(wait))

    assert len(stored) < 60_000
    read = from_json(json.loads(stored), job_ids)
    assert read.verdicts == wait.verdicts
    assert read.messages.items() <= wait.messages.items()
    assert MESSAGE_CHARACTERS - 200 < sum(map(len, read.messages.values())) <= MESSAGE_CHARACTERS


def test_a_message_that_many_jobs_share_is_stored_once() -> None:
    job_ids = [f"{number:092}" for number in range(10_000)]
    wait = Wait(
        started_at=BEGAN_AT,
        verdicts=dict.fromkeys(job_ids, Verdict.FAILED),
        messages=dict.fromkeys(job_ids, "m" * 1_000),
    )

    stored = json.dumps(to_json(wait))

    assert len(stored) < 2_000
    assert from_json(json.loads(stored), job_ids) == wait
