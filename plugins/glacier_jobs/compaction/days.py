"""Compacts the finalized days of a dataset, and tags the raw files that are no longer needed.

A day's compacted files are in :mod:`glacier_jobs.dataset.layout`. For each day, in this order:

1. The rows of the committed observations are written, sorted by job, to one file for each table. A file is published
   where none exists, read back, and compared with the raw files. The file of ``observations`` is the last one: from
   then on, the compacted files are read instead of the raw files.
2. The raw files of these observations are tagged, if the store has tags (S3). Nothing is ever deleted.
3. An empty file ``<root>/compacted/checked/<day>`` is published, so that the day is not compared again.

A run that was killed is continued by the next one: an existing file is compared and never replaced. Two runs at the
same time do no harm.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from glacier_jobs.compaction.comparison import SORT_KEYS, compare, known_marks
from glacier_jobs.compaction.tags import tag
from glacier_jobs.dataset.cutoff import last_settled_day
from glacier_jobs.dataset.layout import Dataset, list_partitions, partition_dates
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.errors import GlacierJobsError, ObservationExists
from glacier_jobs.sql.engine import Engine, limits, shared_database

#: How much of a day's rows is sorted in memory. More rows spill to the temporary folder.
_SORT_MEMORY = "512MiB"

log = logging.getLogger(__name__)


def compact_closed_days(dataset: Dataset, *, now: datetime, limit: int | None = None) -> list[date]:
    """Compact each day that is finalized and not compacted yet, oldest first.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        days = compact_closed_days(dataset, now=datetime.now(timezone.utc))

    :param now: the current time, an aware UTC datetime.
    :param limit: how many days to compact at most; ``None`` for all.
    :return: the days that were compacted, or whose earlier compaction was completed.
    :raises CompactedDiffers: a compacted file differs from the raw files; no raw file of its day was tagged by this
        run.
    :raises MalformedFile: a raw file is damaged, or has columns that this version does not know; as before.
    :raises AccessDenied: the raw files may not be tagged.

    An error of one day is raised at the end, after the other days.
    """
    last = last_settled_day(now)
    raw = partition_dates(dataset.filesystem, f"{dataset.root}/observations", "snapshot_date")
    remaining = {day for day in raw.keys() - _checked_days(dataset) if day <= last}
    marked = partition_dates(dataset.filesystem, f"{dataset.root}/compacted/observations", "snapshot_date").keys()
    compacted: list[date] = []
    errors: list[GlacierJobsError | OSError] = []
    with limits(memory=_SORT_MEMORY), shared_database():
        # Those that an earlier run has written last: if it was refused to tag, the others are written all the same.
        for day in sorted(remaining, key=lambda each: (each in marked, each)):
            if limit is not None and max(len(compacted), len(errors)) >= limit:
                break
            try:
                if _compact(dataset, day):
                    compacted.append(day)
            except (GlacierJobsError, OSError) as error:
                # One damaged file must not stop the compaction of all days after it.
                log.warning("%s could not be compacted: %s", day, error)
                errors.append(error)
    if errors:
        raise errors[0]
    return compacted


def _compact(dataset: Dataset, day: date) -> bool:
    """Compact a day; return whether it has a committed observation."""
    observation_ids = dataset.compacted_ids(lambda each: each == day).get(day)
    if observation_ids is None:
        observation_ids = _raw_ids(dataset, "observations", day)
        if not observation_ids:
            return False
        # Before anything is written: a file that lacks what a later version knows would never be replaced.
        known_marks(dataset, observation_ids)
        raw_ids = dict.fromkeys(TABLES, observation_ids)
    else:
        # An earlier run may have tagged some of the raw files, and these may be gone.
        raw_ids = {table: _raw_ids(dataset, table, day, among=observation_ids) for table in TABLES}
    for table, present in raw_ids.items():
        if set(present) == set(observation_ids):
            _publish(dataset, table, day, observation_ids)
        compare(dataset, table, day, present, observation_ids)
    tag(dataset.filesystem, [dataset.path(table, each) for table, ids in raw_ids.items() for each in ids])
    with _staged(dataset, f"checked-{day}") as staged:
        staged.touch()
        _publish_once(dataset, staged, f"{_checked_folder(dataset)}/{day}")
    log.info("Compacted %s: %d observations", day, len(observation_ids))
    return True


def _raw_ids(dataset: Dataset, table: str, day: date, *, among: Collection[str] | None = None) -> list[str]:
    """Return the ids of the observations of a day whose raw file exists."""
    files = list_partitions(dataset.filesystem, f"{dataset.root}/{table}", "snapshot_date", since=day, until=day)
    found = [PurePosixPath(file).stem for file in files.get(day, [])]
    return found if among is None else sorted(set(found) & set(among))


def _publish(dataset: Dataset, table: str, day: date, observation_ids: Sequence[str]) -> None:
    """Publish a table's rows of a day in one file, unless there is one."""
    if dataset.filesystem.exists(dataset.compacted_path(table, day)):
        return
    raw = read_files(
        dataset.filesystem, [dataset.path(table, each) for each in observation_ids], TABLES[table], exact=True
    )
    with _staged(dataset, f"compacted-{table}-{day}") as staged:
        with Engine() as engine, pq.ParquetWriter(staged, TABLES[table], compression="zstd") as writer:
            engine.register(raw=raw)
            for batch in engine.stream(f"FROM raw ORDER BY {', '.join(SORT_KEYS[table])}", TABLES[table]):
                writer.write_batch(batch)
        _publish_once(dataset, staged, dataset.compacted_path(table, day))


@contextlib.contextmanager
def _staged(dataset: Dataset, name: str) -> Iterator[Path]:
    """Give the path of a file to publish; it is removed afterwards."""
    publisher = publisher_for(dataset.filesystem, dataset.root)
    # A unique name: another run may compact the same day, and a killed run leaves its folder behind.
    folder = publisher.stage(f"{name}-{secrets.token_hex(6)}")
    try:
        yield folder / "compacted.part"
    finally:
        publisher.discard(folder)


def _publish_once(dataset: Dataset, staged: Path, path: str) -> None:
    # An existing file is compared with the raw files, like one that was just published.
    with contextlib.suppress(ObservationExists):
        publisher_for(dataset.filesystem, dataset.root).publish(staged, path)


def _checked_folder(dataset: Dataset) -> str:
    return f"{dataset.root}/compacted/checked"


def _checked_days(dataset: Dataset) -> set[date]:
    """Return the days whose raw files were compared and tagged."""
    dataset.filesystem.invalidate_cache()
    try:
        found = dataset.filesystem.ls(_checked_folder(dataset), detail=False)
    except FileNotFoundError:
        return set()
    names = [PurePosixPath(path).name for path in found]
    return {date.fromisoformat(name) for name in names if re.fullmatch(r"\d{4}-\d\d-\d\d", name)}
