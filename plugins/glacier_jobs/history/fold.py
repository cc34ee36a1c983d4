"""The aggregation of job history: open jobs and newer raw rows in, closed jobs and open jobs out.

Pure: tables in, tables out. Nothing here reads or writes a file, or reads the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa

from glacier_jobs.dataset.schema import JOBS, UTC_MICROSECONDS, VAULTS, required
from glacier_jobs.sql.engine import Engine, statement

#: One row a job: its last description, when it was listed, and its outcome, the column ``fate``.
JOB_LIFECYCLES = pa.schema(
    [
        *[JOBS.field(name) for name in ("account_id", "region", "vault_name", "vault_arn", "job_id")],
        *[
            JOBS.field(name)
            for name in (
                "action",
                "tier",
                "job_description",
                "archive_id",
                "retrieval_byte_range",
                "creation_date",
                "completion_date",
                "status_code",
                "status_message",
                "archive_size_in_bytes",
                "inventory_size_in_bytes",
            )
        ],
        required("first_seen_at", UTC_MICROSECONDS),
        required("last_seen_at", UTC_MICROSECONDS),
        required("last_observation_id", pa.string()),
        required("sightings", pa.int64()),
        required("fate", pa.string()),
        required("as_of", UTC_MICROSECONDS),
    ]
)

#: One row a listing of a vault; it counts from ``looked_at`` on.
VAULT_LISTINGS = pa.schema(
    [
        *[VAULTS.field(name) for name in ("account_id", "region", "vault_name", "vault_arn", "observation_id")],
        required("looked_at", UTC_MICROSECONDS),
        required("ended_at", UTC_MICROSECONDS),
        VAULTS.field("outcome"),
        VAULTS.field("error"),
    ]
)

#: The columns of the raw tables that the aggregation needs.
JOB_COLUMNS = [name for name in JOB_LIFECYCLES.names if name in JOBS.names] + ["observation_id", "observed_at"]
VAULT_COLUMNS = [
    "account_id", "region", "vault_name", "vault_arn", "observation_id", "listing_began_at", "listing_ended_at",
    "outcome", "error",
]  # fmt: skip
OBSERVATION_COLUMNS = ["observation_id", "snapshot_at", "account_id", "region", "scope"]

#: In place of an end of the period: all listings of the days that are not finalized count.
NO_END = datetime(9999, 1, 1, tzinfo=timezone.utc)

#: The listings of the given observations, without those that were carried over from earlier days.
_OWN_LISTINGS = """
    FROM vault_listings SEMI JOIN observations USING (observation_id)
    ORDER BY vault_arn, looked_at, outcome, observation_id
"""

_VAULT_KEY = ["account_id", "region", "vault_name", "vault_arn"]


@dataclass(frozen=True, kw_only=True)
class State:
    """The result of all days before a day that the aggregation of this day needs.

    :param open_jobs: the jobs that later listings may change, with the schema :data:`JOB_LIFECYCLES`.
    :param vault_listings: the listings that still matter, with the schema :data:`VAULT_LISTINGS`.
    """

    open_jobs: pa.Table
    vault_listings: pa.Table


@dataclass(frozen=True, kw_only=True)
class RawRows:
    """The raw rows of some days; each table can be read once.

    :param jobs: rows of ``jobs``, with :data:`JOB_COLUMNS`.
    :param vaults: rows of ``vaults``, with :data:`VAULT_COLUMNS`.
    :param observations: rows of ``observations``, with :data:`OBSERVATION_COLUMNS`.
    """

    jobs: pa.RecordBatchReader | pa.Table
    vaults: pa.RecordBatchReader | pa.Table
    observations: pa.RecordBatchReader | pa.Table


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The aggregate of some days.

    :param closed: the jobs that no later listing can change, with the schema :data:`JOB_LIFECYCLES`.
    :param vault_listings: all listings of the observations of these days, with the schema :data:`VAULT_LISTINGS`.
    :param state: what the aggregation of the next day needs.
    """

    closed: pa.Table
    vault_listings: pa.Table
    state: State


EMPTY_STATE = State(open_jobs=JOB_LIFECYCLES.empty_table(), vault_listings=VAULT_LISTINGS.empty_table())


def fold(before: State, raw: RawRows, *, until: datetime = NO_END) -> Folded:
    """Aggregate days into history.

    The result depends neither on the order of the rows nor on the number of days at once, with one exception: if a
    listing missed a job and a listing of a later day shows it again, the job is closed once for each time. The last of
    these rows is correct in all columns except ``first_seen_at`` and ``sightings``.

    :param before: the state at the end of the day before; :data:`EMPTY_STATE` if there is none.
    :param raw: all raw rows of the days.
    :param until: the midnight at which the days end. A later listing by an observation that began before is carried
        over to the next day.
    :return: rows in the order of vault and job id.
    """
    with Engine() as engine:
        _create_vault_listings(engine, before, raw)
        engine.register(jobs=raw.jobs)
        return _folded(engine, before, engine.query(_OWN_LISTINGS, VAULT_LISTINGS), until)


def fold_open_days(before: State, jobs: pa.RecordBatchReader | pa.Table, vault_listings: pa.Table) -> Folded:
    """Aggregate days that are not finalized, as :func:`fold` does.

    :param jobs: their rows of ``jobs``, with :data:`JOB_COLUMNS`.
    :param vault_listings: their listings, as :func:`vault_listings_of` returns them.
    """
    with Engine() as engine:
        engine.register(carried_listings=before.vault_listings, new_listings=vault_listings, jobs=jobs)
        engine.create_table("vault_listings", "FROM carried_listings UNION FROM new_listings")
        return _folded(engine, before, vault_listings, NO_END)


def vault_listings_of(raw: RawRows, *, before: State) -> pa.Table:
    """Return the vault listings of the observations of some days, with the schema :data:`VAULT_LISTINGS`.

    :param raw: the raw rows of the days; ``jobs`` are not read.
    :param before: the state at the end of the day before, which names vaults that may be gone.
    """
    with Engine() as engine:
        _create_vault_listings(engine, before, raw)
        return engine.query(_OWN_LISTINGS, VAULT_LISTINGS)


def _create_vault_listings(engine: Engine, before: State, raw: RawRows) -> None:
    engine.register(carried_listings=before.vault_listings, known_vaults=before.open_jobs.select(_VAULT_KEY))
    # The statement reads these tables more than once, and a reader can be read only once.
    engine.register_reusable("vaults", raw.vaults)
    engine.register_reusable("observations", raw.observations)
    engine.create_table("vault_listings", statement("history/vault_listings"))


def _folded(engine: Engine, before: State, own_listings: pa.Table, until: datetime) -> Folded:
    engine.register(open_jobs=before.open_jobs)
    engine.create_table("lifecycles", statement("history/lifecycles"), until=until)
    return Folded(
        closed=engine.query(
            "SELECT * EXCLUDE closed FROM lifecycles WHERE closed ORDER BY vault_arn, job_id", JOB_LIFECYCLES
        ),
        vault_listings=own_listings,
        state=State(
            open_jobs=engine.query(
                "SELECT * EXCLUDE closed FROM lifecycles WHERE NOT closed ORDER BY vault_arn, job_id", JOB_LIFECYCLES
            ),
            vault_listings=engine.query(statement("history/carried_listings"), VAULT_LISTINGS, until=until),
        ),
    )
