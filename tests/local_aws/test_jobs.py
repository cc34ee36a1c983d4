from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from local_aws.jobs import Job, job_from_description

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def job(**given: Any) -> Job:
    return job_from_description(given, job_id="j1", vault_arn="arn:v", now=NOON, retention=24 * HOUR)


def test_required_members_of_a_job_have_defaults() -> None:
    assert job().description(NOON) == {
        "JobId": "j1",
        "VaultARN": "arn:v",
        "Action": "InventoryRetrieval",
        "CreationDate": "2026-03-01T12:00:00.000Z",
        "Completed": False,
        "StatusCode": "InProgress",
    }


def test_a_job_in_progress_without_a_lifecycle_never_completes() -> None:
    assert job().next_change_at(NOON) is None
    assert job().description(NOON + 1000 * HOUR)["StatusCode"] == "InProgress"


@pytest.mark.parametrize("outcome", ["Succeeded", "Failed"])
def test_a_job_changes_from_in_progress_to_its_outcome(outcome: str) -> None:
    scheduled = job(StatusMessage=None, _life={"duration_seconds": 3600, "outcome": outcome, "status_message": "why"})
    before, after = scheduled.description(NOON + HOUR / 2), scheduled.description(NOON + HOUR)
    assert (before["Completed"], before["StatusCode"], before["StatusMessage"]) == (False, "InProgress", None)
    assert (after["Completed"], after["StatusCode"], after["StatusMessage"]) == (True, outcome, "why")
    assert before["CompletionDate"] is None
    assert after["CompletionDate"] == "2026-03-01T13:00:00.000Z"


def test_a_finished_job_expires_after_a_day() -> None:
    done = job(StatusCode="Succeeded", CompletionDate="2026-03-01T11:00:00.000Z")
    assert done.is_listed(NOON + 23 * HOUR - timedelta(milliseconds=1))
    assert not done.is_known(NOON + 23 * HOUR)


def test_a_finished_job_without_a_completion_date_was_completed_now() -> None:
    assert job(StatusCode="Failed").description(NOON)["CompletionDate"] == "2026-03-01T12:00:00.000Z"


def test_the_retention_of_a_job_can_be_longer_than_a_day() -> None:
    done = job(StatusCode="Succeeded", _life={"retention_seconds": 10 * 24 * 3600})
    assert done.is_known(NOON + 239 * HOUR)
    assert not done.is_known(NOON + 240 * HOUR)


def test_a_job_that_is_listed_late_can_be_described_before() -> None:
    late = job(_life={"listed_after_seconds": 60})
    assert late.is_known(NOON)
    assert not late.is_listed(NOON)
    assert late.is_listed(NOON + timedelta(seconds=60))


def test_a_whole_archive_has_no_tree_hash_while_in_progress() -> None:
    description = {
        "ArchiveSizeInBytes": 100,
        "RetrievalByteRange": "0-99",
        "SHA256TreeHash": "ab",
        "Action": "ArchiveRetrieval",
    }
    scheduled = job(**description, _life={"duration_seconds": 60})
    assert scheduled.description(NOON)["SHA256TreeHash"] is None
    assert scheduled.description(NOON + HOUR)["SHA256TreeHash"] == "ab"


def test_a_range_of_an_archive_has_its_tree_hash_from_the_start() -> None:
    description = {
        "ArchiveSizeInBytes": 100,
        "RetrievalByteRange": "0-49",
        "SHA256TreeHash": "ab",
        "Action": "ArchiveRetrieval",
    }
    assert job(**description, _life={"duration_seconds": 60}).description(NOON)["SHA256TreeHash"] == "ab"


def test_a_verbatim_job_is_returned_as_given_at_any_time() -> None:
    odd = job(CreationDate="yesterday", StatusCode="Lost", NewField=[1], _life={"verbatim": True})
    expected = {"JobId": "j1", "VaultARN": "arn:v", "CreationDate": "yesterday", "StatusCode": "Lost", "NewField": [1]}
    assert odd.description(NOON) == odd.description(NOON + 1000 * HOUR) == expected
    assert odd.is_listed(NOON + 1000 * HOUR)


def test_the_next_change_is_the_earliest_of_listing_completion_and_expiry() -> None:
    scheduled = job(_life={"duration_seconds": 3600, "listed_after_seconds": 60})
    assert scheduled.next_change_at(NOON) == NOON + timedelta(seconds=60)
    assert scheduled.next_change_at(NOON + timedelta(seconds=60)) == NOON + HOUR
    assert scheduled.next_change_at(NOON + HOUR) == NOON + 25 * HOUR
    assert scheduled.next_change_at(NOON + 25 * HOUR) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"StatusCode": "Done"}, "StatusCode is 'Done'"),
        ({"_life": {"duration": 3}}, r"unknown lifecycle keys: \['duration'\]"),
        ({"_life": {"outcome": "InProgress"}}, "outcome 'InProgress'"),
        ({"CreationDate": "yesterday"}, "yesterday"),
    ],
)
def test_an_invalid_lifecycle_is_rejected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        job(**given)
