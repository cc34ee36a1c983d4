"""What a job says of itself at a moment of its life."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws import timestamps

Description = dict[str, Any]
"""A job in AWS's spelling, as List Jobs and Describe Job show it."""

LIFE = "_life"
"""The key under which a description that is handed in carries what AWS never tells: how the job's life goes on."""

STATUS_CODES = ("InProgress", "Succeeded", "Failed")
OUTCOMES = ("Succeeded", "Failed")

_LIFE_KEYS = frozenset(
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
    """A job and its whole life; what it is at a moment follows from the two."""

    job_id: str
    facts: Description
    """The description at the end of the job's life; what is not yet known is left out while it is in progress."""
    created_at: datetime
    listed_at: datetime | None = None
    """When List Jobs begins to show it; ``None`` is at once."""
    completes_at: datetime | None = None
    """``None`` is never."""
    outcome: str = "Succeeded"
    retention: timedelta = timedelta(hours=24)
    verbatim: bool = False
    """Show the facts as they are, at any moment, even where they are no valid description."""
    inventory: bytes | None = field(default=None, repr=False)
    """What an inventory job took when it was initiated; ``None`` where it was not initiated here."""

    def __post_init__(self) -> None:
        """Refuse an outcome that jobs do not have.

        :raises ValueError: names the outcome.
        """
        if self.outcome not in OUTCOMES:
            raise ValueError(f"job {self.job_id} has the outcome {self.outcome!r}, expected one of {OUTCOMES}")

    @property
    def expires_at(self) -> datetime | None:
        """When it is forgotten; ``None`` is never."""
        if self.completes_at is None or self.verbatim:
            return None
        return self.completes_at + self.retention

    def is_finished(self, now: datetime) -> bool:
        """Whether it has succeeded or failed."""
        return self.completes_at is not None and self.completes_at <= now

    def is_known(self, now: datetime) -> bool:
        """Whether Describe Job finds it."""
        return self.expires_at is None or now < self.expires_at

    def is_listed(self, now: datetime) -> bool:
        """Whether List Jobs shows it."""
        return self.is_known(now) and (self.listed_at is None or self.listed_at <= now)

    def next_change_at(self, now: datetime) -> datetime | None:
        """The first moment after ``now`` at which it looks different; ``None`` is never."""
        turns = [at for at in (self.listed_at, self.completes_at, self.expires_at) if at is not None and at > now]
        return min(turns, default=None)

    def description(self, now: datetime) -> Description:
        """The job as AWS describes it at this moment; keys that the facts lack stay absent, but for the status."""
        shown = dict(self.facts)
        if self.verbatim:
            return shown
        if self.is_finished(now) and self.completes_at is not None:
            shown["Completed"] = True
            shown["StatusCode"] = self.outcome
            shown.setdefault("CompletionDate", timestamps.write(self.completes_at))
            return shown
        shown["Completed"] = False
        shown["StatusCode"] = "InProgress"
        unknown_yet = ["CompletionDate", "StatusMessage", "InventorySizeInBytes"]
        if _retrieves_whole_archive(shown):
            unknown_yet.append("SHA256TreeHash")
        shown.update({key: None for key in unknown_yet if key in shown})
        return shown


def _retrieves_whole_archive(description: Description) -> bool:
    byte_range = description.get("RetrievalByteRange")
    size_in_bytes = description.get("ArchiveSizeInBytes")
    return byte_range is None or size_in_bytes is None or byte_range == f"0-{size_in_bytes - 1}"


def job_from(given: Mapping[str, Any], *, job_id: str, vault_arn: str, now: datetime, retention: timedelta) -> Job:
    """The job that a description in AWS's form stands for.

    What a job always has and ``given`` lacks is filled in: ``JobId`` with ``job_id``, ``VaultARN``, ``Action`` (an
    inventory), ``CreationDate`` with ``now``. Without a life of its own, a finished job finished at its
    ``CompletionDate`` (or at ``now``), and a job in progress stays in progress for ever. ``given["_life"]`` says
    otherwise:

    - ``completes_at`` (ISO 8601) or ``duration_seconds`` (from its creation), ``outcome`` and ``status_message``;
    - ``listed_after_seconds`` (from its creation), ``retention_seconds`` (from its completion);
    - ``verbatim``: show exactly what was given, always.

    :raises ValueError: names the key of the life that is not known, or the value that is wrong.
    """
    facts = {"JobId": job_id, "VaultARN": vault_arn, **{key: value for key, value in given.items() if key != LIFE}}
    facts = json.loads(json.dumps(facts))
    life: Mapping[str, Any] = given.get(LIFE) or {}
    if unknown := set(life) - _LIFE_KEYS:
        raise ValueError(
            f"job {facts['JobId']}: no such keys of a life: {sorted(unknown)}; there are {sorted(_LIFE_KEYS)}"
        )
    if life.get("verbatim"):
        return Job(job_id=facts["JobId"], facts=facts, created_at=_created_at(facts, now), verbatim=True)
    facts.setdefault("Action", "InventoryRetrieval")
    facts.setdefault("CreationDate", timestamps.write(now))
    created_at = timestamps.read(facts["CreationDate"])
    outcome, completes_at = _end(facts, life, created_at, now)
    if "status_message" in life:
        facts["StatusMessage"] = life["status_message"]
    if completes_at is not None and facts.get("CompletionDate") is None:
        facts["CompletionDate"] = timestamps.write(completes_at)
    listed_after_seconds = life.get("listed_after_seconds")
    return Job(
        job_id=facts["JobId"],
        facts=facts,
        created_at=created_at,
        listed_at=None if listed_after_seconds is None else created_at + timedelta(seconds=listed_after_seconds),
        completes_at=completes_at,
        outcome=outcome,
        retention=timedelta(seconds=life["retention_seconds"]) if "retention_seconds" in life else retention,
    )


def _created_at(facts: Description, now: datetime) -> datetime:
    try:
        return timestamps.read(facts["CreationDate"])
    except (KeyError, TypeError, ValueError):
        return now


def _end(
    facts: Description, life: Mapping[str, Any], created_at: datetime, now: datetime
) -> tuple[str, datetime | None]:
    status_code = facts.get("StatusCode", "InProgress")
    if status_code not in STATUS_CODES:
        raise ValueError(f"job {facts['JobId']}: StatusCode is {status_code!r}, expected one of {STATUS_CODES}")
    finished = status_code in OUTCOMES
    outcome = life.get("outcome", status_code if finished else "Succeeded")
    if "completes_at" in life:
        return outcome, timestamps.read(life["completes_at"])
    if "duration_seconds" in life:
        return outcome, created_at + timedelta(seconds=life["duration_seconds"])
    if not finished:
        return outcome, None
    completion_date = facts.get("CompletionDate")
    return outcome, now if completion_date is None else timestamps.read(completion_date)
