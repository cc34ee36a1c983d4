"""A dataset as hourly observations of some targets leave it behind, written as fast as files can be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glacier_jobs.schema import TABLES
from glacier_jobs.writer import REPEATING_COLUMNS

_HOUR = timedelta(hours=1)
_RETENTION_HOURS = 24
_TIERS = ("Expedited", "Standard", "Bulk")
_TYPICAL_HOURS = np.array([0.05, 4.0, 9.0])
_VAULTS = 3


def make_dataset(root: Path, *, until: datetime, days: int, targets: int, jobs_an_hour: float) -> int:
    """Write the files; return how many observations there are.

    :param until: the hour of the newest observation.
    :param jobs_an_hour: how many jobs are started in each target; Glacier lists each for about 30 hours.
    """
    first = until - timedelta(days=days) + _HOUR
    for number in range(targets):
        target = _Target(number, first, days * 24, jobs_an_hour)
        for hour in range(days * 24):
            for table, rows in target.observation(hour):
                _write(root, table, target.observation_id(hour), first + hour * _HOUR, rows)
    return days * 24 * targets


class _Target:
    """The jobs of one account and Region, and what is seen of them hour by hour."""

    def __init__(self, number: int, first: datetime, hours: int, jobs_an_hour: float) -> None:
        self._account_id = f"{100000000000 + number // 2}"
        self._region = ("us-east-1", "eu-west-1")[number % 2]
        self._first = first
        chance = np.random.default_rng(number)
        count = int(hours * jobs_an_hour)
        self._created = np.sort(chance.uniform(-12, hours, count))
        tiers = chance.choice(3, count, p=[0.1, 0.4, 0.5])
        self._completed = self._created + _TYPICAL_HOURS[tiers] * chance.uniform(0.7, 1.3, count)
        self._failed = chance.random(count) < 0.02
        vaults = chance.integers(0, _VAULTS, count)
        names = [f"vault-{vault}" for vault in vaults]
        digests = [hashlib.sha512(f"{number} {job}".encode()).hexdigest() for job in range(count)]
        self._static = pa.table(
            {
                "vault_name": names,
                "job_id": [digest[:92] for digest in digests],
                "job_description": [f"restore part {job}" for job in range(count)],
                "action": ["ArchiveRetrieval"] * count,
                "archive_id": [(digest * 2)[:138] for digest in digests],
                "vault_arn": [self._arn(name) for name in names],
                "tier": [_TIERS[tier] for tier in tiers],
                "archive_size_in_bytes": chance.integers(1, 2**30, count),
                "archive_sha256_tree_hash": [digest[:64] for digest in digests],
                "creation_date": self._moments(self._created),
            }
        )

    def observation_id(self, hour: int) -> str:
        """Return the name of the observation made in an hour."""
        return f"{self._account_id}_{self._region}_{self._first + hour * _HOUR:%Y%m%dT%H%M%S}Z_{hour:06x}"

    def observation(self, hour: int) -> Iterator[tuple[str, pa.Table]]:
        """Yield each table's name and rows."""
        at = self._first + hour * _HOUR
        shared = {
            "observation_id": self.observation_id(hour),
            "snapshot_at": at,
            "account_id": self._account_id,
            "region": self._region,
        }
        there = np.flatnonzero((self._created <= hour) & (self._completed + _RETENTION_HOURS > hour))
        done = self._completed[there] <= hour
        status = np.where(done, np.where(self._failed[there], "Failed", "Succeeded"), "InProgress")
        seen = self._static.take(there)
        varying = {
            "observed_at": [at] * len(there),
            "completion_date": pa.array(self._moments(self._completed[there]), mask=~done),
            "completed": done,
            "status_code": status.tolist(),
        }
        yield (
            "jobs",
            _as_table("jobs", len(there), shared, {**{name: seen[name] for name in seen.schema.names}, **varying}),
        )
        vaults = [f"vault-{vault}" for vault in range(_VAULTS)]
        yield (
            "vaults",
            _as_table(
                "vaults",
                _VAULTS,
                {**shared, "jobs": 0, "pages": 1, "listing_began_at": at, "listing_ended_at": at, "outcome": "listed"},
                {"vault_name": vaults, "vault_arn": [self._arn(name) for name in vaults]},
            ),
        )
        yield "observations", _as_table(
            "observations",
            1,
            {**shared, "ended_at": at, "published_at": at, "scope": "all", "vaults_listed": _VAULTS, "vaults_gone": 0,
             "vaults_failed": 0, "jobs": len(there), "package_version": "bench", "schema_version": 1},
            {},
        )  # fmt: skip

    def _arn(self, vault_name: str) -> str:
        return f"arn:aws:glacier:{self._region}:{self._account_id}:vaults/{vault_name}"

    def _moments(self, hours: Any) -> Any:
        first = np.datetime64(self._first.replace(tzinfo=None), "us")
        return first + (hours * 3.6e9).astype("timedelta64[us]")


def _as_table(table: str, count: int, shared: dict[str, Any], columns: dict[str, Any]) -> pa.Table:
    arrays = []
    for field in TABLES[table]:
        if field.name in columns:
            column = columns[field.name]
            array = column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column)
            arrays.append(array.cast(field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(shared.get(field.name), field.type), count))
    return pa.table(arrays, schema=TABLES[table])


def _write(root: Path, table: str, observation_id: str, at: datetime, rows: pa.Table) -> None:
    folder = root / table / f"snapshot_date={at:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        rows, folder / f"{observation_id}.parquet", compression="zstd", use_dictionary=REPEATING_COLUMNS[table]
    )
