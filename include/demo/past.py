"""Generates eight days of snapshots of a fictional account, so that the page "Glacier jobs" shows every state.

Each vault has a nightly inventory, and restores, audits or restore tests in working hours, fewer at weekends. A
migration campaign grows from day to day. There are an outage without snapshots, a vault that can no longer be listed,
jobs that fail or are slow, and one vault with hostile descriptions.

``python -m demo.past <folder>`` adds it to a dataset. No DAG observes this account, so later snapshots do not
contradict it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

#: No snapshots between these ages, which is longer than Glacier retains a finished job.
OUTAGE = (timedelta(days=5, hours=2), timedelta(days=3, hours=20))

#: The vault that can no longer be listed, and for how long.
FORBIDDEN, FORBIDDEN_FOR = "contracts-2014", timedelta(hours=9)

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

#: The vault with hostile descriptions.
HOSTILE = "hostile-texts"
_HOSTILE_DESCRIPTIONS = (
    "<script>alert('restore')</script>",
    "'; DROP TABLE jobs; --",
    '=HYPERLINK("http://example.invalid/")',
    "%s %d %n",
    "null",
    "x" * 1000,
)

#: Duration in hours by tier: minimum, maximum and most frequent value.
_DURATION_HOURS: Mapping[str, tuple[float, float, float]] = {
    "Expedited": (0.02, 0.083, 0.04),
    "Standard": (3.0, 5.0, 3.8),
    "Bulk": (5.0, 12.0, 8.0),
}

#: Number of jobs that fail in 24 hours.
_FAILURES_A_DAY = 6
#: AWS documents no texts; these are in the style of its other messages.
_MESSAGES = (
    "The archive was deleted before the retrieval completed",
    "The archive could not be retrieved. Initiate a new job",
)

#: Jobs slower than typical: vault, tier, minimum hours in progress, and number of jobs.
_SLOW = (("film-masters", "Bulk", 13.5, 3), ("photo-library", "Standard", 6.5, 1))

_WEEKEND = (5, 6)
#: The number of jobs at a weekend day, as a share of those on a working day.
_WEEKEND_SHARE = 0.45

#: The share of the retrievals without a description.
_UNDESCRIBED_SHARE = 0.04


@dataclass(frozen=True, kw_only=True)
class _Vault:
    """A vault, and the jobs that are initiated in it on each day.

    :param size: the median size of an archive in bytes; the sizes have a log-normal distribution.
    :param description: of a retrieval; may contain the fields ``{ticket}``, ``{wave}`` (the day's number),
        ``{number}`` and ``{jobs}`` (17 of 60), ``{subject}``, ``{year}`` and ``{date}`` (of the upload).
    :param jobs_a_day: on a working day; at weekends fewer.
    :param more_each_day: how many jobs each day has more than the day before. Not 0 makes a campaign of it, which goes
        on at weekends.
    :param hours: of the day (UTC), within which the jobs are initiated.
    :param tiers: one of them is drawn for each job.
    """

    name: str
    region: str
    archives: int = 0
    size: int = 0
    description: str = ""
    subjects: Sequence[str] = ("",)
    jobs_a_day: int = 0
    more_each_day: int = 0
    hours: tuple[float, float] = (0, 24)
    tiers: Sequence[str] = ("Standard",)

    @property
    def arn(self) -> str:
        return f"arn:aws:glacier:{self.region}:{ACCOUNT_ID}:vaults/{self.name}"


_VAULTS = (
    _Vault(
        name="photo-library",
        region="eu-central-1",
        archives=48_211,
        size=3 * 10**9,
        description="Restore INC-{ticket}: photo-library/{year}/{subject}-{number:04d}.tar",
        subjects=("landscape", "portrait", "press", "school", "wedding"),
        jobs_a_day=44,
        hours=(7, 17),
        tiers=("Standard",) * 7 + ("Expedited",),
    ),
    _Vault(
        name="film-masters",
        region="eu-central-1",
        archives=2_904,
        size=9 * 10**9,
        description="S3 migration wave {wave}, {number} of {jobs}",
        jobs_a_day=8,
        more_each_day=3,
        hours=(18, 19),
        tiers=("Bulk",),
    ),
    _Vault(
        name=FORBIDDEN,
        region="eu-central-1",
        archives=9_340,
        size=5 * 10**9,
        description="Q3 audit sample {number} of {jobs}",
        jobs_a_day=20,
        hours=(8, 15),
    ),
    _Vault(
        name="database-backups",
        region="us-west-2",
        archives=6_570,
        size=8 * 10**9,
        description="Restore test: {subject}/{date}/full.dump.zst",
        subjects=("billing", "catalog", "customers", "orders"),
        jobs_a_day=26,
        hours=(14, 23),
        tiers=("Standard",) * 3 + ("Bulk",),
    ),
    _Vault(
        name="lab.results_sequencer-b_raw-reads_2015-to-2019",
        region="us-west-2",
        archives=15_022,
        size=6 * 10**9,
        description="Reanalysis of run {ticket}: lane-{number}.fastq.gz",
        jobs_a_day=20,
        hours=(15, 24),
        tiers=("Standard", "Bulk"),
    ),
    _Vault(name=HOSTILE, region="us-west-2", archives=len(_HOSTILE_DESCRIPTIONS), size=10**7),
    _Vault(name="email-journal", region="us-west-2"),
)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A job, and the times at which its state changes."""

    description: Mapping[str, Any]
    created_at: datetime
    completed_at: datetime
    expires_at: datetime
    failure: str | None = None

    def description_at(self, moment: datetime) -> dict[str, Any] | None:
        """Return the description of the job at a time, ``None`` if Glacier does not list it then."""
        if not self.created_at <= moment < self.expires_at:
            return None
        if moment < self.completed_at:
            return {**self.description, "InventorySizeInBytes": None, "StatusCode": "InProgress", "Completed": False}
        return {
            **self.description,
            **({"InventorySizeInBytes": None} if self.failure else {}),
            "StatusCode": "Failed" if self.failure else "Succeeded",
            "StatusMessage": self.failure or "Succeeded",
            "Completed": True,
            "CompletionDate": _isoformat(self.completed_at),
        }


def add_past(folder: Path, *, now: datetime, seed: int = 20261122) -> int:
    """Publish the generated snapshots, and return their number.

    :param folder: the root of the dataset.
    :param now: the time of the newest snapshot, an aware UTC datetime.
    """
    dataset = Dataset(filesystem=LocalFileSystem(), root=str(folder))
    jobs = _jobs(now, random.Random(seed))  # noqa: S311 - not a secret
    moments = [now - _HOUR * hours for hours in range(DAYS * 24, -1, -1)]
    observed = [moment for moment in moments if not now - OUTAGE[0] < moment < now - OUTAGE[1]]
    for moment in observed:
        for region in REGIONS:
            vaults = {vault: jobs[vault] for vault in _VAULTS if vault.region == region}
            _observe(dataset, moment, region, vaults, forbidden=moment > now - FORBIDDEN_FOR)
    return len(observed) * len(REGIONS)


def _jobs(now: datetime, rng: random.Random) -> dict[_Vault, list[_Job]]:
    """Generate the jobs of each vault up to now, starting before the first snapshot, which still lists some of them."""
    jobs = {vault: [job for job in _jobs_of(vault, now, rng) if job.created_at <= now] for vault in _VAULTS}
    for name, tier, minimum_hours, count in _SLOW:
        [vault] = [vault for vault in _VAULTS if vault.name == name]
        _make_some_slow(jobs[vault], now, tier, _HOUR * minimum_hours, count, rng)
    for days in range(DAYS + 1):
        _make_some_fail(jobs, now - _DAY * days, rng)
    return jobs


def _make_some_slow(
    jobs: list[_Job], now: datetime, tier: str, minimum_age: timedelta, count: int, rng: random.Random
) -> None:
    """Keep the newest ``count`` jobs of a tier in progress that were initiated at least ``minimum_age`` ago."""
    old_enough = [job for job in jobs if job.created_at < now - minimum_age and job.description.get("Tier") == tier]
    for job in sorted(old_enough, key=lambda job: job.created_at)[-count:]:
        jobs[jobs.index(job)] = _completed(job, now + _HOUR * (1 + 4 * rng.random()), rng)


def _make_some_fail(jobs: Mapping[_Vault, list[_Job]], until: datetime, rng: random.Random) -> None:
    """Make some of the retrievals fail that were completed in the 24 hours before ``until``."""
    candidates = [
        (of_vault, number)
        for vault, of_vault in jobs.items()
        if vault.name not in (HOSTILE, FORBIDDEN)
        for number, job in enumerate(of_vault)
        if job.description["Action"] == "ArchiveRetrieval" and until - _DAY < job.completed_at <= until
    ]
    for of_vault, number in rng.sample(candidates, _FAILURES_A_DAY):
        of_vault[number] = replace(of_vault[number], failure=rng.choice(_MESSAGES))


def _jobs_of(vault: _Vault, now: datetime, rng: random.Random) -> Iterator[_Job]:
    if vault.name == HOSTILE:
        # Neither the newest jobs nor the next outputs to expire, which are on the first screen of the page.
        for days in range(DAYS + 2):
            for text in _HOSTILE_DESCRIPTIONS:
                created_at = now - _DAY * days - _HOUR * (16 + rng.random())
                yield _retrieval(vault, text, "Standard", created_at, rng)
    elif vault.archives:
        today = datetime(now.year, now.month, now.day, tzinfo=timezone.utc)
        for wave in range(1, DAYS + 3):
            day = today - _DAY * (DAYS + 2 - wave)
            yield _inventory(vault, day + _HOUR * (1 + rng.random()), rng)
            yield from _retrievals(vault, day, wave, rng)


def _retrievals(vault: _Vault, day: datetime, wave: int, rng: random.Random) -> Iterator[_Job]:
    count = vault.jobs_a_day + vault.more_each_day * (wave - 1)
    if day.weekday() in _WEEKEND and not vault.more_each_day:
        count = round(count * _WEEKEND_SHARE)
    first, last = vault.hours
    for number in range(1, count + 1):
        uploaded_at = day - _DAY * rng.randint(30, 2500)
        description = vault.description.format(
            ticket=rng.randint(4100, 4999),
            wave=wave,
            number=number,
            jobs=count,
            year=uploaded_at.year,
            date=uploaded_at.date(),
            subject=rng.choice(vault.subjects),
        )
        created_at = day + _HOUR * (first + (last - first) * (number - rng.random()) / count)
        has_description = rng.random() >= _UNDESCRIBED_SHARE
        yield _retrieval(vault, description if has_description else None, rng.choice(vault.tiers), created_at, rng)


def _retrieval(vault: _Vault, description: str | None, tier: str, created_at: datetime, rng: random.Random) -> _Job:
    size = round(vault.size * rng.lognormvariate(0, 0.5))
    if tier == "Expedited":
        # Glacier retrieves up to 250 MB in minutes.
        size = min(size, rng.randint(5 * 10**6, 250 * 10**6))
    tree_hash = f"{rng.getrandbits(256):064x}"
    return _job(
        vault,
        {
            "Action": "ArchiveRetrieval",
            "JobDescription": description,
            "SNSTopic": f"arn:aws:sns:{vault.region}:{ACCOUNT_ID}:restores" if rng.random() < 0.3 else None,
            "Tier": tier,
            "ArchiveId": _random_id(rng, 138),
            "ArchiveSizeInBytes": size,
            "ArchiveSHA256TreeHash": tree_hash,
            "SHA256TreeHash": tree_hash,
            "RetrievalByteRange": f"0-{size - 1}",
        },
        created_at,
        tier,
        rng,
    )


def _inventory(vault: _Vault, created_at: datetime, rng: random.Random) -> _Job:
    return _job(
        vault,
        {
            "Action": "InventoryRetrieval",
            "JobDescription": f"Nightly inventory {created_at.date()}",
            "InventoryRetrievalParameters": {"Format": "JSON"},
            # About 390 bytes per archive: ID, description, date, size and hash.
            "InventorySizeInBytes": 150 + vault.archives * 390,
        },
        created_at,
        "Standard",
        rng,
    )


def _job(vault: _Vault, members: Mapping[str, Any], created_at: datetime, tier: str, rng: random.Random) -> _Job:
    job = _Job(
        description={
            "JobId": _random_id(rng, 92),
            "VaultARN": vault.arn,
            "CreationDate": _isoformat(created_at),
            **members,
        },
        created_at=created_at,
        completed_at=created_at,
        expires_at=created_at,
    )
    return _completed(job, created_at + _HOUR * rng.triangular(*_DURATION_HOURS[tier]), rng)


def _completed(job: _Job, completed_at: datetime, rng: random.Random) -> _Job:
    """Return the job, completed at this time. Glacier retains a completed job for slightly more than 24 hours."""
    return replace(job, completed_at=completed_at, expires_at=completed_at + _HOUR * (24 + 0.5 * rng.random()))


def _observe(
    dataset: Dataset,
    moment: datetime,
    region: str,
    vaults: Mapping[_Vault, Sequence[_Job]],
    *,
    forbidden: bool,
) -> None:
    observation = new_observation(ACCOUNT_ID, region, moment)
    ended_at = moment + timedelta(seconds=4)
    rows = []
    with ObservationWriter(dataset, observation, clock=lambda: ended_at) as writer:
        for vault, jobs_of_vault in vaults.items():
            failed = forbidden and vault.name == FORBIDDEN
            jobs = (
                []
                if failed
                else [description for job in jobs_of_vault if (description := job.description_at(moment)) is not None]
            )
            writer.write_jobs(jobs_batch(jobs, observation=observation, vault_name=vault.name, observed_at=ended_at))
            rows.append(
                {
                    "vault_name": vault.name,
                    "vault_arn": vault.arn,
                    "number_of_archives": vault.archives,
                    "size_in_bytes": vault.archives * vault.size,
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


def _random_id(rng: random.Random, length: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(rng.choices(letters, k=length))


def _isoformat(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


if __name__ == "__main__":
    count = add_past(Path(sys.argv[1]).resolve(), now=datetime.now(timezone.utc))
    print(f"{count} observations added")
