"""A dataset of two weeks, with every kind of content that a report can show."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import Found, Job, job, observe

MB = 1024 * 1024
_TYPICAL_HOURS = {"Expedited": (0.03, 0.08), "Standard": (3, 5), "Bulk": (6, 11)}
_VAULTS = ("photos-2014", "films", "finance.ledger", "logs_eu", "backups-weekly", "scans", "maps")


def publish_two_weeks(
    dataset: Dataset, now: datetime, *, hostile: str = "", days: int = 14, every_hours: int = 3
) -> None:
    """Publish an observation of the vaults every few hours until ``now``, except for an outage of 30 hours.

    :param hostile: a hostile text for a job's description and for a failed job's message.
    """
    rng = random.Random(20261122)  # noqa: S311 - not for secrets
    jobs = [_random_job(rng, number, now, days) for number in range(days * 40)]
    jobs += _jobs_that_need_attention(now, hostile)
    outage = (now - timedelta(days=6, hours=20), now - timedelta(days=5, hours=14))
    for hours_ago in range(days * 24, -1, -every_hours):
        at = now - timedelta(hours=hours_ago, minutes=10)
        if not outage[0] < at < outage[1]:
            listings: dict[str, Found] = {
                vault: [_as_listed(each, at) for each in jobs if _listed(each, vault, at)] for vault in _VAULTS
            }
            observe(dataset, at, {**listings, "forbidden": "failed" if hours_ago < 20 else []})


def _random_job(rng: random.Random, number: int, now: datetime, days: int) -> dict[str, Any]:
    tier = rng.choices(["Expedited", "Standard", "Bulk"], [2, 5, 6])[0]
    shortest, longest = _TYPICAL_HOURS[tier]
    created = now - timedelta(days=rng.uniform(0.5, days) * rng.uniform(0.6, 1))
    inventory = rng.random() < 0.06
    fields: dict[str, Any] = {"Tier": tier, "JobDescription": f"restore batch {number // 20}, part {number % 20}"}
    if inventory:
        fields = {"Action": "InventoryRetrieval", "JobDescription": "weekly inventory", "InventorySizeInBytes": 48213}
        shortest, longest = _TYPICAL_HOURS["Standard"]
    else:
        fields["ArchiveSizeInBytes"] = int(rng.lognormvariate(5, 1.4) * MB)
    return {
        "vault": rng.choices(_VAULTS, [9, 6, 4, 3, 3, 2, 1])[0],
        "job_id": f"{number:06d}-{rng.randbytes(40).hex()}",
        "created": created,
        "completed": created + timedelta(hours=rng.triangular(shortest, longest * 1.25, shortest * 1.2)),
        "status": "Failed" if rng.random() < 0.02 else "Succeeded",
        "fields": fields,
    }


def _jobs_that_need_attention(now: datetime, hostile: str) -> list[dict[str, Any]]:
    def attention_job(
        number: int, vault: str, created: float, completed: float | None, status: str, **fields: Any
    ) -> dict[str, Any]:
        return {
            "vault": vault,
            "job_id": f"attention-{number}-{'x' * 80}",
            "created": now - timedelta(hours=created),
            "completed": now + timedelta(days=1) if completed is None else now - timedelta(hours=completed),
            "status": status,
            "fields": {"ArchiveSizeInBytes": 850 * MB, **fields},
        }

    return [
        attention_job(1, "films", 28, 22.4, "Succeeded", Tier="Standard", JobDescription="the premiere, reel 1 of 3"),
        attention_job(2, "films", 28, 21.1, "Succeeded", Tier="Standard", JobDescription="the premiere, reel 2 of 3"),
        attention_job(3, "photos-2014", 27, 19.5, "Succeeded", Tier="Bulk", JobDescription=hostile or "holiday"),
        attention_job(4, "scans", 9, 3, "Failed", Tier="Bulk", StatusMessage=hostile or "The archive was not found.",
                      JobDescription="contracts 1998-2003, for the audit"),
        attention_job(5, "maps", 17, None, "Succeeded", Tier="Bulk", JobDescription="survey sheets"),
    ]  # fmt: skip


def _listed(lifecycle: dict[str, Any], vault: str, at: datetime) -> bool:
    is_listed: bool = lifecycle["vault"] == vault and lifecycle["created"] <= at < lifecycle["completed"] + timedelta(
        hours=24.5
    )
    return is_listed


def _as_listed(lifecycle: dict[str, Any], at: datetime) -> Job:
    if at < lifecycle["completed"]:
        return job(lifecycle["job_id"], created=lifecycle["created"], **lifecycle["fields"])
    return job(
        lifecycle["job_id"],
        lifecycle["status"],
        created=lifecycle["created"],
        completed=lifecycle["completed"],
        **lifecycle["fields"],
    )
