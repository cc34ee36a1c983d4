"""Where an observation lies, and how committed ones are read back.

::

    <root>/jobs/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/vaults/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/observations/snapshot_date=2026-11-22/<observation_id>.parquet      the commit mark

This module knows neither Airflow nor boto: it is handed an fsspec file system and a path.
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
from pyarrow.fs import FSSpecHandler, PyFileSystem

from glacier_jobs.dataset.reader import read_files, unreadable_as_os_error
from glacier_jobs.dataset.schema import TABLES, Observation
from glacier_jobs.errors import InvalidArgument

_LISTINGS_AT_A_TIME = 16

_OBSERVATION_ID = re.compile(r"(?P<account_id>\d{12})_(?P<region>[a-z0-9-]+)_(?P<moment>\d{8}T\d{6})Z_[0-9a-f]{6}")


def new_observation(account_id: str, region: str, snapshot_at: datetime) -> Observation:
    """Name a new observation.

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

    :raises InvalidArgument: this is not an observation's id.
    """
    return moment_of(observation_id).date()


def moment_of(observation_id: str) -> datetime:
    """Return when an observation began, to the second, an aware UTC datetime.

    :raises InvalidArgument: this is not an observation's id.
    """
    moment = _parts(observation_id)["moment"]
    return datetime.strptime(moment, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)


def target_of(observation_id: str) -> tuple[str, str]:
    """Return the account id and the Region that an observation looked at.

    :raises InvalidArgument: this is not an observation's id.
    """
    parts = _parts(observation_id)
    return parts["account_id"], parts["region"]


def _parts(observation_id: str) -> re.Match[str]:
    match = _OBSERVATION_ID.fullmatch(observation_id)
    if match is None:
        raise InvalidArgument(
            f"{observation_id!r} is no observation id; expected <account_id>_<region>_<YYYYMMDDTHHMMSS>Z_<6 hex digits>"
        )
    return match


def partition_dates(filesystem: AbstractFileSystem, folder: str, key: str) -> dict[date, str]:
    """Return the path of each ``<key>=<date>`` folder by its date; there may be none.

    :param folder: the table's folder, which need not exist.
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
    """Return the Parquet files of each ``<key>=<date>`` folder by its date, oldest first.

    :param since: the first date that counts; ``None`` for all from the beginning.
    :param until: the last date that counts; ``None`` for all up to now.
    """
    wanted = {
        day: path
        for day, path in sorted(partition_dates(filesystem, folder, key).items())
        if (since is None or day >= since) and (until is None or day <= until)
    }
    # Years are hundreds of listings, each of them a round trip to an object store.
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

    :param filesystem: where the root lies, an fsspec file system.
    :param root: its path in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    def path(self, table: str, observation_id: str) -> str:
        """Return where a table's file of this observation lies, or would lie."""
        return f"{self.root}/{table}/snapshot_date={snapshot_date(observation_id)}/{observation_id}.parquet"

    def observation_ids(self, *, since: date | None = None, until: date | None = None) -> list[str]:
        """Return the committed observations, sorted by account, Region and moment.

        :param since: the first UTC date that counts; ``None`` for all from the beginning.
        :param until: the last UTC date that counts; ``None`` for all up to now.
        """
        files = list_partitions(self.filesystem, f"{self.root}/observations", "snapshot_date", since=since, until=until)
        return sorted(PurePosixPath(file).stem for partition in files.values() for file in partition)

    def dates(self) -> list[date]:
        """Return the UTC dates of all partitions that can hold committed observations, oldest first."""
        return sorted(partition_dates(self.filesystem, f"{self.root}/observations", "snapshot_date"))

    def newest_observation_at(self) -> datetime | None:
        """Return when the newest committed observation began, to the second; ``None`` where there is none."""
        for day in reversed(self.dates()):
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
        """Return a table's rows of some observations, to be read once; no other file is opened.

        :param observation_ids: committed ones, as :meth:`observation_ids` gives them.
        :param columns: those wanted; ``None`` for all.
        :param where: which rows are wanted, by the wanted columns; ``None`` for all.
        """
        paths = [self.path(table, observation_id) for observation_id in observation_ids]
        return read_files(self.filesystem, paths, TABLES[table], columns=columns, where=where)

    def scan(self, table: str, *, since: date | None = None, until: date | None = None) -> pads.Dataset:
        """Return a table's committed rows as a pyarrow dataset; no file is opened but those of these dates.

        :param table: ``jobs``, ``vaults`` or ``observations``.
        :param since: the first UTC date that counts; ``None`` for all from the beginning.
        :param until: the last UTC date that counts; ``None`` for all up to now.
        :raises InvalidArgument: there is no such table.
        """
        if table not in TABLES:
            raise InvalidArgument(f"there is no table {table!r}; expected one of {', '.join(TABLES)}")
        return pads.FileSystemDataset.from_paths(
            [self.path(table, observation_id) for observation_id in self.observation_ids(since=since, until=until)],
            schema=TABLES[table],
            format=pads.ParquetFileFormat(),
            filesystem=PyFileSystem(FSSpecHandler(self.filesystem)),
        )
