"""Two weeks in the life of some vaults, with something of everything that a report can show."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import Found, Job, job, observe

MB = 1024 * 1024
_TYPICAL_HOURS = {"Expedited": (0.03, 0.08), "Standard": (3, 5), "Bulk": (6, 11)}
_VAULTS = ("photos-2014", "films", "finance.ledger", "logs_eu", "backups-weekly", "scans", "maps")


def tell_story(dataset: Dataset, now: datetime, *, hostile: str = "", days: int = 14, every_hours: int = 3) -> None:
    """Observe the vaults every few hours up to ``now``, but for an outage of 30 hours.

    :param hostile: a text that somebody put into descriptions and messages.
    """
    chance = random.Random(20261122)  # noqa: S311 - a story, no secret
    lives = [_life(chance, number, now, days) for number in range(days * 40)]
    lives += _in_need_of_attention(now, hostile)
    outage = (now - timedelta(days=6, hours=20), now - timedelta(days=5, hours=14))
    for hours_ago in range(days * 24, -1, -every_hours):
        at = now - timedelta(hours=hours_ago, minutes=10)
        if not outage[0] < at < outage[1]:
            found: dict[str, Found] = {
                vault: [_seen(each, at) for each in lives if _listed(each, vault, at)] for vault in _VAULTS
            }
            observe(dataset, at, {**found, "forbidden": "failed" if hours_ago < 20 else []})


def _life(chance: random.Random, number: int, now: datetime, days: int) -> dict[str, Any]:
    tier = chance.choices(["Expedited", "Standard", "Bulk"], [2, 5, 6])[0]
    shortest, longest = _TYPICAL_HOURS[tier]
    created = now - timedelta(days=chance.uniform(0.5, days) * chance.uniform(0.6, 1))
    inventory = chance.random() < 0.06
    fields: dict[str, Any] = {"Tier": tier, "JobDescription": f"restore batch {number // 20}, part {number % 20}"}
    if inventory:
        fields = {"Action": "InventoryRetrieval", "JobDescription": "weekly inventory", "InventorySizeInBytes": 48213}
        shortest, longest = _TYPICAL_HOURS["Standard"]
    else:
        fields["ArchiveSizeInBytes"] = int(chance.lognormvariate(5, 1.4) * MB)
    return {
        "vault": chance.choices(_VAULTS, [9, 6, 4, 3, 3, 2, 1])[0],
        "job_id": f"{number:06d}-{chance.randbytes(40).hex()}",
        "created": created,
        "completed": created + timedelta(hours=chance.triangular(shortest, longest * 1.25, shortest * 1.2)),
        "status": "Failed" if chance.random() < 0.02 else "Succeeded",
        "fields": fields,
    }


def _in_need_of_attention(now: datetime, hostile: str) -> list[dict[str, Any]]:
    def life(
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
        life(1, "films", 28, 22.4, "Succeeded", Tier="Standard", JobDescription="the premiere, reel 1 of 3"),
        life(2, "films", 28, 21.1, "Succeeded", Tier="Standard", JobDescription="the premiere, reel 2 of 3"),
        life(3, "photos-2014", 27, 19.5, "Succeeded", Tier="Bulk", JobDescription=hostile or "holiday"),
        life(4, "scans", 9, 3, "Failed", Tier="Bulk", StatusMessage=hostile or "The archive was not found.",
             JobDescription="contracts 1998-2003, for the audit"),
        life(5, "maps", 17, None, "Succeeded", Tier="Bulk", JobDescription="survey sheets"),
    ]  # fmt: skip


def _listed(life: dict[str, Any], vault: str, at: datetime) -> bool:
    there: bool = life["vault"] == vault and life["created"] <= at < life["completed"] + timedelta(hours=24.5)
    return there


def _seen(life: dict[str, Any], at: datetime) -> Job:
    if at < life["completed"]:
        return job(life["job_id"], created=life["created"], **life["fields"])
    return job(life["job_id"], life["status"], created=life["created"], completed=life["completed"], **life["fields"])
