"""Partial aggregates of any observations, as no run of the package makes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from glacier_jobs.dataset.layout import Dataset, snapshot_date
from glacier_jobs.history import History
from glacier_jobs.history.partials import Partial
from glacier_jobs.history.rows import ObservationRows


def observation_rows(
    dataset: Dataset, observation_ids: Sequence[str] | None = None, found: Sequence[Partial] = ()
) -> ObservationRows:
    """Return the rows of some observations; with ``None``, of all."""
    wanted = dataset.observation_ids() if observation_ids is None else observation_ids
    partials = History.beside(dataset).partials
    return ObservationRows(dataset=dataset, partials=partials, observation_ids=wanted, found=found)


def make_partial(dataset: Dataset, observation_ids: Sequence[str], *, made_at: datetime) -> Partial:
    """Publish the partial aggregate of observations of one day, from their raw files."""
    rows = observation_rows(dataset, observation_ids)
    [day] = {snapshot_date(each) for each in observation_ids}
    vaults = rows.read("vaults", observation_ids)
    return rows.partials.publish(
        day,
        made_at=made_at,
        job_summaries=rows.job_summaries(),
        newest_jobs=rows.jobs_of_newest_listings(vaults),
        vaults=vaults,
        observations=rows.read("observations", observation_ids),
    )
