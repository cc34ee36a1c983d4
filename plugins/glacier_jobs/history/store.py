"""The files of job history: each finalized day is aggregated ("folded") into files that are written once.

::

    <root>/history/v2/job_history/closed_date=2026-11-22/job_history.parquet
    <root>/history/v2/vault_listings/snapshot_date=2026-11-22/vault_listings.parquet
    <root>/history/v2/open_vault_listings/snapshot_date=2026-11-22/open_vault_listings.parquet
    <root>/history/v2/open_jobs/snapshot_date=2026-11-22/open_jobs.parquet

These are the jobs that were closed on that day, the vault listings of its observations, the vault listings and the open
jobs that the next day needs. The last of them is the commit mark.

The root is that of the dataset, unless another is given. ``v2`` is the version of the rules and of the columns: files
of another version are not read. A day is aggregated after it is finalized (:mod:`glacier_jobs.dataset.cutoff`), from
the state at the end of the day before and the raw rows of the day. The same rows give the same files. So two concurrent
runs, a repeated run, and a run after a crash between two files lead to the same files, and no file is ever overwritten.

What the observations of later days show is kept beside them, in :mod:`glacier_jobs.history.partials`, and the jobs as
last seen in :mod:`glacier_jobs.history.generations`.
"""

from __future__ import annotations

import logging
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from glacier_jobs.dataset.cutoff import last_settled_day, midnight
from glacier_jobs.dataset.layout import Dataset, partition_dates, snapshot_date
from glacier_jobs.dataset.publisher import Publisher, publisher_for
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.errors import HistoryDiffers, InvalidArgument, ObservationExists
from glacier_jobs.history.files import VERSION_FOLDER
from glacier_jobs.history.fold import (
    EMPTY_STATE,
    JOB_LIFECYCLES,
    NO_END,
    VAULT_LISTINGS,
    Folded,
    State,
    Summary,
    fold,
    maybe_closed,
    merged_summaries,
    sorted_by_job,
)
from glacier_jobs.history.generations import Generations
from glacier_jobs.history.partials import Partial, Partials
from glacier_jobs.history.rows import ObservationRows
from glacier_jobs.sql.engine import Engine, shared_database, statement

#: Table name -> the key of its partitions, in the order in which a day's files are published.
_KEYS: Mapping[str, str] = {
    "job_history": "closed_date",
    "vault_listings": "snapshot_date",
    "open_vault_listings": "snapshot_date",
    "open_jobs": "snapshot_date",
}
_SCHEMAS: Mapping[str, pa.Schema] = {
    "job_history": JOB_LIFECYCLES,
    "vault_listings": VAULT_LISTINGS,
    "open_vault_listings": VAULT_LISTINGS,
    "open_jobs": JOB_LIFECYCLES,
}
_MARK = "open_jobs"

_DAY = timedelta(days=1)

#: The shortest time between two aggregations of the days that are not finalized.
_APART = timedelta(minutes=15)

#: How many aggregated days back partial aggregates are deleted. Without permission to delete, the older ones stay.
_SWEPT_BACK = timedelta(days=7)

#: A partial aggregate is merged with smaller and new ones when it has at most this many times their jobs.
_MERGED_UP_TO = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class History:
    """The aggregated days under one root.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        history = History.beside(dataset)
        if (last := history.last_folded_day()) is not None:
            closed_jobs = history.read("job_history", since=None, until=last).read_all()

    :param filesystem: the fsspec file system of the root.
    :param root: the path of the root in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    @classmethod
    def beside(cls, dataset: Dataset) -> History:
        """Return the history under the root of the dataset."""
        return cls(filesystem=dataset.filesystem, root=dataset.root)

    @property
    def partials(self) -> Partials:
        """The partial aggregates of the days after the aggregated ones."""
        return Partials(filesystem=self.filesystem, root=self.root)

    @property
    def generations(self) -> Generations:
        """The generations of ``jobs_latest``."""
        return Generations(filesystem=self.filesystem, root=self.root)

    def path(self, table: str, day: date) -> str:
        """Return the path of a table's file of a day; the file may not exist."""
        return f"{self._folder(table)}/{_KEYS[table]}={day}/{table}.parquet"

    def _folder(self, table: str) -> str:
        return f"{self.root}/{VERSION_FOLDER}/{table}"

    def folded_days(self) -> list[date]:
        """Return the aggregated days, oldest first."""
        marked = partition_dates(self.filesystem, self._folder(_MARK), _KEYS[_MARK])
        return sorted(day for day in marked if self.filesystem.exists(self.path(_MARK, day)))

    def last_folded_day(self, *, until: date | None = None) -> date | None:
        """Return the newest aggregated day; ``None`` if there is none.

        :param until: the last day to include; ``None`` for no limit.
        """
        marked = partition_dates(self.filesystem, self._folder(_MARK), _KEYS[_MARK])
        newest_first = sorted((day for day in marked if until is None or day <= until), reverse=True)
        # A folder may exist before its file.
        return next((day for day in newest_first if self.filesystem.exists(self.path(_MARK, day))), None)

    def folded_at(self, day: date) -> datetime | None:
        """Return when a day was aggregated; ``None`` if it is not."""
        try:
            moment: datetime = self.filesystem.modified(self.path(_MARK, day))
        except FileNotFoundError:
            return None
        return moment

    def state(self, day: date | None) -> State:
        """Return the state at the end of an aggregated day; with ``None``, that before the first day."""
        return State(open_jobs=self.open_jobs(day), vault_listings=self.open_vault_listings(day))

    def open_jobs(self, day: date | None) -> pa.Table:
        """Return the jobs still open at the end of an aggregated day; with ``None``, before the first day."""
        return EMPTY_STATE.open_jobs if day is None else self._read("open_jobs", day)

    def open_vault_listings(self, day: date | None) -> pa.Table:
        """Return the vault listings that the day after an aggregated day needs; with ``None``, the first day."""
        return EMPTY_STATE.vault_listings if day is None else self._read("open_vault_listings", day)

    def read(
        self, table: str, *, since: date | None, until: date, columns: Sequence[str] | None = None
    ) -> pa.RecordBatchReader:
        """Return a table's rows of some aggregated days; they can be read once. Opens no other file.

        :param table: ``job_history``, the jobs that were closed on these days; or ``vault_listings``, the vault
            listings of the observations of these days.
        :param since: the first day to include; ``None`` for no limit.
        :param until: the last day to include; it must be aggregated.
        :param columns: the columns to read; ``None`` for all.
        """
        days = sorted(partition_dates(self.filesystem, self._folder(table), _KEYS[table]))
        # Each folder holds one file with a known name, so that the folders need not be listed.
        paths = [self.path(table, day) for day in days if (since is None or day >= since) and day <= until]
        return read_files(self.filesystem, paths, _SCHEMAS[table], columns=columns)

    def reappeared(self, before: State, summary: Summary, day: date) -> pa.Table:
        """Return the last rows of the jobs that were closed before a day, and that the day or a later one shows.

        :param before: the state at the end of the day before.
        :param summary: what the observations from this day on show.
        """
        jobs = maybe_closed(before, summary, since=midnight(day))
        if not jobs.num_rows:
            return JOB_LIFECYCLES.empty_table()
        created = None if jobs["creation_date"].null_count else pc.min(jobs["creation_date"]).as_py()
        # A job is closed after it was created; one more day for the differences between clocks.
        since = None if created is None else (created - _DAY).date()
        with Engine() as engine:
            engine.register(jobs=jobs, job_history=self.read("job_history", since=since, until=day - _DAY))
            return engine.query(statement("history/reappeared_jobs"), JOB_LIFECYCLES)

    def publish(self, day: date, folded: Folded) -> None:
        """Write the files of a day; the last one is its commit mark.

        :raises HistoryDiffers: the day was aggregated before with a different result; nothing was changed.
        """
        tables = {
            "job_history": sorted_by_job(folded.closed),
            "vault_listings": folded.vault_listings,
            "open_vault_listings": folded.state.vault_listings,
            "open_jobs": sorted_by_job(folded.state.open_jobs),
        }
        publisher = publisher_for(self.filesystem, self.root)
        for table in _KEYS:
            # A unique name: a concurrent run may write the same day, and a killed run leaves its folder behind.
            folder = publisher.stage(f"{table}-{day}-{secrets.token_hex(6)}")
            try:
                staged = folder / f"{table}.part"
                pq.write_table(tables[table], staged, compression="zstd")
                self._publish_once(publisher, table, day, staged, tables[table])
            finally:
                publisher.discard(folder)

    def _publish_once(self, publisher: Publisher, table: str, day: date, staged: Path, rows: pa.Table) -> None:
        path = self.path(table, day)
        try:
            publisher.publish(staged, path)
        except ObservationExists as error:
            if not self._read(table, day).equals(rows):
                raise HistoryDiffers(
                    f"{path} holds an earlier aggregate of {day}, which differs from that of the raw files now; "
                    "nothing was changed. Rebuild the history under a new root, and compare"
                ) from error

    def _read(self, table: str, day: date) -> pa.Table:
        return read_files(self.filesystem, [self.path(table, day)], _SCHEMAS[table]).read_all()


def fold_from(history: History, before: State, summary: Summary, day: date, *, until: datetime = NO_END) -> Folded:
    """Aggregate what the observations from a day on show.

    :param history: holds all days before this day, if it holds any.
    :param before: the state at the end of the day before.
    :param until: as for :func:`~glacier_jobs.history.fold.fold`.
    """
    return fold(before, summary, reappeared=history.reappeared(before, summary, day), until=until)


def fold_closed_days(dataset: Dataset, history: History, *, now: datetime) -> list[date]:
    """Aggregate each day that is finalized and not aggregated yet, oldest first.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        days = fold_closed_days(dataset, History.beside(dataset), now=datetime.now(timezone.utc))

    :param now: the current time, an aware UTC datetime.
    :return: the days that were aggregated.
    :raises HistoryDiffers: a day was partly aggregated before, with a different result.
    """
    with shared_database():
        return list(_fold_days(dataset, history, last_settled_day(now)))


def _fold_days(dataset: Dataset, history: History, last: date) -> Iterator[date]:
    folded_before = history.last_folded_day()
    day = folded_before + _DAY if folded_before else min(dataset.dates(), default=None)
    if day is None or day > last:
        return
    state = history.state(folded_before)
    found = history.partials.find(since=day)
    while day <= last:
        observation_ids = dataset.observation_ids(since=day, until=day)
        rows = ObservationRows(dataset=dataset, partials=history.partials, observation_ids=observation_ids, found=found)
        summary = Summary(jobs=rows.job_summaries(), vault_listings=rows.vault_listings(carried=state.vault_listings))
        folded = fold_from(history, state, summary, day, until=midnight(day) + _DAY)
        history.publish(day, folded)
        log.info(
            "Aggregated %s: %d observations, %d jobs closed, %d open",
            day,
            len(observation_ids),
            folded.closed.num_rows,
            folded.state.open_jobs.num_rows,
        )
        yield day
        state, day = folded.state, day + _DAY


def aggregate_open_days(dataset: Dataset, history: History, *, now: datetime) -> list[Partial]:
    """Aggregate what the observations of the days that are not aggregated show, so that questions read few files.

    Only new observations are read, and nothing is done if that was done less than 15 minutes ago. Deletes partial
    aggregates that are not needed any more.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        history, now = History.beside(dataset), datetime.now(timezone.utc)
        fold_closed_days(dataset, history, now=now)
        aggregate_open_days(dataset, history, now=now)

    :param now: the current time, an aware UTC datetime.
    :return: the partial aggregates that were made.
    """
    partials = history.partials
    folded = history.last_folded_day()
    since = None if folded is None else folded + _DAY
    found = partials.find(since=since)
    # By their absolute distance: the clock of another machine may be ahead.
    if any(abs(now - each.made_at) < _APART for each in found):
        return []
    by_day: dict[date, list[str]] = defaultdict(list)
    for observation_id in dataset.observation_ids(since=since):
        by_day[snapshot_date(observation_id)].append(observation_id)
    with shared_database():
        made = [
            partial
            for day, observation_ids in sorted(by_day.items())
            if (partial := _aggregate_open_day(dataset, partials, day, observation_ids, found, now))
        ]
    swept = partials.sweep(
        [*found, *made],
        now=now,
        since=None if folded is None else folded - _SWEPT_BACK,
        folded_at=history.folded_at,
    )
    log.info(
        "Aggregated %d days that are not finalized; deleted %d files that are not needed any more", len(made), swept
    )
    return made


def _aggregate_open_day(
    dataset: Dataset,
    partials: Partials,
    day: date,
    observation_ids: Sequence[str],
    found: Sequence[Partial],
    now: datetime,
) -> Partial | None:
    def rows_of(observation_ids: Sequence[str], found: Sequence[Partial]) -> ObservationRows:
        return ObservationRows(dataset=dataset, partials=partials, observation_ids=observation_ids, found=found)

    there = rows_of(observation_ids, found)
    if not there.uncovered:
        return None
    new = rows_of(there.uncovered, []).job_summaries()
    jobs, merged = new.num_rows, []
    # Similar sizes together: so each row is written few times, however many runs a day has, and few files are left.
    for partial in sorted(there.chosen, key=lambda each: (each.jobs, each.name)):
        if partial.jobs > _MERGED_UP_TO * jobs:
            break
        jobs += partial.jobs
        merged.append(partial)
    rows = rows_of([*there.uncovered, *(each for partial in merged for each in partial.observation_ids)], merged)
    vaults = rows.read("vaults", rows.observation_ids)
    return partials.publish(
        day,
        made_at=now,
        job_summaries=sorted_by_job(merged_summaries([rows.job_summaries(uncovered=new)])),
        newest_jobs=rows.jobs_of_newest_listings(vaults),
        vaults=vaults,
        observations=rows.read("observations", rows.observation_ids),
    )


def rebuild(dataset: Dataset, history: History, *, now: datetime) -> list[date]:
    """Aggregate all finalized days again, under a new root. Continues an interrupted rebuild.

    :param now: the current time, an aware UTC datetime.
    :return: the days that were aggregated.
    :raises InvalidArgument: the root is that of the dataset, whose history is in use.
    """
    if (history.filesystem, history.root) == (dataset.filesystem, dataset.root):
        raise InvalidArgument(f"{history.root} is the root of the dataset itself; expected a new root")
    return fold_closed_days(dataset, history, now=now)
