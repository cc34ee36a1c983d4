"""The rows of some observations, from few files: partial aggregates, and the raw files of the other observations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import JOBS
from glacier_jobs.history.fold import (
    JOB_COLUMNS,
    OBSERVATION_COLUMNS,
    VAULT_COLUMNS,
    summaries_of,
    vault_listings_of,
)
from glacier_jobs.history.partials import Partial, Partials, disjoint

_COLUMNS = {"vaults": VAULT_COLUMNS, "observations": OBSERVATION_COLUMNS}


@dataclass(frozen=True, kw_only=True)
class ObservationRows:
    """The rows of some observations. Each file is read at most once for each method.

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
    def raw_ids(self) -> list[str]:
        """The observations whose raw files are read."""
        covered = frozenset[str]().union(*(each.observation_ids for each in self.chosen))
        return [each for each in self.observation_ids if each not in covered]

    def job_summaries(self) -> pa.Table:
        """Return one row or more a job, with the schema :data:`~glacier_jobs.history.fold.JOB_SUMMARIES`.

        Several rows of a job are of other observations each.
        """
        raw = summaries_of(self.dataset.read("jobs", self.raw_ids, columns=JOB_COLUMNS))
        return pa.concat_tables([self.partials.read("job_summaries", self.chosen).read_all(), raw])

    def read(self, table: str, observation_ids: Collection[str], *, columns: Sequence[str] | None = None) -> pa.Table:
        """Return rows of some of these observations.

        :param table: ``vaults`` or ``observations``.
        :param columns: some of :data:`~glacier_jobs.history.fold.VAULT_COLUMNS` or
            :data:`~glacier_jobs.history.fold.OBSERVATION_COLUMNS`; ``None`` for all of them.
        """
        columns = columns or _COLUMNS[table]
        raw_ids = set(self.raw_ids)
        raw = self.dataset.read(table, [each for each in observation_ids if each in raw_ids], columns=columns)
        if not self.chosen:
            return raw.read_all()
        rows = self._of_partials[table]
        wanted = pc.field("observation_id").isin(pa.array(sorted(observation_ids), pa.string()))
        return pa.concat_tables([rows.filter(wanted).select(columns), raw.read_all()])

    @cached_property
    def _of_partials(self) -> dict[str, pa.Table]:
        return {
            table: self.partials.read(table, self.chosen, columns=columns).read_all()
            for table, columns in _COLUMNS.items()
        }

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
        wanted = set(observation_ids)
        partials = [each for each in self.chosen if not wanted.isdisjoint(each.observation_ids)]
        for partial in partials:
            wanted -= partial.observation_ids
        of_these = pc.field("observation_id").isin(pa.array(sorted(observation_ids), pa.string()))
        readers = [
            self.partials.read("newest_jobs", partials, columns=columns, where=of_these),
            self.dataset.read("jobs", sorted(wanted), columns=columns),
        ]
        return pa.RecordBatchReader.from_batches(readers[0].schema, chain.from_iterable(readers))

    def jobs_of_newest_listings(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of ``jobs`` of the newest complete listing of each vault, by these observations alone."""
        vaults = self.read("vaults", self.observation_ids)
        listed = vaults.filter(pc.field("outcome") == "listed")
        newest = listed.group_by("vault_arn").aggregate([("observation_id", "max")])
        vault_arns = newest["vault_arn"].combine_chunks()
        newest_ids = newest["observation_id_max"].combine_chunks()
        for batch in self.newest_jobs(newest_ids.unique().to_pylist()):
            # A vault without a row in `vaults` has no listing.
            expected = newest_ids.take(pc.index_in(batch["vault_arn"], value_set=vault_arns))
            yield batch.filter(pc.fill_null(pc.equal(batch["observation_id"], expected), False))
