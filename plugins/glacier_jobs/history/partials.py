"""Partial aggregates: what some observations of a day that is not finalized show, so that no question reads them again.

::

    <root>/history/v2/partials/job_summaries/snapshot_date=2026-11-22/<name>.parquet
    <root>/history/v2/partials/newest_jobs/snapshot_date=2026-11-22/<name>.parquet
    <root>/history/v2/partials/vaults/snapshot_date=2026-11-22/<name>.parquet
    <root>/history/v2/partials/observations/snapshot_date=2026-11-22/<name>.parquet        the commit mark

These are one row a job (a summary, without a judgement), the raw rows of the newest complete listing of each vault, and
the raw rows of ``vaults`` and ``observations``. The last file names the exact set of observations. Partial aggregates
of disjoint sets can be merged in any order; readers never use two that overlap.

No file is ever changed. A partial aggregate is superseded by one of a larger set, or when its day is aggregated, and is
deleted :data:`~glacier_jobs.history.files.KEPT_FOR` later. Everything in it can be computed again from the raw files.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fsspec import AbstractFileSystem

from glacier_jobs.dataset.layout import list_partitions
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.dataset.schema import JOBS, OBSERVATIONS, VAULTS, required
from glacier_jobs.errors import MalformedFile, TookTooLong
from glacier_jobs.history.files import KEPT_FOR, VERSION_FOLDER, delete, write_rows
from glacier_jobs.history.fold import JOB_SUMMARIES, OBSERVATION_COLUMNS, VAULT_COLUMNS

#: A partial aggregate appears at most this long after the moment in its name.
_PUBLISHED_WITHIN_SECONDS = 60 * 60

_KEY = "snapshot_date"
_MARK = "observations"

#: Table name -> schema, in the order in which the files are published.
_SCHEMAS: Mapping[str, pa.Schema] = {
    "job_summaries": JOB_SUMMARIES,
    "newest_jobs": JOBS,
    "vaults": pa.schema([VAULTS.field(name) for name in VAULT_COLUMNS]),
    "observations": pa.schema(
        [
            *[OBSERVATIONS.field(name) for name in OBSERVATION_COLUMNS],
            required("partial_name", pa.string()),
            required("summarized_jobs", pa.int64()),
        ]
    ),
}

#: What a file that is missing or damaged raises.
_UNREADABLE = (FileNotFoundError, MalformedFile)

_NAME = re.compile(r"(\d{8}T\d{6})Z_[0-9a-f]{12}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Partial:
    """The partial aggregate of some observations of a day.

    :param name: the name of its files, unique: ``<YYYYMMDDTHHMMSS>Z_<12 hex digits>``.
    :param day: the UTC date of the observations.
    :param observation_ids: the observations.
    :param jobs: the number of rows of ``job_summaries``.
    """

    name: str
    day: date
    observation_ids: frozenset[str]
    jobs: int

    @property
    def made_at(self) -> datetime:
        """When it was made, to the second."""
        return _made_at(self.name)


def _made_at(name: str) -> datetime:
    return datetime.strptime(name.partition("_")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def disjoint(partials: Iterable[Partial], observation_ids: Collection[str]) -> list[Partial]:
    """Return partial aggregates of disjoint sets that show none but the given observations, the largest sets first."""
    wanted = set(observation_ids)
    chosen = []
    for partial in sorted(partials, key=lambda each: (len(each.observation_ids), each.name), reverse=True):
        if partial.observation_ids <= wanted:
            chosen.append(partial)
            wanted -= partial.observation_ids
    return chosen


@dataclass(frozen=True, kw_only=True)
class Partials:
    """The partial aggregates under one root.

    :param filesystem: the fsspec file system of the root.
    :param root: the path of the root in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    def path(self, table: str, day: date, name: str) -> str:
        """Return the path of a table's file of a partial aggregate; the file may not exist."""
        return f"{self._folder(table)}/{_KEY}={day}/{name}.parquet"

    def _folder(self, table: str) -> str:
        return f"{self.root}/{VERSION_FOLDER}/partials/{table}"

    def find(self, *, since: date | None) -> list[Partial]:
        """Return the partial aggregates of the days from a date on, in any order.

        :param since: the first UTC date to include; ``None`` for no limit.
        """
        marks = list_partitions(self.filesystem, self._folder(_MARK), _KEY, since=since)
        days = {name: day for day, paths in marks.items() for name in map(_name_of, paths) if name is not None}
        try:
            marked = self._read_marks(days)
        except _UNREADABLE:
            # One was deleted after it was listed, or is damaged.
            marked = [row for name, day in days.items() for row in self._read_mark(name, day)]
        observation_ids: dict[str, set[str]] = defaultdict(set)
        for row in marked:
            observation_ids[row["partial_name"]].add(row["observation_id"])
        jobs = {row["partial_name"]: row["summarized_jobs"] for row in marked}
        return [
            Partial(name=name, day=days[name], observation_ids=frozenset(ids), jobs=jobs[name])
            for name, ids in observation_ids.items()
            if name in days
        ]

    def _read_marks(self, days: Mapping[str, date]) -> list[dict[str, Any]]:
        paths = [self.path(_MARK, day, name) for name, day in days.items()]
        columns = ["partial_name", "observation_id", "summarized_jobs"]
        rows = read_files(self.filesystem, paths, _SCHEMAS[_MARK], columns=columns).read_all().to_pylist()
        return [dict(row) for row in rows]

    def _read_mark(self, name: str, day: date) -> list[dict[str, Any]]:
        try:
            return self._read_marks({name: day})
        except _UNREADABLE as error:
            log.info("A partial aggregate is not used: %s", error)
            return []

    def read(
        self, table: str, partial: Partial, *, columns: Sequence[str], where: pc.Expression | None = None
    ) -> pa.Table | None:
        """Return a table's rows of a partial aggregate; ``None`` if they cannot be read. Its raw files say the same.

        :param columns: the columns to read.
        :param where: a filter on these columns; ``None`` for all rows.
        """
        path = self.path(table, partial.day, partial.name)
        try:
            # All rows: the last of them can be the damaged ones.
            return read_files(self.filesystem, [path], _SCHEMAS[table], columns=columns, where=where).read_all()
        except _UNREADABLE as error:
            log.warning("A partial aggregate cannot be read, and raw files are read in its place: %s", error)
            return None

    def publish(
        self,
        day: date,
        *,
        made_at: datetime,
        job_summaries: pa.Table,
        newest_jobs: Iterable[pa.RecordBatch],
        vaults: pa.Table,
        observations: pa.Table,
    ) -> Partial:
        """Write the files of a partial aggregate; the last one is its commit mark.

        :param made_at: the present time, an aware UTC datetime.
        :param newest_jobs: rows of ``jobs``: those of the newest complete listing of each vault.
        :raises TookTooLong: it took more than an hour, after which a sweep may delete what has no commit mark.
        """
        started = time.monotonic()
        name = f"{made_at:%Y%m%dT%H%M%S}Z_{secrets.token_hex(6)}"
        marks = {
            **{column: observations[column] for column in OBSERVATION_COLUMNS},
            "partial_name": pa.repeat(name, observations.num_rows),
            "summarized_jobs": pa.repeat(pa.scalar(job_summaries.num_rows, pa.int64()), observations.num_rows),
        }
        rows: dict[str, Iterable[pa.RecordBatch]] = {
            "job_summaries": job_summaries.to_batches(),
            "newest_jobs": newest_jobs,
            "vaults": vaults.to_batches(),
            "observations": pa.table(marks, schema=_SCHEMAS[_MARK]).to_batches(),
        }
        publisher = publisher_for(self.filesystem, self.root)
        folder = publisher.stage(f"partial-{name}")
        try:
            for table, schema in _SCHEMAS.items():
                staged = folder / f"{table}.part"
                write_rows(staged, schema, rows[table])
                if time.monotonic() - started > _PUBLISHED_WITHIN_SECONDS:
                    raise TookTooLong(f"the partial aggregate {name} of {day} was not written within an hour")
                publisher.publish(staged, self.path(table, day, name))
        finally:
            publisher.discard(folder)
        return Partial(
            name=name,
            day=day,
            observation_ids=frozenset(observations["observation_id"].to_pylist()),
            jobs=job_summaries.num_rows,
        )

    def sweep(
        self,
        found: Sequence[Partial],
        *,
        now: datetime,
        since: date | None,
        folded_at: Callable[[date], datetime | None],
    ) -> int:
        """Delete what nobody can be reading any more, and what is not complete.

        That are superseded partial aggregates, all of aggregated days, and parts of uncommitted or damaged ones. If the
        store refuses to delete, that is logged, and nothing else fails.

        :param found: the partial aggregates of the days that are not aggregated.
        :param now: the present time, an aware UTC datetime.
        :param since: the first UTC date to look at; ``None`` for no limit.
        :param folded_at: returns when a day was aggregated; ``None`` if it is not.
        :return: the number of deleted files.
        """
        before = now - KEPT_FOR
        # The commit mark first: without it, nobody reads the others. So what it marks is complete in the next folders.
        files = {
            table: {
                name: (day, path)
                for day, paths in list_partitions(self.filesystem, self._folder(table), _KEY, since=since).items()
                for path in paths
                if (name := _name_of(path)) is not None
            }
            for table in reversed(list(_SCHEMAS))
        }
        superseded = {
            partial.name
            for partial in found
            if any(partial.observation_ids < other.observation_ids and other.made_at <= before for other in found)
        }
        complete = set.intersection(*(set(names) for names in files.values())) & {partial.name for partial in found}
        ended_at = {day: folded_at(day) for day in {day for names in files.values() for day, _ in names.values()}}
        deleted = 0
        for names in files.values():
            for name, (day, path) in names.items():
                if (at := ended_at[day]) is not None:
                    ended = at <= before
                else:
                    ended = name in superseded or (name not in complete and _made_at(name) <= before)
                if ended:
                    try:
                        delete(self.filesystem, path)
                    except Exception:
                        log.warning("%s is not needed any more, but could not be deleted", path, exc_info=True)
                        return deleted
                    deleted += 1
        return deleted


def _name_of(path: str) -> str | None:
    """Return the name of a partial aggregate by the path of one of its files; ``None`` for any other file."""
    name = PurePosixPath(path).stem
    return name if _NAME.fullmatch(name) else None
