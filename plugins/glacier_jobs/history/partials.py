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
deleted :data:`KEPT_FOR` later. Everything in it can be computed again from the raw files.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.dataset.layout import list_partitions
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.dataset.schema import JOBS, OBSERVATIONS, VAULTS, required
from glacier_jobs.history.fold import JOB_SUMMARIES, OBSERVATION_COLUMNS, VAULT_COLUMNS

#: How long a superseded partial aggregate is kept, for those that read it: longer than a task of the report DAG runs.
KEPT_FOR = timedelta(hours=3)

#: The folder of the version of the rules and of the columns, below the root.
VERSION_FOLDER = "history/v2"

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

_NAME = re.compile(r"(\d{8}T\d{6})Z_[0-9a-f]{12}")

#: As in the raw files: readers hold one group of rows in memory.
_ROW_GROUP_ROWS = 16_384

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
        days = {PurePosixPath(path).stem: day for day, paths in marks.items() for path in paths}
        paths = [self.path(_MARK, day, name) for name, day in days.items()]
        columns = ["partial_name", "observation_id", "summarized_jobs"]
        observation_ids: dict[str, set[str]] = defaultdict(set)
        jobs: dict[str, int] = {}
        marked = read_files(self.filesystem, paths, _SCHEMAS[_MARK], columns=columns).read_all()
        for name, observation_id, count in zip(*(marked[column].to_pylist() for column in columns), strict=True):
            observation_ids[name].add(observation_id)
            jobs[name] = count
        return [
            Partial(name=name, day=days[name], observation_ids=frozenset(ids), jobs=jobs[name])
            for name, ids in observation_ids.items()
        ]

    def read(
        self,
        table: str,
        partials: Iterable[Partial],
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.RecordBatchReader:
        """Return a table's rows of some partial aggregates; they can be read once.

        :param columns: the columns to read; ``None`` for all of the raw table.
        :param where: a filter on these columns; ``None`` for all rows.
        """
        paths = [self.path(table, each.day, each.name) for each in partials]
        return read_files(self.filesystem, paths, _SCHEMAS[table], columns=columns, where=where)

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
        """
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
                _write(staged, schema, rows[table])
                publisher.publish(staged, self.path(table, day, name))
        finally:
            publisher.discard(folder)
        return Partial(
            name=name,
            day=day,
            observation_ids=frozenset(observations["observation_id"].to_pylist()),
            jobs=job_summaries.num_rows,
        )

    def sweep(self, *, now: datetime, folded_at: Mapping[date, datetime]) -> int:
        """Delete what nobody can be reading any more: superseded partial aggregates, and parts of uncommitted ones.

        If the store refuses to delete, that is logged, and nothing else fails.

        :param now: the present time, an aware UTC datetime.
        :param folded_at: aggregated day -> when it was aggregated.
        :return: the number of deleted files.
        """
        before = now - KEPT_FOR
        partials = self.find(since=None)
        superseded = {
            partial.name
            for partial in partials
            if folded_at.get(partial.day, now) <= before
            or any(partial.observation_ids < other.observation_ids and other.made_at <= before for other in partials)
        }
        kept = {partial.name for partial in partials} - superseded
        deleted = 0
        # The commit mark first: without it, nobody reads the others.
        for table in reversed(list(_SCHEMAS)):
            for paths in list_partitions(self.filesystem, self._folder(table), _KEY).values():
                names = {path: PurePosixPath(path).stem for path in paths}
                ended = [
                    path
                    for path, name in names.items()
                    if name in superseded
                    or (name not in kept and _NAME.fullmatch(name) is not None and _made_at(name) <= before)
                ]
                for path in ended:
                    try:
                        self.filesystem.rm_file(path)
                    except FileNotFoundError:
                        continue
                    except Exception:
                        log.warning("%s is not needed any more, but could not be deleted", path, exc_info=True)
                        return deleted
                    deleted += 1
                if ended and isinstance(self.filesystem, LocalFileSystem):
                    with contextlib.suppress(OSError):
                        Path(ended[0]).parent.rmdir()
        return deleted


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _groups(schema, batches):
            writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the same rows in groups of at least as many rows as a group of the file has, except the last."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= _ROW_GROUP_ROWS:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)
