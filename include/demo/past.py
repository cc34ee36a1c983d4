"""A made-up past, so that the page "Glacier jobs" has every state to show: eight days of an account that is not there.

Each vault has a nightly inventory, and restores, audits or restore tests in working hours, fewer at weekends. A
migration campaign grows from day to day. There are an outage of the record, a vault that cannot be listed any more,
jobs that fail or are slow, and one vault with hostile descriptions.

``python -m demo.past <folder>`` adds it to a dataset. No DAG looks at this account, so nothing contradicts it later.
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

#: Nothing was observed in between, for longer than Glacier keeps a finished job.
OUTAGE = (timedelta(days=5, hours=2), timedelta(days=3, hours=20))

#: This vault could be listed until then.
FORBIDDEN, FORBIDDEN_FOR = "contracts-2014", timedelta(hours=9)

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

#: The vault in which the hostile descriptions are.
HOSTILE = "hostile-texts"
_HOSTILE_DESCRIPTIONS = (
    "<script>alert('restore')</script>",
    "'; DROP TABLE jobs; --",
    '=HYPERLINK("http://example.invalid/")',
    "%s %d %n",
    "null",
    "x" * 1000,
)

#: Hours from the shortest to the longest, and the most frequent.
_HOURS: Mapping[str, tuple[float, float, float]] = {
    "Expedited": (0.02, 0.083, 0.04),
    "Standard": (3.0, 5.0, 3.8),
    "Bulk": (5.0, 12.0, 8.0),
}

#: How many jobs fail in 24 hours.
_FAILURES_A_DAY = 6
#: AWS documents no texts; these are in the style of its other messages.
_MESSAGES = (
    "The archive was deleted before the retrieval completed",
    "The archive could not be retrieved. Initiate a new job",
)

#: Jobs slower than typical: in which vault, of which tier, in progress for at least how many hours, and how many.
_SLOW = (("film-masters", "Bulk", 13.5, 3), ("photo-library", "Standard", 6.5, 1))

_WEEKEND = (5, 6)
#: At weekends, people initiate only this share of a working day's jobs.
_WEEKEND_SHARE = 0.45

#: This share of the retrievals has no description.
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
    """One job, and when it is in which state."""

    description: Mapping[str, Any]
    created_at: datetime
    completed_at: datetime
    dropped_at: datetime
    failure: str | None = None

    def at(self, moment: datetime) -> dict[str, Any] | None:
        """Return what Glacier says of the job at a moment, ``None`` where it does not list it."""
        if not self.created_at <= moment < self.dropped_at:
            return None
        if moment < self.completed_at:
            return {**self.description, "InventorySizeInBytes": None, "StatusCode": "InProgress", "Completed": False}
        return {
            **self.description,
            **({"InventorySizeInBytes": None} if self.failure else {}),
            "StatusCode": "Failed" if self.failure else "Succeeded",
            "StatusMessage": self.failure or "Succeeded",
            "Completed": True,
            "CompletionDate": _written(self.completed_at),
        }


def add_past(folder: Path, *, now: datetime, seed: int = 20261122) -> int:
    """Publish the observations of the made-up past; return how many.

    :param folder: the root of the dataset.
    :param now: when the newest of them is made, an aware UTC datetime.
    """
    dataset = Dataset(filesystem=LocalFileSystem(), root=str(folder))
    jobs = _jobs(now, random.Random(seed))  # noqa: S311 - nothing secret
    moments = [now - _HOUR * hours for hours in range(DAYS * 24, -1, -1)]
    observed = [moment for moment in moments if not now - OUTAGE[0] < moment < now - OUTAGE[1]]
    for moment in observed:
        for region in REGIONS:
            vaults = {vault: jobs[vault] for vault in _VAULTS if vault.region == region}
            _observe(dataset, moment, region, vaults, forbidden=moment > now - FORBIDDEN_FOR)
    return len(observed) * len(REGIONS)


def _jobs(now: datetime, chance: random.Random) -> dict[_Vault, list[_Job]]:
    """Make the jobs of each vault up to now; of the days before the first observation, some are still listed then."""
    jobs = {vault: [job for job in _jobs_of(vault, now, chance) if job.created_at <= now] for vault in _VAULTS}
    for name, tier, least_hours, count in _SLOW:
        [vault] = [vault for vault in _VAULTS if vault.name == name]
        _let_some_be_slow(jobs[vault], now, tier, _HOUR * least_hours, count, chance)
    for days in range(DAYS + 1):
        _let_some_fail(jobs, now - _DAY * days, chance)
    return jobs


def _let_some_be_slow(
    jobs: list[_Job], now: datetime, tier: str, least: timedelta, count: int, chance: random.Random
) -> None:
    """Keep the newest jobs of a tier in progress that were initiated at least so long ago."""
    old_enough = [job for job in jobs if job.created_at < now - least and job.description.get("Tier") == tier]
    for job in sorted(old_enough, key=lambda job: job.created_at)[-count:]:
        jobs[jobs.index(job)] = _completed(job, now + _HOUR * (1 + 4 * chance.random()), chance)


def _let_some_fail(jobs: Mapping[_Vault, list[_Job]], until: datetime, chance: random.Random) -> None:
    """Make some retrievals fail that completed in the 24 hours before a moment."""
    candidates = [
        (of_vault, number)
        for vault, of_vault in jobs.items()
        if vault.name not in (HOSTILE, FORBIDDEN)
        for number, job in enumerate(of_vault)
        if job.description["Action"] == "ArchiveRetrieval" and until - _DAY < job.completed_at <= until
    ]
    for of_vault, number in chance.sample(candidates, _FAILURES_A_DAY):
        of_vault[number] = replace(of_vault[number], failure=chance.choice(_MESSAGES))


def _jobs_of(vault: _Vault, now: datetime, chance: random.Random) -> Iterator[_Job]:
    if vault.name == HOSTILE:
        # Neither the newest jobs nor the next outputs to expire: those are on the page's first screen.
        for days in range(DAYS + 2):
            for text in _HOSTILE_DESCRIPTIONS:
                created_at = now - _DAY * days - _HOUR * (16 + chance.random())
                yield _retrieval(vault, text, "Standard", created_at, chance)
    elif vault.archives:
        today = datetime(now.year, now.month, now.day, tzinfo=timezone.utc)
        for wave in range(1, DAYS + 3):
            day = today - _DAY * (DAYS + 2 - wave)
            yield _inventory(vault, day + _HOUR * (1 + chance.random()), chance)
            yield from _retrievals(vault, day, wave, chance)


def _retrievals(vault: _Vault, day: datetime, wave: int, chance: random.Random) -> Iterator[_Job]:
    count = vault.jobs_a_day + vault.more_each_day * (wave - 1)
    if day.weekday() in _WEEKEND and not vault.more_each_day:
        count = round(count * _WEEKEND_SHARE)
    first, last = vault.hours
    for number in range(1, count + 1):
        uploaded_at = day - _DAY * chance.randint(30, 2500)
        description = vault.description.format(
            ticket=chance.randint(4100, 4999),
            wave=wave,
            number=number,
            jobs=count,
            year=uploaded_at.year,
            date=uploaded_at.date(),
            subject=chance.choice(vault.subjects),
        )
        created_at = day + _HOUR * (first + (last - first) * (number - chance.random()) / count)
        described = chance.random() >= _UNDESCRIBED_SHARE
        yield _retrieval(vault, description if described else None, chance.choice(vault.tiers), created_at, chance)


def _retrieval(vault: _Vault, description: str | None, tier: str, created_at: datetime, chance: random.Random) -> _Job:
    size = round(vault.size * chance.lognormvariate(0, 0.5))
    if tier == "Expedited":
        # Glacier promises minutes for up to 250 MB.
        size = min(size, chance.randint(5 * 10**6, 250 * 10**6))
    tree_hash = f"{chance.getrandbits(256):064x}"
    return _job(
        vault,
        {
            "Action": "ArchiveRetrieval",
            "JobDescription": description,
            "SNSTopic": f"arn:aws:sns:{vault.region}:{ACCOUNT_ID}:restores" if chance.random() < 0.3 else None,
            "Tier": tier,
            "ArchiveId": _token(chance, 138),
            "ArchiveSizeInBytes": size,
            "ArchiveSHA256TreeHash": tree_hash,
            "SHA256TreeHash": tree_hash,
            "RetrievalByteRange": f"0-{size - 1}",
        },
        created_at,
        tier,
        chance,
    )


def _inventory(vault: _Vault, created_at: datetime, chance: random.Random) -> _Job:
    return _job(
        vault,
        {
            "Action": "InventoryRetrieval",
            "JobDescription": f"Nightly inventory {created_at.date()}",
            "InventoryRetrievalParameters": {"Format": "JSON"},
            # About 390 bytes an archive: its id, description, date, size and hash.
            "InventorySizeInBytes": 150 + vault.archives * 390,
        },
        created_at,
        "Standard",
        chance,
    )


def _job(vault: _Vault, said: Mapping[str, Any], created_at: datetime, tier: str, chance: random.Random) -> _Job:
    job = _Job(
        description={"JobId": _token(chance, 92), "VaultARN": vault.arn, "CreationDate": _written(created_at), **said},
        created_at=created_at,
        completed_at=created_at,
        dropped_at=created_at,
    )
    return _completed(job, created_at + _HOUR * chance.triangular(*_HOURS[tier]), chance)


def _completed(job: _Job, completed_at: datetime, chance: random.Random) -> _Job:
    """Glacier keeps a completed job for 24 hours and a little longer."""
    return replace(job, completed_at=completed_at, dropped_at=completed_at + _HOUR * (24 + 0.5 * chance.random()))


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
            jobs = [] if failed else [said for job in jobs_of_vault if (said := job.at(moment)) is not None]
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


def _token(chance: random.Random, length: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(chance.choices(letters, k=length))


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


if __name__ == "__main__":
    count = add_past(Path(sys.argv[1]).resolve(), now=datetime.now(timezone.utc))
    print(f"{count} observations added")
