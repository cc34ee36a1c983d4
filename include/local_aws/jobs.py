"""Jobs and their descriptions over time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws import timestamps

Description = dict[str, Any]
"""A job as List Jobs and Describe Job return it, with AWS's member names."""

LIFECYCLE_KEY = "_life"
"""The key of the lifecycle in a description given to ``add_jobs``: when and how the job completes. AWS has no such
member."""

STATUS_CODES = ("InProgress", "Succeeded", "Failed")
OUTCOMES = ("Succeeded", "Failed")

_LIFECYCLE_KEYS = frozenset(
    {
        "completes_at",
        "duration_seconds",
        "outcome",
        "status_message",
        "listed_after_seconds",
        "retention_seconds",
        "verbatim",
    }
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job and its whole lifecycle, from which its description at any time is computed."""

    job_id: str
    final_description: Description
    """The description after completion. While the job is in progress, members that are not known yet are null."""
    created_at: datetime
    listed_at: datetime | None = None
    """When List Jobs starts to return it; ``None`` is immediately."""
    completes_at: datetime | None = None
    """``None`` is never."""
    outcome: str = "Succeeded"
    retention: timedelta = timedelta(hours=24)
    verbatim: bool = False
    """Return ``final_description`` unchanged at any time, even if it is not a valid description."""
    inventory: bytes | None = field(default=None, repr=False)
    """The output of an inventory job, made when it was initiated; ``None`` for jobs added by their descriptions."""

    def __post_init__(self) -> None:
        """Validate the outcome.

        :raises ValueError: the outcome is invalid.
        """
        if self.outcome not in OUTCOMES:
            raise ValueError(f"job {self.job_id} has the outcome {self.outcome!r}, expected one of {OUTCOMES}")

    @property
    def expires_at(self) -> datetime | None:
        """When the job expires; ``None`` is never."""
        if self.completes_at is None or self.verbatim:
            return None
        return self.completes_at + self.retention

    def is_finished(self, now: datetime) -> bool:
        """Return whether the job has succeeded or failed."""
        return self.completes_at is not None and self.completes_at <= now

    def is_known(self, now: datetime) -> bool:
        """Return whether Describe Job finds the job."""
        return self.expires_at is None or now < self.expires_at

    def is_listed(self, now: datetime) -> bool:
        """Return whether List Jobs returns the job."""
        return self.is_known(now) and (self.listed_at is None or self.listed_at <= now)

    def next_change_at(self, now: datetime) -> datetime | None:
        """Return the first time after ``now`` at which the job or its visibility changes; ``None`` is never."""
        changes = [at for at in (self.listed_at, self.completes_at, self.expires_at) if at is not None and at > now]
        return min(changes, default=None)

    def description(self, now: datetime) -> Description:
        """Return the description at this time. Members not in ``final_description`` stay absent, except the status."""
        shown = dict(self.final_description)
        if self.verbatim:
            return shown
        if self.is_finished(now) and self.completes_at is not None:
            shown["Completed"] = True
            shown["StatusCode"] = self.outcome
            shown.setdefault("CompletionDate", timestamps.isoformat(self.completes_at))
            return shown
        shown["Completed"] = False
        shown["StatusCode"] = "InProgress"
        not_known_yet = ["CompletionDate", "StatusMessage", "InventorySizeInBytes"]
        if _retrieves_whole_archive(shown):
            not_known_yet.append("SHA256TreeHash")
        shown.update({key: None for key in not_known_yet if key in shown})
        return shown


def _retrieves_whole_archive(description: Description) -> bool:
    byte_range = description.get("RetrievalByteRange")
    size_in_bytes = description.get("ArchiveSizeInBytes")
    return byte_range is None or size_in_bytes is None or byte_range == f"0-{size_in_bytes - 1}"


def job_from_description(
    given: Mapping[str, Any], *, job_id: str, vault_arn: str, now: datetime, retention: timedelta
) -> Job:
    """Create a job from a description with AWS's member names.

    Required members have defaults: ``JobId`` is ``job_id``, ``VaultARN`` is ``vault_arn``, ``Action`` is an inventory
    retrieval, ``CreationDate`` is ``now``. Without a lifecycle, a finished job was completed at its ``CompletionDate``
    (or at ``now``), and a job in progress never completes. ``given["_life"]`` sets the lifecycle:

    - ``completes_at`` (ISO 8601) or ``duration_seconds`` (from its creation), ``outcome`` and ``status_message``;
    - ``listed_after_seconds`` (from its creation), ``retention_seconds`` (from its completion);
    - ``verbatim``: always return the given description unchanged.

    :raises ValueError: names the unknown key of the lifecycle, or the invalid value.
    """
    description = {
        "JobId": job_id,
        "VaultARN": vault_arn,
        **{key: value for key, value in given.items() if key != LIFECYCLE_KEY},
    }
    description = json.loads(json.dumps(description))
    lifecycle: Mapping[str, Any] = given.get(LIFECYCLE_KEY) or {}
    if unknown := set(lifecycle) - _LIFECYCLE_KEYS:
        raise ValueError(
            f"job {description['JobId']}: unknown lifecycle keys: {sorted(unknown)}; known: {sorted(_LIFECYCLE_KEYS)}"
        )
    if lifecycle.get("verbatim"):
        return Job(
            job_id=description["JobId"],
            final_description=description,
            created_at=_created_at(description, now),
            verbatim=True,
        )
    description.setdefault("Action", "InventoryRetrieval")
    description.setdefault("CreationDate", timestamps.isoformat(now))
    created_at = timestamps.parse(description["CreationDate"])
    outcome, completes_at = _end(description, lifecycle, created_at, now)
    if "status_message" in lifecycle:
        description["StatusMessage"] = lifecycle["status_message"]
    if completes_at is not None and description.get("CompletionDate") is None:
        description["CompletionDate"] = timestamps.isoformat(completes_at)
    listed_after_seconds = lifecycle.get("listed_after_seconds")
    return Job(
        job_id=description["JobId"],
        final_description=description,
        created_at=created_at,
        listed_at=None if listed_after_seconds is None else created_at + timedelta(seconds=listed_after_seconds),
        completes_at=completes_at,
        outcome=outcome,
        retention=timedelta(seconds=lifecycle["retention_seconds"]) if "retention_seconds" in lifecycle else retention,
    )


def _created_at(description: Description, now: datetime) -> datetime:
    try:
        return timestamps.parse(description["CreationDate"])
    except (KeyError, TypeError, ValueError):
        return now


def _end(
    description: Description, lifecycle: Mapping[str, Any], created_at: datetime, now: datetime
) -> tuple[str, datetime | None]:
    status_code = description.get("StatusCode", "InProgress")
    if status_code not in STATUS_CODES:
        raise ValueError(f"job {description['JobId']}: StatusCode is {status_code!r}, expected one of {STATUS_CODES}")
    finished = status_code in OUTCOMES
    outcome = lifecycle.get("outcome", status_code if finished else "Succeeded")
    if "completes_at" in lifecycle:
        return outcome, timestamps.parse(lifecycle["completes_at"])
    if "duration_seconds" in lifecycle:
        return outcome, created_at + timedelta(seconds=lifecycle["duration_seconds"])
    if not finished:
        return outcome, None
    completion_date = description.get("CompletionDate")
    return outcome, now if completion_date is None else timestamps.parse(completion_date)
