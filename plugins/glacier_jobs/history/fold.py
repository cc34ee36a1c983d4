"""The aggregation of job history: open jobs and what newer observations show in, closed jobs and open jobs out.

Pure: tables in, tables out. Nothing here reads or writes a file, or reads the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.schema import JOBS, UTC_MICROSECONDS, VAULTS, required
from glacier_jobs.sql.engine import Engine, statement

#: One row a job, as some observations show it: its newest description, and when it was listed.
JOB_SUMMARIES = pa.schema(
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
        pa.field("first_failed_at", UTC_MICROSECONDS),
        required("last_seen_at", UTC_MICROSECONDS),
        required("last_observation_id", pa.string()),
        required("observation_count", pa.int64()),
    ]
)

#: One row a job, as all observations up to some moment show it: its summary and its outcome.
JOB_LIFECYCLES = pa.schema(
    [*JOB_SUMMARIES, required("outcome", pa.string()), required("as_of", UTC_MICROSECONDS)],
)

_JUDGED_LIFECYCLES = pa.schema([*JOB_LIFECYCLES, required("closed", pa.bool_())])

#: One row a listing of a vault; it counts from ``listed_at`` on.
VAULT_LISTINGS = pa.schema(
    [
        *[VAULTS.field(name) for name in ("account_id", "region", "vault_name", "vault_arn", "observation_id")],
        required("listed_at", UTC_MICROSECONDS),
        required("ended_at", UTC_MICROSECONDS),
        VAULTS.field("outcome"),
        VAULTS.field("error"),
    ]
)

#: The columns of the raw tables that the aggregation needs.
JOB_COLUMNS = [name for name in JOB_SUMMARIES.names if name in JOBS.names] + ["observation_id", "observed_at"]
VAULT_COLUMNS = [
    "account_id", "region", "vault_name", "vault_arn", "observation_id", "listing_began_at", "listing_ended_at",
    "outcome", "error",
]  # fmt: skip
OBSERVATION_COLUMNS = ["observation_id", "snapshot_at", "account_id", "region", "scope"]

#: In place of an end of the period: all listings of the days that are not finalized count.
NO_END = datetime(9999, 1, 1, tzinfo=timezone.utc)

#: Allows for differences between AWS's clock, which sets ``creation_date``, and the clocks of the observers.
CLOCK_MARGIN = timedelta(hours=1)

#: How many raw rows are merged at a time, if there are not more jobs.
_ROWS_AT_A_TIME = 131_072

#: The listings of the given observations, without those that were carried over from earlier days.
_OWN_LISTINGS = """
    FROM vault_listings SEMI JOIN observations USING (observation_id)
    ORDER BY vault_arn, listed_at, outcome, observation_id
"""

_MAYBE_CLOSED = """
    SELECT vault_arn, job_id, creation_date
    FROM summaries ANTI JOIN open_jobs USING (vault_arn, job_id)
    WHERE creation_date IS NULL OR creation_date < $before
"""


@dataclass(frozen=True, kw_only=True)
class State:
    """The result of all days before a day that the aggregation of this day needs.

    :param open_jobs: the jobs that are not complete, with the schema :data:`JOB_LIFECYCLES`.
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
class Summary:
    """What the observations of some days show, without a judgement.

    :param jobs: summaries of jobs, with the schema :data:`JOB_SUMMARIES`: of a job one row or more, each of other
        observations.
    :param vault_listings: the listings of the vaults, with the schema :data:`VAULT_LISTINGS`.
    """

    jobs: pa.Table
    vault_listings: pa.Table


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The aggregate of some days.

    :param lifecycles: one row a job that was not closed before, with the schema :data:`JOB_LIFECYCLES` and ``closed``.
    :param vault_listings: all listings of the observations of these days, with the schema :data:`VAULT_LISTINGS`.
    :param open_vault_listings: the listings that the aggregation of the next day needs, with the same schema.
    """

    lifecycles: pa.Table
    vault_listings: pa.Table
    open_vault_listings: pa.Table

    @cached_property
    def closed(self) -> pa.Table:
        """The jobs that are complete, with the schema :data:`JOB_LIFECYCLES`."""
        return self.lifecycles.filter(self.lifecycles["closed"]).drop_columns("closed")

    @cached_property
    def state(self) -> State:
        """What the aggregation of the next day needs."""
        still_open = self.lifecycles.filter(pc.invert(self.lifecycles["closed"])).drop_columns("closed")
        return State(open_jobs=still_open, vault_listings=self.open_vault_listings)


EMPTY_STATE = State(open_jobs=JOB_LIFECYCLES.empty_table(), vault_listings=VAULT_LISTINGS.empty_table())


def summarize(before: State, raw: RawRows) -> Summary:
    """Return what the observations of some days show.

    :param before: the state at the end of the day before; :data:`EMPTY_STATE` if there is none.
    :param raw: all raw rows of the days.
    """
    listings = vault_listings_of(raw.vaults, raw.observations, carried=before.vault_listings)
    return Summary(jobs=summaries_of(raw.jobs), vault_listings=listings)


def summaries_of(jobs: pa.RecordBatchReader | pa.Table) -> pa.Table:
    """Return one row a job, in any order, with the schema :data:`JOB_SUMMARIES`.

    It holds as many raw rows in memory as there are jobs, or :data:`_ROWS_AT_A_TIME`.

    :param jobs: rows of ``jobs``, with :data:`JOB_COLUMNS`.
    """
    merged = JOB_SUMMARIES.empty_table()
    waiting: list[pa.Table] = []
    rows = 0
    for batch in jobs.to_reader() if isinstance(jobs, pa.Table) else jobs:
        waiting.append(_summaries_of_one_observation_each(batch))
        rows += batch.num_rows
        if rows >= max(_ROWS_AT_A_TIME, merged.num_rows):
            merged, waiting, rows = merged_summaries([merged, *waiting]), [], 0
    return merged_summaries([merged, *waiting]) if waiting else merged


def _summaries_of_one_observation_each(jobs: pa.RecordBatch) -> pa.Table:
    failed = pc.equal(jobs["status_code"], "Failed")
    columns = {
        "first_seen_at": jobs["observed_at"],
        "first_failed_at": pc.if_else(failed, jobs["observed_at"], None),
        "last_seen_at": jobs["observed_at"],
        "last_observation_id": jobs["observation_id"],
        "observation_count": pa.repeat(pa.scalar(1, pa.int64()), jobs.num_rows),
    }
    return pa.table(
        [columns[name] if name in columns else jobs[name] for name in JOB_SUMMARIES.names], schema=JOB_SUMMARIES
    )


def merged_summaries(summaries: Sequence[pa.Table]) -> pa.Table:
    """Return one row a job, in any order: what several summaries say together.

    :param summaries: tables with the schema :data:`JOB_SUMMARIES`, which are of disjoint sets of observations.
    """
    with Engine() as engine:
        engine.register(gathered=pa.concat_tables(summaries))
        return engine.query(statement("history/merged_summaries"), JOB_SUMMARIES)


def sorted_by_job(rows: pa.Table) -> pa.Table:
    """Return the same rows in the order of vault and job id."""
    return rows.sort_by([("vault_arn", "ascending"), ("job_id", "ascending")])


def vault_listings_of(
    vaults: pa.RecordBatchReader | pa.Table, observations: pa.RecordBatchReader | pa.Table, *, carried: pa.Table
) -> pa.Table:
    """Return the vault listings of the observations of some days, with the schema :data:`VAULT_LISTINGS`.

    :param vaults: rows of ``vaults``, with :data:`VAULT_COLUMNS`.
    :param observations: rows of ``observations``, with :data:`OBSERVATION_COLUMNS`.
    :param carried: the listings of earlier days, which name the vaults that may be gone, with the same schema as the
        result.
    """
    with Engine() as engine:
        engine.register(carried_listings=carried)
        # The statement reads these tables more than once, and a reader can be read only once.
        engine.register_reusable("vaults", vaults)
        engine.register_reusable("observations", observations)
        engine.create_table("vault_listings", statement("history/vault_listings"))
        return engine.query(_OWN_LISTINGS, VAULT_LISTINGS)


def maybe_closed(before: State, summary: Summary, *, since: datetime) -> pa.Table:
    """Return the jobs of a summary that an earlier day may have closed, because a listing had missed them.

    :param since: when the days of the summary begin. What was created later cannot have been closed before.
    :return: ``vault_arn``, ``job_id`` and ``creation_date``.
    """
    with Engine() as engine:
        engine.register(summaries=summary.jobs, open_jobs=before.open_jobs)
        return engine.query(_MAYBE_CLOSED, before=since + CLOCK_MARGIN)


def fold(before: State, summary: Summary, *, reappeared: pa.Table | None = None, until: datetime = NO_END) -> Folded:
    """Aggregate days into history.

    The result does not depend on the number of days at once, with one exception: a job that was closed, and that a
    listing of a later day shows again, is closed once for each time. The last of these rows is that of its whole life,
    and replaces the others.

    Example::

        raw = RawRows(jobs=jobs.to_table(), vaults=vaults.to_table(), observations=observations.to_table())
        ended = fold(EMPTY_STATE, summarize(EMPTY_STATE, raw)).closed["job_id"]

    :param before: the state at the end of the day before; :data:`EMPTY_STATE` if there is none.
    :param summary: what the observations of the days show.
    :param reappeared: the last rows of the jobs of the summary that were closed on earlier days.
    :param until: the midnight at which the days end. A later listing by an observation that began before is carried
        over to the next day.
    :return: rows of jobs in any order.
    """
    known = before.open_jobs if reappeared is None else pa.concat_tables([before.open_jobs, reappeared])
    with Engine() as engine:
        engine.register(
            gathered=pa.concat_tables([summary.jobs, known.select(JOB_SUMMARIES.names)]),
            carried_listings=before.vault_listings,
            new_listings=summary.vault_listings,
        )
        engine.create_view("merged", statement("history/merged_summaries"))
        engine.create_table("vault_listings", "FROM carried_listings UNION FROM new_listings")
        lifecycles = engine.query(statement("history/lifecycles"), _JUDGED_LIFECYCLES, until=until)
        engine.register(lifecycles=lifecycles)
        vault_listings = engine.query(statement("history/carried_listings"), VAULT_LISTINGS, until=until)
    return Folded(lifecycles=lifecycles, vault_listings=summary.vault_listings, open_vault_listings=vault_listings)
