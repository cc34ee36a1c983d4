"""The file layout of a dataset, and the search for committed observations.

::

    <root>/jobs/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/vaults/snapshot_date=2026-11-22/<observation_id>.parquet
    <root>/observations/snapshot_date=2026-11-22/<observation_id>.parquet      the commit mark

A day that is compacted has one file for each table, with the same rows. Its raw files may be gone::

    <root>/compacted/jobs/snapshot_date=2026-11-22/jobs.parquet
    <root>/compacted/vaults/snapshot_date=2026-11-22/vaults.parquet
    <root>/compacted/observations/snapshot_date=2026-11-22/observations.parquet    the commit mark of the day

The observations in a commit mark of a day are read from the files of the day, all others from their raw files.

The inventories of vaults are not compacted. Where an inventory has the same content as an earlier one, its commit mark
names the earlier one in ``rows_in``, and it has no file of its own in ``archives``::

    <root>/archives/inventory_date=2026-11-22/<inventory_id>.parquet
    <root>/inventories/inventory_date=2026-11-22/<inventory_id>.parquet            the commit mark

This module imports neither Airflow nor boto; callers pass an fsspec file system and a path.
"""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import partial
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from glacier_jobs.dataset.arrow_files import arrow_filesystem
from glacier_jobs.dataset.cutoff import last_settled_day
from glacier_jobs.dataset.reader import read_files, unreadable_as_os_error
from glacier_jobs.dataset.schema import INVENTORY_TABLES, TABLES, Inventory, Observation
from glacier_jobs.errors import InvalidArgument

_LISTINGS_AT_A_TIME = 16

_OBSERVATION_ID = re.compile(
    r"(?P<account_id>\d{12})_(?P<region>[a-z0-9-]+)_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z_[0-9a-f]{6}"
)


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


def new_inventory(account_id: str, region: str, vault_name: str, inventory_at: datetime) -> Inventory:
    """Return a new inventory with an id of its own.

    :param inventory_at: when Glacier took the inventory, an aware UTC datetime.
    """
    # The same form as that of an observation: account, Region, a moment, and what makes it unique.
    identified = new_observation(account_id, region, inventory_at)
    return Inventory(
        inventory_id=identified.observation_id,
        inventory_at=identified.snapshot_at,
        account_id=account_id,
        region=region,
        vault_name=vault_name,
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
    # Not strptime, which takes several times as long: a year of 12 targets has 105,120 ids.
    year, month, day, hour, minute, second = map(int, _parts(observation_id).groups()[2:])
    return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)


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
        if _is_between(day, since=since, until=until)
    }
    # In parallel: years of observations take hundreds of listings, each a round trip to an object store.
    with ThreadPoolExecutor(_LISTINGS_AT_A_TIME, thread_name_prefix="list-partitions") as pool:
        listings = pool.map(lambda path: _files(filesystem, path), wanted.values())
        with unreadable_as_os_error(folder):
            return {
                day: sorted(file for file in files if file.endswith(".parquet"))
                for day, files in zip(wanted, listings, strict=True)
            }


def _all(compacted: Mapping[date, Iterable[str]]) -> set[str]:
    return {each for ids in compacted.values() for each in ids}


def _is_between(day: date, *, since: date | None, until: date | None) -> bool:
    return (since is None or day >= since) and (until is None or day <= until)


def _files(filesystem: AbstractFileSystem, folder: str) -> list[str]:
    try:
        found: list[str] = filesystem.ls(folder, detail=False)
    except FileNotFoundError:
        # The last of its files was deleted after the folder was listed.
        return []
    return found


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The observations under one root.

    :param filesystem: the fsspec file system of the root.
    :param root: the path of the root in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    def path(self, table: str, file_id: str) -> str:
        """Return the path of a table's file of this observation or inventory; the file may not exist."""
        key = "inventory_date" if table in INVENTORY_TABLES else "snapshot_date"
        return f"{self.root}/{table}/{key}={snapshot_date(file_id)}/{file_id}.parquet"

    def inventory_ids(self, *, since: date | None = None, until: date | None = None) -> list[str]:
        """Return the ids of the committed inventories of all vaults, sorted by account, Region and time.

        :param since: the first UTC date of inventories to include; ``None`` for no limit.
        :param until: the last UTC date of inventories to include; ``None`` for no limit.
        """
        folder = f"{self.root}/inventories"
        files = list_partitions(self.filesystem, folder, "inventory_date", since=since, until=until)
        return sorted(PurePosixPath(file).stem for partition in files.values() for file in partition)

    def _inventory_paths(self, table: str, since: date | None, until: date | None) -> list[str]:
        """Return the files of a table that belong to committed inventories."""
        inventory_ids = self.inventory_ids(since=since, until=until)
        if table == "archives":
            # An inventory has the same date as the one that holds its rows.
            holders = self.read("inventories", inventory_ids, columns=["rows_in"]).read_all()["rows_in"]
            inventory_ids = sorted(set(holders.to_pylist()))
        return [self.path(table, each) for each in inventory_ids]

    def compacted_path(self, table: str, day: date) -> str:
        """Return the path of a table's file of a compacted day; the file may not exist."""
        return f"{self.root}/compacted/{table}/snapshot_date={day}/{table}.parquet"

    def compacted_ids(self, included: Callable[[date], bool]) -> dict[date, list[str]]:
        """Return day -> ids of its observations, for the days that are compacted, oldest first.

        :param included: returns whether to include a UTC date.
        """
        found = sorted(partition_dates(self.filesystem, f"{self.root}/compacted/observations", "snapshot_date"))
        paths = [self.compacted_path("observations", day) for day in found if included(day)]
        # A folder may exist before its file.
        rows = read_files(
            self.filesystem, paths, TABLES["observations"], columns=["observation_id"], missing={}
        ).read_all()
        ids: dict[date, list[str]] = {}
        for observation_id in rows["observation_id"].to_pylist():
            ids.setdefault(snapshot_date(observation_id), []).append(observation_id)
        return ids

    def observation_ids(self, *, since: date | None = None, until: date | None = None) -> list[str]:
        """Return the ids of the committed observations, sorted by account, Region and time.

        :param since: the first UTC date to include; ``None`` for no limit.
        :param until: the last UTC date to include; ``None`` for no limit.
        """
        raw, compacted = self._committed(since, until)
        return sorted([*raw, *_all(compacted)])

    def _committed(self, since: date | None, until: date | None) -> tuple[list[str], dict[date, list[str]]]:
        """Return the committed observations that have only raw files, and by day those in compacted files."""
        # In this order: a raw file that has vanished before the listing is in a compacted file by then.
        files = list_partitions(self.filesystem, f"{self.root}/observations", "snapshot_date", since=since, until=until)
        compacted = self.compacted_ids(partial(_is_between, since=since, until=until))
        known = _all(compacted)
        raw = [PurePosixPath(file).stem for partition in files.values() for file in partition]
        return [each for each in raw if each not in known], compacted

    def dates(self) -> list[date]:
        """Return the UTC dates of all partitions that can hold committed observations, oldest first."""
        folders = [f"{self.root}/observations", f"{self.root}/compacted/observations"]
        return sorted({day for folder in folders for day in partition_dates(self.filesystem, folder, "snapshot_date")})

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
        file_ids: Iterable[str],
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.RecordBatchReader:
        """Return a table's rows of some observations or inventories, in any order; they can be read once.

        Opens the files of these observations, or those of their days if these are compacted. If a raw file vanishes
        while the rows are read, they are read from the file of its day.

        :param file_ids: ids of committed observations, as :meth:`observation_ids` returns them. For the table
            ``inventories``, ids as :meth:`inventory_ids` returns them, and for ``archives``, values of ``rows_in``.
        :param columns: the columns to read; ``None`` for all.
        :param where: a filter on these columns; ``None`` for all rows.
        """
        wanted = {file_id: self.path(table, file_id) for file_id in file_ids}
        if table in INVENTORY_TABLES:
            paths = list(wanted.values())
            return read_files(self.filesystem, paths, INVENTORY_TABLES[table], columns=columns, where=where)
        narrowed = TABLES[table] if columns is None else pa.schema([TABLES[table].field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(narrowed, self._batches(table, wanted, narrowed.names, where))

    def _batches(
        self, table: str, wanted: dict[str, str], columns: Sequence[str], where: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of observations, each given with the path of its raw file."""
        days = {snapshot_date(each) for each in wanted}
        # Newer days are not compacted yet. If this clock is wrong, it only takes longer.
        may_be_compacted = any(day <= last_settled_day(datetime.now(timezone.utc)) for day in days)
        known = _all(self.compacted_ids(days.__contains__)) if may_be_compacted else set()
        yield from self._compacted_batches(table, wanted.keys() & known, columns, where)
        missing: dict[str, FileNotFoundError] = {}
        raw = [path for observation_id, path in wanted.items() if observation_id not in known]
        yield from read_files(self.filesystem, raw, TABLES[table], columns=columns, where=where, missing=missing)
        # Raw files that have vanished since: they are in a compacted file by now.
        if missing:
            vanished = {PurePosixPath(path).stem for path in missing}
            known = _all(self.compacted_ids({snapshot_date(each) for each in vanished}.__contains__))
            for path, error in missing.items():
                if PurePosixPath(path).stem not in known:
                    raise FileNotFoundError(f"{path} does not exist, nor a compacted file with its rows") from error
            yield from self._compacted_batches(table, vanished, columns, where)

    def _compacted_batches(
        self, table: str, wanted: Collection[str], columns: Sequence[str], where: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of observations from the files of their days."""
        paths = [self.compacted_path(table, day) for day in sorted({snapshot_date(each) for each in wanted})]
        among = pc.field("observation_id").isin(pa.array(sorted(wanted), pa.string()))
        read = columns if "observation_id" in columns else [*columns, "observation_id"]
        rows = read_files(
            self.filesystem, paths, TABLES[table], columns=read, where=among if where is None else among & where
        )
        yield from (batch.select(columns) for batch in rows)

    def scan(self, table: str, *, since: date | None = None, until: date | None = None) -> pads.Dataset:
        """Return a table's committed rows as a pyarrow dataset. Opens only the files of these dates.

        If a raw file vanishes from an object store, its rows are read from the file of its day.

        Example::

            from glacier_jobs.storage import open_dataset

            dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
            jobs = dataset.scan("jobs", since=date(2026, 11, 1)).to_table(columns=["vault_name", "job_id"])

        :param table: ``jobs``, ``vaults`` or ``observations``; ``archives`` or ``inventories``.
        :param since: the first UTC date to include, of snapshots or of inventories; ``None`` for no limit.
        :param until: the last UTC date to include; ``None`` for no limit.
        :raises InvalidArgument: there is no such table; the message names the tables.
        """
        schemas = {**TABLES, **INVENTORY_TABLES}
        if table not in schemas:
            raise InvalidArgument(f"there is no table {table!r}; expected one of {', '.join(schemas)}")
        if table in INVENTORY_TABLES:
            paths = self._inventory_paths(table, since, until)
        else:
            raw, compacted = self._committed(since, until)
            paths = [self.compacted_path(table, day) for day in compacted] + [self.path(table, each) for each in raw]
        return pads.FileSystemDataset.from_paths(
            paths,
            schema=schemas[table],
            format=pads.ParquetFileFormat(),
            filesystem=arrow_filesystem(self.filesystem, substitute=partial(self._vanished, table)),
        )

    def _vanished(self, table: str, path: str) -> bytes:
        """Return the content of a raw file that has vanished, with its rows from the file of its day.

        :raises FileNotFoundError: no file of a day has the observation.
        """
        if path.startswith(f"{self.root}/compacted/") or table in INVENTORY_TABLES:
            raise FileNotFoundError(path)
        rows = self.read(table, [PurePosixPath(path).stem]).read_all()
        content = io.BytesIO()
        pq.write_table(rows, content)
        return content.getvalue()
