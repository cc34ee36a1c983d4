"""The rows of some observations, from few files: partial aggregates, and the raw files of the other observations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import JOBS
from glacier_jobs.history.fold import (
    JOB_COLUMNS,
    JOB_SUMMARIES,
    OBSERVATION_COLUMNS,
    VAULT_COLUMNS,
    summaries_of,
    vault_listings_of,
)
from glacier_jobs.history.partials import Partial, Partials, disjoint

_COLUMNS = {"vaults": VAULT_COLUMNS, "observations": OBSERVATION_COLUMNS}


@dataclass(frozen=True, kw_only=True)
class ObservationRows:
    """The rows of some observations. If a partial aggregate cannot be read, the raw files of its observations are.

    :param dataset: holds the raw files.
    :param partials: where partial aggregates are.
    :param observation_ids: committed observations.
    :param found: partial aggregates, of these observations and of others.
    """

    dataset: Dataset
    partials: Partials
    observation_ids: Sequence[str]
    found: Sequence[Partial]

    @cached_property
    def chosen(self) -> list[Partial]:
        """The partial aggregates that are read: of disjoint sets, and of these observations only."""
        return disjoint(self.found, self.observation_ids)

    @cached_property
    def uncovered(self) -> list[str]:
        """The observations that no partial aggregate shows."""
        return self._without(self.chosen)

    def _without(self, partials: Sequence[Partial]) -> list[str]:
        covered = frozenset[str]().union(*(each.observation_ids for each in partials))
        return [each for each in self.observation_ids if each not in covered]

    def job_summaries(self, *, uncovered: pa.Table | None = None) -> pa.Table:
        """Return one row or more a job, with the schema :data:`~glacier_jobs.history.fold.JOB_SUMMARIES`.

        Several rows of a job are of other observations each.

        :param uncovered: the summaries of :attr:`uncovered`; ``None`` to read their raw files.
        """
        tables, read = self._readable("job_summaries", JOB_SUMMARIES.names)
        raw_ids = set(self._without(read))
        if uncovered is not None:
            tables.append(uncovered)
            raw_ids -= set(self.uncovered)
        raw = self.dataset.read("jobs", sorted(raw_ids), columns=JOB_COLUMNS)
        return pa.concat_tables([*tables, summaries_of(raw)])

    def read(self, table: str, observation_ids: Collection[str], *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows of some of these observations.

        :param table: ``vaults`` or ``observations``.
        :param columns: some of :data:`~glacier_jobs.history.fold.VAULT_COLUMNS` or
            :data:`~glacier_jobs.history.fold.OBSERVATION_COLUMNS`; ``None`` for all of them.
        """
        columns = columns or _COLUMNS[table]
        tables, read = self._of_partials[table]
        raw_ids = set(self._without(read))
        raw = self.dataset.read(table, [each for each in observation_ids if each in raw_ids], columns=columns)
        wanted = pc.field("observation_id").isin(pa.array(sorted(observation_ids), pa.string()))
        return pa.concat_tables([*(rows.filter(wanted).select(columns) for rows in tables), raw.read_all()])

    @cached_property
    def _of_partials(self) -> dict[str, tuple[list[pa.Table], list[Partial]]]:
        return {table: self._readable(table, columns) for table, columns in _COLUMNS.items()}

    def _readable(self, table: str, columns: Sequence[str]) -> tuple[list[pa.Table], list[Partial]]:
        """Return the rows of the partial aggregates that can be read, and these."""
        found = [(each, self.partials.read(table, each, columns=columns)) for each in self.chosen]
        read = [(partial, rows) for partial, rows in found if rows is not None]
        return [rows for _, rows in read], [partial for partial, _ in read]

    def vault_listings(self, *, carried: pa.Table) -> pa.Table:
        """Return the vault listings, with the schema :data:`~glacier_jobs.history.fold.VAULT_LISTINGS`.

        :param carried: the listings of earlier days, with the same schema.
        """
        vaults, observations = (self.read(table, self.observation_ids) for table in _COLUMNS)
        return vault_listings_of(vaults, observations, carried=carried)

    def newest_jobs(
        self, observation_ids: Collection[str], *, columns: Sequence[str] = JOBS.names
    ) -> pa.RecordBatchReader:
        """Return the rows of ``jobs`` of the vaults' newest listings; they can be read once. There may be further rows.

        :param observation_ids: the observations that these listings are of. They can be older than the others.
        :param columns: the columns to read; ``observation_id`` is one of them.
        """
        schema = pa.schema([JOBS.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(schema, self._newest_jobs(set(observation_ids), columns))

    def _newest_jobs(self, wanted: set[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        of_these = pc.field("observation_id").isin(pa.array(sorted(wanted), pa.string()))
        raw_ids = set(wanted)
        for partial in self.chosen:
            if wanted.isdisjoint(partial.observation_ids):
                continue
            rows = self.partials.read("newest_jobs", partial, columns=columns, where=of_these)
            if rows is not None:
                raw_ids -= partial.observation_ids
                yield from rows.to_batches()
        yield from self.dataset.read("jobs", sorted(raw_ids), columns=columns)

    def jobs_of_newest_listings(self, vaults: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of ``jobs`` of the newest complete listing of each vault, by these observations alone.

        :param vaults: the rows of ``vaults`` of these observations.
        """
        listed = vaults.filter(pc.field("outcome") == "listed")
        newest = listed.group_by("vault_arn").aggregate([("observation_id", "max")])
        vault_arns = newest["vault_arn"].combine_chunks()
        newest_ids = newest["observation_id_max"].combine_chunks()
        for batch in self.newest_jobs(newest_ids.unique().to_pylist()):
            # A vault without a row in `vaults` has no listing.
            expected = newest_ids.take(pc.index_in(batch["vault_arn"], value_set=vault_arns))
            yield batch.filter(pc.fill_null(pc.equal(batch["observation_id"], expected), False))
