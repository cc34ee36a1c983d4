from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from local_aws.jobs import Job, job_from

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def job(**given: Any) -> Job:
    return job_from(given, job_id="j1", vault_arn="arn:v", now=NOON, retention=24 * HOUR)


def test_what_a_job_always_has_is_filled_in() -> None:
    assert job().description(NOON) == {
        "JobId": "j1",
        "VaultARN": "arn:v",
        "Action": "InventoryRetrieval",
        "CreationDate": "2026-03-01T12:00:00.000Z",
        "Completed": False,
        "StatusCode": "InProgress",
    }


def test_a_job_in_progress_without_a_life_never_ends() -> None:
    assert job().next_change_at(NOON) is None
    assert job().description(NOON + 1000 * HOUR)["StatusCode"] == "InProgress"


@pytest.mark.parametrize("outcome", ["Succeeded", "Failed"])
def test_a_job_turns_from_in_progress_to_its_outcome(outcome: str) -> None:
    living = job(StatusMessage=None, _life={"duration_seconds": 3600, "outcome": outcome, "status_message": "why"})
    before, after = living.description(NOON + HOUR / 2), living.description(NOON + HOUR)
    assert (before["Completed"], before["StatusCode"], before["StatusMessage"]) == (False, "InProgress", None)
    assert (after["Completed"], after["StatusCode"], after["StatusMessage"]) == (True, outcome, "why")
    assert before["CompletionDate"] is None
    assert after["CompletionDate"] == "2026-03-01T13:00:00.000Z"


def test_a_finished_job_is_known_for_a_day_and_then_forgotten() -> None:
    done = job(StatusCode="Succeeded", CompletionDate="2026-03-01T11:00:00.000Z")
    assert done.is_listed(NOON + 23 * HOUR - timedelta(milliseconds=1))
    assert not done.is_known(NOON + 23 * HOUR)


def test_a_finished_job_without_a_completion_date_finished_just_now() -> None:
    assert job(StatusCode="Failed").description(NOON)["CompletionDate"] == "2026-03-01T12:00:00.000Z"


def test_a_job_may_be_kept_longer_than_a_day() -> None:
    done = job(StatusCode="Succeeded", _life={"retention_seconds": 10 * 24 * 3600})
    assert done.is_known(NOON + 239 * HOUR)
    assert not done.is_known(NOON + 240 * HOUR)


def test_a_job_listed_late_is_known_before() -> None:
    late = job(_life={"listed_after_seconds": 60})
    assert late.is_known(NOON)
    assert not late.is_listed(NOON)
    assert late.is_listed(NOON + timedelta(seconds=60))


def test_a_whole_archive_has_no_tree_hash_while_in_progress() -> None:
    facts = {
        "ArchiveSizeInBytes": 100,
        "RetrievalByteRange": "0-99",
        "SHA256TreeHash": "ab",
        "Action": "ArchiveRetrieval",
    }
    living = job(**facts, _life={"duration_seconds": 60})
    assert living.description(NOON)["SHA256TreeHash"] is None
    assert living.description(NOON + HOUR)["SHA256TreeHash"] == "ab"


def test_a_range_of_an_archive_has_its_tree_hash_from_the_start() -> None:
    facts = {
        "ArchiveSizeInBytes": 100,
        "RetrievalByteRange": "0-49",
        "SHA256TreeHash": "ab",
        "Action": "ArchiveRetrieval",
    }
    assert job(**facts, _life={"duration_seconds": 60}).description(NOON)["SHA256TreeHash"] == "ab"


def test_a_verbatim_job_is_shown_as_given_at_any_moment() -> None:
    odd = job(CreationDate="yesterday", StatusCode="Lost", NewField=[1], _life={"verbatim": True})
    expected = {"JobId": "j1", "VaultARN": "arn:v", "CreationDate": "yesterday", "StatusCode": "Lost", "NewField": [1]}
    assert odd.description(NOON) == odd.description(NOON + 1000 * HOUR) == expected
    assert odd.is_listed(NOON + 1000 * HOUR)


def test_the_next_change_is_the_first_of_being_listed_finished_and_forgotten() -> None:
    living = job(_life={"duration_seconds": 3600, "listed_after_seconds": 60})
    assert living.next_change_at(NOON) == NOON + timedelta(seconds=60)
    assert living.next_change_at(NOON + timedelta(seconds=60)) == NOON + HOUR
    assert living.next_change_at(NOON + HOUR) == NOON + 25 * HOUR
    assert living.next_change_at(NOON + 25 * HOUR) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"StatusCode": "Done"}, "StatusCode is 'Done'"),
        ({"_life": {"duration": 3}}, r"no such keys of a life: \['duration'\]"),
        ({"_life": {"outcome": "InProgress"}}, "outcome 'InProgress'"),
        ({"CreationDate": "yesterday"}, "yesterday"),
    ],
)
def test_a_life_that_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(**given)
