"""A made-up past, so that the page "Glacier jobs" has every state to show: eight days of an account that is not there.

``python -m demo.past <folder>`` adds it to a dataset. No DAG looks at this account, so nothing contradicts it later.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from glacier_jobs import __version__
from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.schema import SCHEMA_VERSION
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.glacier.rows import jobs_batch

ACCOUNT_ID = "210987654321"
REGIONS = ("eu-central-1", "us-west-2")
DAYS = 8

#: Nothing was observed in between, for longer than Glacier keeps a finished job.
OUTAGE = (timedelta(days=5, hours=2), timedelta(days=3, hours=20))

#: This vault could be listed until then.
FORBIDDEN, FORBIDDEN_FOR = "contracts-2014", timedelta(hours=9)

_HOUR = timedelta(hours=1)
_TIERS: Mapping[str, tuple[float, float, float]] = {
    # How many of all, and hours from the shortest to the longest.
    "Expedited": (0.1, 0.02, 0.09),
    "Standard": (0.55, 3.0, 5.4),
    "Bulk": (0.35, 5.0, 12.5),
}
_MESSAGES = (
    "The archive was deleted while it was being retrieved.",
    "The job's output could not be announced: the topic does not exist.",
    "Retrieval was stopped by the account's data retrieval policy.",
)
_DESCRIPTIONS = (
    "restore batch {batch:03d}",
    "audit sample {batch:03d}",
    "migration to S3, wave {batch}",
    None,
    "<script>alert('batch {batch}')</script>",
    "'; DROP TABLE jobs; -- {batch}",
    '=HYPERLINK("http://example.invalid/{batch}")',
)


@dataclass(frozen=True, kw_only=True)
class _Vault:
    name: str
    region: str
    jobs_a_day: int
    size: int

    @property
    def arn(self) -> str:
        return f"arn:aws:glacier:{self.region}:{ACCOUNT_ID}:vaults/{self.name}"


_VAULTS = (
    _Vault(name="photos-2012", region="eu-central-1", jobs_a_day=40, size=6 * 10**9),
    _Vault(name="film-masters", region="eu-central-1", jobs_a_day=14, size=90 * 10**9),
    _Vault(name=FORBIDDEN, region="eu-central-1", jobs_a_day=10, size=3 * 10**7),
    _Vault(name="backups", region="us-west-2", jobs_a_day=60, size=2 * 10**9),
    _Vault(name="lab.results_raw-a-vault-with-quite-a-long-name", region="us-west-2", jobs_a_day=12, size=7 * 10**8),
    _Vault(name="empty", region="us-west-2", jobs_a_day=0, size=0),
)


@dataclass(frozen=True, kw_only=True)
class _Life:
    """One job, and when it is in which state."""

    description: Mapping[str, Any]
    created_at: datetime
    completed_at: datetime
    forgotten_at: datetime
    end: Mapping[str, Any] = field(default_factory=dict)

    def at(self, moment: datetime) -> dict[str, Any] | None:
        """Return what Glacier says of the job at a moment, ``None`` where it does not list it."""
        if not self.created_at <= moment < self.forgotten_at:
            return None
        if moment < self.completed_at:
            return {**self.description, "StatusCode": "InProgress", "Completed": False}
        return {**self.description, **self.end, "Completed": True, "CompletionDate": _written(self.completed_at)}


def add_past(folder: Path, *, now: datetime, seed: int = 20261122) -> int:
    """Publish the observations of the made-up past; return how many.

    :param folder: the root of the dataset.
    :param now: when the newest of them is made, an aware UTC datetime.
    """
    dataset = Dataset(filesystem=LocalFileSystem(), root=str(folder))
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    lives = {vault: list(_lives(vault, now, chance)) for vault in _VAULTS}
    moments = [now - _HOUR * hours for hours in range(DAYS * 24, -1, -1)]
    observed = [moment for moment in moments if not now - OUTAGE[0] < moment < now - OUTAGE[1]]
    for moment in observed:
        for region in REGIONS:
            vaults = {vault: lives[vault] for vault in _VAULTS if vault.region == region}
            _observe(dataset, moment, region, vaults, forbidden=moment > now - FORBIDDEN_FOR)
    return len(observed) * len(REGIONS)


def _lives(vault: _Vault, now: datetime, chance: random.Random) -> Iterator[_Life]:
    for number in range(vault.jobs_a_day * (DAYS + 1)):
        tier = chance.choices(list(_TIERS), [share for share, *_ in _TIERS.values()])[0]
        _, shortest, longest = _TIERS[tier]
        created_at = now - timedelta(days=DAYS + 1) * chance.random()
        hours = chance.triangular(shortest, longest, shortest + (longest - shortest) * 0.4)
        is_inventory = number % 29 == 0
        if number % 97 == 5:
            # Slower than typical, and still at it.
            created_at = now - timedelta(hours=14 + 5 * chance.random())
            hours = 40.0
        completed_at = created_at + timedelta(hours=hours)
        failed = number % 31 == 7
        size = round(vault.size * chance.lognormvariate(0, 0.8))
        description = _DESCRIPTIONS[chance.choices(range(7), [40, 20, 20, 10, 2, 2, 2])[0]]
        yield _Life(
            description={
                "JobId": _token(chance, 92),
                "VaultARN": vault.arn,
                "Action": "InventoryRetrieval" if is_inventory else "ArchiveRetrieval",
                "JobDescription": description and description.format(batch=number // 8),
                "CreationDate": _written(created_at),
                "SNSTopic": f"arn:aws:sns:{vault.region}:{ACCOUNT_ID}:restores" if number % 3 == 0 else None,
                **(_inventory(is_done=not failed, size=size) if is_inventory else _archive(chance, tier, size)),
            },
            created_at=created_at,
            completed_at=completed_at,
            forgotten_at=completed_at + timedelta(hours=24 + 0.5 * chance.random()),
            end={"StatusCode": "Failed", "StatusMessage": chance.choice(_MESSAGES)}
            if failed
            else {"StatusCode": "Succeeded", "StatusMessage": "Succeeded"},
        )


def _archive(chance: random.Random, tier: str, size: int) -> dict[str, Any]:
    tree_hash = f"{chance.getrandbits(256):064x}"
    return {
        "Tier": tier,
        "ArchiveId": _token(chance, 138),
        "ArchiveSizeInBytes": size,
        "ArchiveSHA256TreeHash": tree_hash,
        "SHA256TreeHash": tree_hash,
        "RetrievalByteRange": f"0-{max(size - 1, 0)}",
    }


def _inventory(*, is_done: bool, size: int) -> dict[str, Any]:
    return {
        "InventoryRetrievalParameters": {"Format": "JSON", "Limit": "10000"},
        "InventorySizeInBytes": size // 1000 if is_done else None,
    }


def _observe(
    dataset: Dataset,
    moment: datetime,
    region: str,
    vaults: Mapping[_Vault, Sequence[_Life]],
    *,
    forbidden: bool,
) -> None:
    observation = new_observation(ACCOUNT_ID, region, moment)
    ended_at = moment + timedelta(seconds=4)
    rows = []
    with ObservationWriter(dataset, observation, clock=lambda: ended_at) as writer:
        for vault, lives in vaults.items():
            failed = forbidden and vault.name == FORBIDDEN
            jobs = [] if failed else [job for life in lives if (job := life.at(moment)) is not None]
            writer.write_jobs(jobs_batch(jobs, observation=observation, vault_name=vault.name, observed_at=ended_at))
            rows.append(
                {
                    "vault_name": vault.name,
                    "vault_arn": vault.arn,
                    "number_of_archives": vault.jobs_a_day * 1000,
                    "size_in_bytes": vault.jobs_a_day * 1000 * vault.size,
                    "jobs": len(jobs),
                    "pages": len(jobs) // 50 + 1,
                    "listing_began_at": moment,
                    "listing_ended_at": ended_at,
                    "outcome": "failed" if failed else "listed",
                    "error": "AccessDeniedException: not authorized to perform glacier:ListJobs on the vault"
                    if failed
                    else None,
                }
            )
        writer.finish_jobs()
        failures = sum(row["outcome"] == "failed" for row in rows)
        writer.publish(
            vaults=rows,
            observation={
                "ended_at": ended_at,
                "scope": "all",
                "vaults_listed": len(rows) - failures,
                "vaults_gone": 0,
                "vaults_failed": failures,
                "jobs": sum(row["jobs"] for row in rows),
                "package_version": __version__,
                "schema_version": SCHEMA_VERSION,
            },
        )


def _token(chance: random.Random, length: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(chance.choices(letters, k=length))


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


if __name__ == "__main__":
    count = add_past(Path(sys.argv[1]).resolve(), now=datetime.now(timezone.utc))
    print(f"{count} observations added")
