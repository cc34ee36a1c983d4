"""Generates a dataset of hourly snapshots of several targets, without listing jobs."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.dataset.writer import REPEATING_COLUMNS

_HOUR = timedelta(hours=1)
_RETENTION_HOURS = 24
_TIERS = ("Expedited", "Standard", "Bulk")
_TYPICAL_HOURS = np.array([0.05, 4.0, 9.0])
_VAULTS = 3

#: Number of rows that are generated at once, and of the hours that a job is listed.
_ROWS_AT_ONCE = 500_000
_LISTED_HOURS = 30


def make_dataset(root: Path, *, until: datetime, hours: int, targets: int, jobs_an_hour: float) -> int:
    """Write the files, and return the number of snapshots.

    :param until: the hour of the newest snapshot.
    :param hours: the number of snapshots of each target.
    :param jobs_an_hour: jobs initiated per hour in each target; Glacier lists each for about 30 hours.
    """
    first = until - (hours - 1) * _HOUR
    for day in {(first + hour * _HOUR).date() for hour in range(hours)}:
        for table in TABLES:
            (root / table / f"snapshot_date={day}").mkdir(parents=True, exist_ok=True)
    # Not fork, because pyarrow has threads.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_make_target, root, number, first, hours, jobs_an_hour) for number in range(targets)]
        return sum(future.result() for future in futures)


def _make_target(root: Path, number: int, first: datetime, hours: int, jobs_an_hour: float) -> int:
    """Write the files of one account and Region, and return the number of snapshots."""
    target = _Target(number, first, hours, jobs_an_hour)
    at_once = max(1, int(_ROWS_AT_ONCE / (_LISTED_HOURS * max(jobs_an_hour, 1))))
    for begin in range(0, hours, at_once):
        batch = np.arange(begin, min(begin + at_once, hours))
        for table, (rows, counts) in target.observations(batch).items():
            ends = np.cumsum(counts).tolist()
            for hour, end, count in zip(batch.tolist(), ends, counts.tolist(), strict=True):
                at = first + hour * _HOUR
                folder = root / table / f"snapshot_date={at:%Y-%m-%d}"
                with pa.OSFile(str(folder / f"{target.observation_id(hour)}.parquet"), "wb") as file:
                    pq.write_table(
                        rows.slice(end - count, count),
                        file,
                        compression="zstd",
                        use_dictionary=REPEATING_COLUMNS[table],
                    )
    return hours


class _Target:
    """The jobs of one account and Region, and the rows of their hourly snapshots."""

    def __init__(self, number: int, first: datetime, hours: int, jobs_an_hour: float) -> None:
        self._account_id = f"{100000000000 + number // 2}"
        self._region = ("us-east-1", "eu-west-1")[number % 2]
        self._first = first
        rng = np.random.default_rng(number)
        count = int(hours * jobs_an_hour)
        self._created = np.sort(rng.uniform(-12, hours, count))
        tiers = rng.choice(3, count, p=[0.1, 0.4, 0.5])
        self._completed = self._created + _TYPICAL_HOURS[tiers] * rng.uniform(0.7, 1.3, count)
        self._failed = rng.random(count) < 0.02
        names = [f"vault-{vault}" for vault in rng.integers(0, _VAULTS, count)]
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
                "archive_size_in_bytes": rng.integers(1, 2**30, count),
                "archive_sha256_tree_hash": [digest[:64] for digest in digests],
                "creation_date": self._timestamps(self._created),
            }
        )

    def observation_id(self, hour: int) -> str:
        """Return the ID of the snapshot of an hour."""
        return f"{self._account_id}_{self._region}_{self._first + hour * _HOUR:%Y%m%dT%H%M%S}Z_{hour:06x}"

    def observations(self, hours: Any) -> dict[str, tuple[pa.Table, Any]]:
        """Return the rows of some hours and the number of rows per hour, by table."""
        listed = [
            np.flatnonzero((self._created <= hour) & (self._completed + _RETENTION_HOURS > hour)) for hour in hours
        ]
        jobs = np.array([len(indexes) for indexes in listed])
        job, hour = np.concatenate(listed), np.repeat(hours, jobs)
        done = self._completed[job] <= hour
        static = self._static.take(job)
        job_rows = {
            **{name: static[name] for name in static.schema.names},
            "observed_at": self._timestamps(hour),
            "completion_date": pa.array(self._timestamps(self._completed[job]), mask=~done),
            "completed": done,
            "status_code": np.where(done, np.where(self._failed[job], "Failed", "Succeeded"), "InProgress"),
        }
        names = [f"vault-{vault}" for vault in range(_VAULTS)]
        vaults = np.full(len(hours), _VAULTS)
        listed_at = self._timestamps(np.repeat(hours, _VAULTS))
        vault_rows = {
            "vault_name": names * len(hours),
            "vault_arn": [self._arn(name) for name in names] * len(hours),
            "listing_began_at": listed_at,
            "listing_ended_at": listed_at,
        }
        ended_at = self._timestamps(hours)
        observation_rows = {"ended_at": ended_at, "published_at": ended_at, "jobs": jobs}
        return {
            "jobs": (self._table("jobs", hour, job_rows), jobs),
            "vaults": (
                self._table("vaults", np.repeat(hours, _VAULTS), vault_rows, jobs=0, pages=1, outcome="listed"),
                vaults,
            ),
            "observations": (
                self._table(
                    "observations", hours, observation_rows, scope="all", vaults_listed=_VAULTS, vaults_gone=0,
                    vaults_failed=0, package_version="bench", schema_version=1,
                ),
                np.ones_like(vaults),
            ),
        }  # fmt: skip

    def _table(self, table: str, hours: Any, columns: Mapping[str, Any], **constants: Any) -> pa.Table:
        """Return a table with these columns and with constant values; all other columns are null."""
        names = {hour: self.observation_id(hour) for hour in np.unique(hours).tolist()}
        given = {
            **columns,
            "observation_id": [names[hour] for hour in hours.tolist()],
            "snapshot_at": self._timestamps(hours),
        }
        constants = {**constants, "account_id": self._account_id, "region": self._region}
        arrays = []
        for field in TABLES[table]:
            if field.name in given:
                column = given[field.name]
                array = column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column)
                arrays.append(array.cast(field.type))
            else:
                arrays.append(pa.repeat(pa.scalar(constants.get(field.name), field.type), len(hours)))
        return pa.table(arrays, schema=TABLES[table]).combine_chunks()

    def _arn(self, vault_name: str) -> str:
        return f"arn:aws:glacier:{self._region}:{self._account_id}:vaults/{vault_name}"

    def _timestamps(self, hours: Any) -> Any:
        first = np.datetime64(self._first.replace(tzinfo=None), "us")
        return first + (hours * 3.6e9).astype("timedelta64[us]")
