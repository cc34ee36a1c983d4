"""History folded: what was open before and what was observed since give what is closed and what is still open.

Pure: tables in, tables out. Nothing here reads or writes a file, or asks for the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa

from glacier_jobs.dataset.schema import JOBS, UTC_MICROSECONDS, VAULTS, required
from glacier_jobs.sql.engine import Engine, statement

#: One row a job: its last description, when it was seen, and its fate.
LIVES = pa.schema(
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

#: One row a look at a vault.
LOOKS = pa.schema(
    [
        *[VAULTS.field(name) for name in ("account_id", "region", "vault_name", "vault_arn", "observation_id")],
        required("looked_at", UTC_MICROSECONDS),
        required("ended_at", UTC_MICROSECONDS),
        VAULTS.field("outcome"),
        VAULTS.field("error"),
    ]
)

#: What the folding needs of the raw tables.
SIGHT_COLUMNS = [name for name in LIVES.names if name in JOBS.names] + ["observation_id", "observed_at"]
VAULT_COLUMNS = [
    "account_id", "region", "vault_name", "vault_arn", "observation_id", "listing_began_at", "listing_ended_at",
    "outcome", "error",
]  # fmt: skip
OBSERVATION_COLUMNS = ["observation_id", "snapshot_at", "account_id", "region", "scope"]

#: Where there is no end: of the days that are not closed yet, every look counts.
NO_END = datetime(9999, 1, 1, tzinfo=timezone.utc)

#: The looks that the given observations made, without those that were carried over to them.
_MADE = (
    "FROM looks SEMI JOIN observations USING (observation_id) ORDER BY vault_arn, looked_at, outcome, observation_id"
)

_VAULT_KEY = ["account_id", "region", "vault_name", "vault_arn"]


@dataclass(frozen=True, kw_only=True)
class State:
    """What the next day must know of all days before it.

    :param open_jobs: the jobs of which more may be seen, with the schema :data:`LIVES`.
    :param looks: the looks at vaults that still matter, with the schema :data:`LOOKS`.
    """

    open_jobs: pa.Table
    looks: pa.Table


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The raw rows of some days; each can be read once.

    :param sights: rows of ``jobs``, with :data:`SIGHT_COLUMNS`.
    :param vaults: rows of ``vaults``, with :data:`VAULT_COLUMNS`.
    :param observations: rows of ``observations``, with :data:`OBSERVATION_COLUMNS`.
    """

    sights: pa.RecordBatchReader | pa.Table
    vaults: pa.RecordBatchReader | pa.Table
    observations: pa.RecordBatchReader | pa.Table


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What some days came to.

    :param closed: the jobs of which nothing more is expected, with the schema :data:`LIVES`.
    :param looks: all looks at vaults that the observations of these days made, with the schema :data:`LOOKS`.
    :param state: what the next day must know.
    """

    closed: pa.Table
    looks: pa.Table
    state: State


BEGINNING = State(open_jobs=LIVES.empty_table(), looks=LOOKS.empty_table())


def fold(before: State, observed: Observed, *, until: datetime = NO_END) -> Folded:
    """Fold days into history.

    In which order the rows come makes no difference. Neither does it how many days are folded at once, but for a
    job that was missed by a listing and is seen again on a later day: it is closed once for each of its lives, and
    the last of them is right in all but ``first_seen_at`` and ``sightings``.

    :param before: what the days before came to; :data:`BEGINNING` where there are none.
    :param observed: all raw rows of the days.
    :param until: the midnight at which the days end. What was looked at later, by an observation that began before,
        is carried over to the next day.
    :return: rows in the order of vault and job id.
    """
    with Engine() as engine:
        _keep_looks(engine, before, observed)
        engine.give(sights=observed.sights)
        return _folded(engine, before, engine.ask(_MADE, LOOKS), until)


def fold_looked(before: State, sights: pa.RecordBatchReader | pa.Table, looks: pa.Table) -> Folded:
    """Fold days that are not over into history, as :func:`fold` does.

    :param sights: their rows of ``jobs``, with :data:`SIGHT_COLUMNS`.
    :param looks: what :func:`looks_of` made of their other rows.
    """
    with Engine() as engine:
        engine.give(carried_looks=before.looks, made_looks=looks, sights=sights)
        engine.keep("looks", "FROM carried_looks UNION FROM made_looks")
        return _folded(engine, before, looks, NO_END)


def looks_of(observed: Observed, *, before: State) -> pa.Table:
    """Return the looks at vaults that the observations of some days made, with the schema :data:`LOOKS`.

    :param observed: the raw rows of the days; ``sights`` are not read.
    :param before: what the days before came to, which tells of vaults that may be gone.
    """
    with Engine() as engine:
        _keep_looks(engine, before, observed)
        return engine.ask(_MADE, LOOKS)


def _keep_looks(engine: Engine, before: State, observed: Observed) -> None:
    engine.give(carried_looks=before.looks, known_vaults=before.open_jobs.select(_VAULT_KEY))
    # Read more than once, and a reader can be read only once.
    engine.take_in("vaults", observed.vaults)
    engine.take_in("observations", observed.observations)
    engine.keep("looks", statement("folding/looks"))


def _folded(engine: Engine, before: State, made: pa.Table, until: datetime) -> Folded:
    engine.give(open_jobs=before.open_jobs)
    engine.keep("lives", statement("folding/lives"), until=until)
    return Folded(
        closed=engine.ask("SELECT * EXCLUDE closed FROM lives WHERE closed ORDER BY vault_arn, job_id", LIVES),
        looks=made,
        state=State(
            open_jobs=engine.ask(
                "SELECT * EXCLUDE closed FROM lives WHERE NOT closed ORDER BY vault_arn, job_id", LIVES
            ),
            looks=engine.ask(statement("folding/carried"), LOOKS, until=until),
        ),
    )
