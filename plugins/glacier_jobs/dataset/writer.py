"""Writes an observation batch by batch, and publishes it as a whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glacier_jobs.dataset.cutoff import refuse_closed_day
from glacier_jobs.dataset.dedup import DuplicateIndex, JobKey, RowMask, RowNumbers
from glacier_jobs.dataset.layout import Dataset, snapshot_date
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.schema import TABLES, Observation, table_from_rows

#: How many rows are combined into one row group of a file.
ROW_GROUP_ROWS = 16_384

#: Columns whose values repeat from row to row; only these are dictionary-encoded. The values of the others (ids,
#: hashes, dates) hardly ever repeat: a dictionary would only be a second copy of them.
REPEATING_COLUMNS: Mapping[str, list[str]] = {
    "jobs": [
        "observation_id", "snapshot_at", "observed_at", "account_id", "region", "vault_name", "job_description",
        "action", "vault_arn", "status_code", "status_message", "sns_topic", "retrieval_byte_range",
        "tier", "inventory_retrieval_parameters.format", "inventory_retrieval_parameters.start_date",
        "inventory_retrieval_parameters.end_date", "inventory_retrieval_parameters.limit",
    ],
    "vaults": ["observation_id", "snapshot_at", "account_id", "region", "outcome", "error"],
    "observations": [],
}  # fmt: skip

#: The same for tables that are made from these: columns whose values hardly ever repeat.
_DISTINCT_COLUMNS = {
    "job_id", "archive_id", "archive_sha256_tree_hash", "sha256_tree_hash", "creation_date", "completion_date",
    "duration_seconds", "bytes", "archive_size_in_bytes", "inventory_size_in_bytes", "expires_at", "hours_left",
}  # fmt: skip


def repeating_columns(schema: pa.Schema) -> list[str]:
    """Return the columns to encode by dictionaries, of a table that is made from the raw tables."""
    return [name for name in schema.names if name not in _DISTINCT_COLUMNS]


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class ObservationWriter:
    """Writes one observation and publishes it as a whole, or leaves nothing behind.

    A context manager: without a call of :meth:`publish`, nothing becomes visible. All files are completed in a staging
    folder first.

    Example::

        with ObservationWriter(dataset, observation) as writer:
            writer.write_jobs(batch)
            jobs_by_vault = writer.finish_jobs()
            writer.publish(vaults=vault_rows, observation=observation_row)

    :param dataset: the dataset that receives the observation.
    :param observation: its id and the values that its rows share.
    :param clock: returns the current time, an aware UTC datetime.
    :raises StoreNotSuitable: the store cannot create an object atomically and durably.
    """

    def __init__(self, dataset: Dataset, observation: Observation, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._dataset = dataset
        self._observation = observation
        self._clock = clock
        self._publisher = publisher_for(dataset.filesystem, dataset.root)
        self._duplicates = DuplicateIndex()
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def __enter__(self) -> ObservationWriter:
        self._folder = self._publisher.stage(self._observation.observation_id)
        try:
            self._jobs = self._open("jobs", self._staged("jobs"))
        except BaseException:
            self._publisher.discard(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # On a full disk, writing the footer fails, too; the first error must be raised, and not this one.
        with contextlib.suppress(OSError):
            self._jobs.close()
        self._publisher.discard(self._folder)

    def write_jobs(self, batch: pa.RecordBatch) -> None:
        """Write rows of the table ``jobs``, all of one vault."""
        if not batch.num_rows:
            return
        self._duplicates.add(batch)
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._flush()

    def finish_jobs(self, *, without: Collection[str] = ()) -> Mapping[str, int]:
        """Complete the table ``jobs``. If a job has several rows, only the last one is kept.

        :param without: names of vaults whose rows are dropped, because their listing is incomplete.
        :return: vault name -> number of its jobs in the table; a vault without jobs may be absent.
        """
        self._flush()
        self._jobs.close()
        kept = self._duplicates.kept(self._job_keys, without)
        if not kept.all():
            self._rewrite_jobs(kept)
        return self._duplicates.jobs_by_vault(kept)

    def publish(self, *, vaults: Sequence[Mapping[str, Any]], observation: Mapping[str, Any]) -> None:
        """Publish all three files; the last of them is the commit mark.

        :param vaults: rows of the table ``vaults``, without the columns that all rows share.
        :param observation: the row of ``observations``, without these columns and without ``published_at``.
        :raises ObservationExists: another file has the path already; it is not changed.
        :raises DayClosed: the day of the observation is finalized.
        """
        observation_id = self._observation.observation_id
        day = snapshot_date(observation_id)
        refuse_closed_day(observation_id, day, self._clock())
        shared = {
            "observation_id": observation_id,
            "snapshot_at": self._observation.snapshot_at,
            "account_id": self._observation.account_id,
            "region": self._observation.region,
        }
        self._write("vaults", [{**shared, **row} for row in vaults])
        self._write("observations", [{**shared, **observation, "published_at": self._clock()}])
        *rows, commit_mark = TABLES
        for table in rows:
            self._publisher.publish(self._staged(table), self._dataset.path(table, observation_id))
        # Checked again: the uploads may have taken long, and only the commit mark makes an observation valid.
        refuse_closed_day(observation_id, day, self._clock())
        self._publisher.publish(self._staged(commit_mark), self._dataset.path(commit_mark, observation_id))

    def _staged(self, table: str) -> Path:
        # Without the suffix .parquet: some engines read every file that has it, in any subfolder.
        return self._folder / f"{table}.part"

    def _open(self, table: str, path: Path) -> pq.ParquetWriter:
        return pq.ParquetWriter(path, TABLES[table], compression="zstd", use_dictionary=REPEATING_COLUMNS[table])

    def _write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with self._open(table, self._staged(table)) as writer:
            writer.write_table(table_from_rows(rows, TABLES[table]))

    def _flush(self) -> None:
        if self._waiting:
            self._jobs.write_table(pa.Table.from_batches(self._waiting))
            self._waiting, self._waiting_rows = [], 0

    def _row_groups(self, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Yield each row group of the staged jobs with the number of its first row."""
        first = 0
        with pq.ParquetFile(self._staged("jobs")) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=columns)
                yield first, rows
                first += rows.num_rows

    def _job_keys(self, wanted: RowNumbers) -> list[JobKey]:
        keys: list[JobKey] = []
        for first, rows in self._row_groups(columns=["vault_arn", "job_id"]):
            here = wanted[(wanted >= first) & (wanted < first + rows.num_rows)] - first
            found = rows.take(pa.array(here))
            keys += zip(found["vault_arn"].to_pylist(), found["job_id"].to_pylist(), strict=True)
        return keys

    def _rewrite_jobs(self, kept: RowMask) -> None:
        rewritten = self._folder / "jobs.rewritten.part"
        with self._open("jobs", rewritten) as writer:
            for first, rows in self._row_groups():
                if kept[first : first + rows.num_rows].any():
                    writer.write_table(rows.filter(pa.array(np.ascontiguousarray(kept[first : first + rows.num_rows]))))
        rewritten.replace(self._staged("jobs"))
