"""The file layout of a dataset, and the search for committed observations.

::

    <root>/jobs/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/vaults/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/observations/snapshot_date=2026-11-22/<observation_id>.parquet      the commit mark

This module imports neither Airflow nor boto; callers pass an fsspec file system and a path.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from fsspec import AbstractFileSystem

from glacier_jobs.dataset.arrow_files import arrow_filesystem
from glacier_jobs.dataset.reader import read_files, unreadable_as_os_error
from glacier_jobs.dataset.schema import TABLES, Observation
from glacier_jobs.errors import InvalidArgument

_LISTINGS_AT_A_TIME = 16

_OBSERVATION_ID = re.compile(r"(?P<account_id>\d{12})_(?P<region>[a-z0-9-]+)_(?P<moment>\d{8}T\d{6})Z_[0-9a-f]{6}")


def new_observation(account_id: str, region: str, snapshot_at: datetime) -> Observation:
    """Return a new observation with an id of its own.

    :param snapshot_at: when the listing began, an aware UTC datetime.
    """
    moment = snapshot_at.astimezone(timezone.utc)
    return Observation(
        observation_id=f"{account_id}_{region}_{moment:%Y%m%dT%H%M%S}Z_{secrets.token_hex(3)}",
        snapshot_at=moment,
        account_id=account_id,
        region=region,
    )


def snapshot_date(observation_id: str) -> date:
    """Return the UTC date of an observation, which is its partition.

    :raises InvalidArgument: the text is not an observation id.
    """
    return moment_of(observation_id).date()


def moment_of(observation_id: str) -> datetime:
    """Return when an observation began, to the second, an aware UTC datetime.

    :raises InvalidArgument: the text is not an observation id.
    """
    moment = _parts(observation_id)["moment"]
    return datetime.strptime(moment, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)


def target_of(observation_id: str) -> tuple[str, str]:
    """Return the account id and the Region of an observation.

    :raises InvalidArgument: the text is not an observation id.
    """
    parts = _parts(observation_id)
    return parts["account_id"], parts["region"]


def _parts(observation_id: str) -> re.Match[str]:
    match = _OBSERVATION_ID.fullmatch(observation_id)
    if match is None:
        raise InvalidArgument(
            f"{observation_id!r} is not an observation id; "
            "expected <account_id>_<region>_<YYYYMMDDTHHMMSS>Z_<6 hex digits>"
        )
    return match


def partition_dates(filesystem: AbstractFileSystem, folder: str, key: str) -> dict[date, str]:
    """Return date -> path of the ``<key>=<date>`` folders.

    :param folder: the table's folder. If it does not exist, the result is empty.
    """
    filesystem.invalidate_cache()
    try:
        with unreadable_as_os_error(folder):
            found = filesystem.ls(folder, detail=False)
    except FileNotFoundError:
        return {}
    named = {PurePosixPath(path).name: path for path in found}
    return {
        date.fromisoformat(name.removeprefix(f"{key}=")): path
        for name, path in named.items()
        if re.fullmatch(rf"{key}=\d{{4}}-\d\d-\d\d", name)
    }


def list_partitions(
    filesystem: AbstractFileSystem, folder: str, key: str, *, since: date | None = None, until: date | None = None
) -> dict[date, list[str]]:
    """Return date -> Parquet files of the ``<key>=<date>`` folders, oldest first.

    :param since: the first date to include; ``None`` for no limit.
    :param until: the last date to include; ``None`` for no limit.
    """
    wanted = {
        day: path
        for day, path in sorted(partition_dates(filesystem, folder, key).items())
        if (since is None or day >= since) and (until is None or day <= until)
    }
    # In parallel: years of observations take hundreds of listings, each a round trip to an object store.
    with ThreadPoolExecutor(_LISTINGS_AT_A_TIME, thread_name_prefix="list-partitions") as pool:
        listings = pool.map(lambda path: filesystem.ls(path, detail=False), wanted.values())
        with unreadable_as_os_error(folder):
            return {
                day: sorted(file for file in files if file.endswith(".parquet"))
                for day, files in zip(wanted, listings, strict=True)
            }


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The observations under one root.

    :param filesystem: the fsspec file system of the root.
    :param root: the path of the root in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    def path(self, table: str, observation_id: str) -> str:
        """Return the path of a table's file of this observation; the file may not exist."""
        return f"{self.root}/{table}/snapshot_date={snapshot_date(observation_id)}/{observation_id}.parquet"

    def observation_ids(self, *, since: date | None = None, until: date | None = None) -> list[str]:
        """Return the ids of the committed observations, sorted by account, Region and time.

        :param since: the first UTC date to include; ``None`` for no limit.
        :param until: the last UTC date to include; ``None`` for no limit.
        """
        files = list_partitions(self.filesystem, f"{self.root}/observations", "snapshot_date", since=since, until=until)
        return sorted(PurePosixPath(file).stem for partition in files.values() for file in partition)

    def dates(self) -> list[date]:
        """Return the UTC dates of all partitions that can hold committed observations, oldest first."""
        return sorted(partition_dates(self.filesystem, f"{self.root}/observations", "snapshot_date"))

    def newest_observation_at(self, *, until: date | None = None) -> datetime | None:
        """Return when the newest committed observation began, to the second; ``None`` if there is none.

        :param until: the last UTC date to include; ``None`` for no limit.
        """
        for day in reversed([day for day in self.dates() if until is None or day <= until]):
            if observation_ids := self.observation_ids(since=day, until=day):
                return max(map(moment_of, observation_ids))
        return None

    def read(
        self,
        table: str,
        observation_ids: Iterable[str],
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.RecordBatchReader:
        """Return a table's rows of some observations; they can be read once. Opens no other file.

        :param observation_ids: ids of committed observations, as :meth:`observation_ids` returns them.
        :param columns: the columns to read; ``None`` for all.
        :param where: a filter on these columns; ``None`` for all rows.
        """
        paths = [self.path(table, observation_id) for observation_id in observation_ids]
        return read_files(self.filesystem, paths, TABLES[table], columns=columns, where=where)

    def scan(self, table: str, *, since: date | None = None, until: date | None = None) -> pads.Dataset:
        """Return a table's committed rows as a pyarrow dataset. Opens only the files of these dates.

        Example::

            from glacier_jobs.storage import open_dataset

            dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
            jobs = dataset.scan("jobs", since=date(2026, 11, 1)).to_table(columns=["vault_name", "job_id"])

        :param table: ``jobs``, ``vaults`` or ``observations``.
        :param since: the first UTC date to include; ``None`` for no limit.
        :param until: the last UTC date to include; ``None`` for no limit.
        :raises InvalidArgument: there is no such table; the message names the tables.
        """
        if table not in TABLES:
            raise InvalidArgument(f"there is no table {table!r}; expected one of {', '.join(TABLES)}")
        return pads.FileSystemDataset.from_paths(
            [self.path(table, observation_id) for observation_id in self.observation_ids(since=since, until=until)],
            schema=TABLES[table],
            format=pads.ParquetFileFormat(),
            filesystem=arrow_filesystem(self.filesystem),
        )
