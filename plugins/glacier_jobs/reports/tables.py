"""The tables that the SQL of the questions names, read from as few files as possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.alerts.attention import GAP_DAYS
from glacier_jobs.dataset.cutoff import last_finalized_day, midnight
from glacier_jobs.dataset.layout import Dataset, moment_of, snapshot_date, target_of
from glacier_jobs.dataset.schema import JOBS
from glacier_jobs.glacier.identifiers import VaultArn
from glacier_jobs.history.fold import JOB_LIFECYCLES, Folded, State, Summary, fold
from glacier_jobs.history.generations import JOBS_LATEST
from glacier_jobs.history.partials import Partial
from glacier_jobs.history.rows import ObservationRows
from glacier_jobs.history.store import History, fold_from
from glacier_jobs.reports.latest import newest_listings
from glacier_jobs.sql.engine import Engine, statement

_DAY = timedelta(days=1)

#: A hash of vault and job id identifies a job: the ids are long, and a year of them would take much memory.
_JOB_KEY = "md5_number(concat_ws(' ', vault_arn, job_id)) AS job_key"

#: The columns of the history for questions that count and measure jobs.
MEASURES = [
    "account_id", "region", "vault_name", "vault_arn", "action", "tier", "retrieval_byte_range", "creation_date",
    "completion_date", "archive_size_in_bytes", "inventory_size_in_bytes", "first_seen_at", "last_seen_at",
    "observation_count", "outcome", "as_of",
]  # fmt: skip

#: The columns that ``history/outcomes.sql`` adds to them.
_COMPUTED = ["duration_seconds", "bytes"]

#: The columns for questions about the newest listings.
_LATEST_COLUMNS = [
    "observation_id", "observed_at", "account_id", "region", "vault_name", "vault_arn", "job_id", "job_description",
    "action", "tier", "archive_id", "status_code", "status_message", "creation_date", "completion_date",
    "archive_size_in_bytes", "inventory_size_in_bytes", "retrieval_byte_range",
]  # fmt: skip


@dataclass(frozen=True)
class ReportTables:
    """The tables of one dataset and its history, as of the first read.

    Data that several questions need is read once.

    :param now: the present time, an aware UTC datetime.
    :param as_of: only observations that were published until then count; ``None`` for all.
    """

    dataset: Dataset
    history: History
    now: datetime
    as_of: datetime | None = None

    def register_newest_jobs(self, engine: Engine) -> None:
        """Register ``newest_listings`` and ``jobs``: the newest listing of each vault, and its jobs."""
        self._register_newest(engine, JOBS.names)

    def register_latest_jobs(self, engine: Engine) -> None:
        """Register ``newest_listings``, and ``latest_jobs`` without the columns that no question uses."""
        engine.register(newest_listings=self._newest_listings, latest_jobs=self._latest_jobs)

    def register_expiring_outputs(self, engine: Engine) -> None:
        """Register ``expiring_outputs``: the answer to that question, for all outputs."""
        self.register_latest_jobs(engine)
        engine.create_table("expiring_outputs", statement("expiring_outputs"), now=self.now, within_hours=None)

    def register_vault_listings(self, engine: Engine, since: datetime, until: datetime) -> None:
        """Register ``vault_listings``: those of a period and of the day before it, and those that they follow.

        Those are for each vault the newest complete listing before, unless the vault had gone since.
        """
        # An observation of the day before may have listed vaults after midnight.
        first, last = since.date() - _DAY, until.date()
        before = self._newest_listings_before(first)
        folded = self._folded
        if folded is None or folded < first:
            rows = self._rows(self._observation_ids(since=first, until=last))
            engine.register(vault_listings=pa.concat_tables([before, rows.vault_listings(carried=before)]))
            return
        tables = [before, self.history.read("vault_listings", since=first, until=min(folded, last)).read_all()]
        if last > folded:
            tables.append(self._open_listings_until(last))
        engine.register(vault_listings=pa.concat_tables(tables))

    def _newest_listings_before(self, day: date) -> pa.Table:
        until = day - _DAY
        folded = None if self._folded is None else self.history.last_folded_day(until=min(until, self._folded))
        observation_ids = self._observation_ids(since=_day_after(folded), until=until)
        return newest_listings(self._rows(observation_ids), observation_ids, self.history.open_vault_listings(folded))

    def _open_listings_until(self, last: date) -> pa.Table:
        observation_ids = [each for each in self._open_observation_ids if snapshot_date(each) <= last]
        return self._open_listings.filter(pc.field("observation_id").isin(pa.array(observation_ids, pa.string())))

    def register_job(self, engine: Engine, vault_arn: str, job_id: str, since: datetime, until: datetime) -> None:
        """Register ``jobs``: the rows of one job in the observations of a period."""
        arn = VaultArn.parse(vault_arn)
        observation_ids = [
            observation_id
            for observation_id in self._observation_ids(since=since.date(), until=until.date())
            if target_of(observation_id) == (arn.account_id, arn.region)
        ]
        this_job = (pc.field("vault_arn") == vault_arn) & (pc.field("job_id") == job_id)
        engine.register(jobs=self.dataset.read("jobs", observation_ids, where=this_job))

    def register_history(self, engine: Engine, since: datetime | None, *, columns: Sequence[str] = MEASURES) -> None:
        """Register ``history``: one row a job, from the aggregated days and what the days after them show.

        :param since: jobs that were closed before this time may be left out.
        :param columns: :data:`MEASURES` and others of :data:`~glacier_jobs.history.fold.JOB_LIFECYCLES`.
        """
        engine.register(open_days=self._open_history)
        if self._folded is None:
            engine.create_view("history", "FROM open_days")
            return
        first = None if since is None else since.date()
        read = [*columns, *({"job_id"} - set(columns))]
        engine.register(
            closed_days=self.history.read("job_history", since=first, until=self._folded, columns=read),
            # Closed jobs have their outcome, whatever the later listings are.
            vault_listings=self._carried_listings,
        )
        selected = f"SELECT {', '.join(columns)}, {_JOB_KEY}"
        engine.create_view("lifecycles", f"{selected} FROM closed_days")
        engine.create_table("closed", statement("history/outcomes"), newest_at=self.newest_at)
        computed = ", ".join(_COMPUTED)
        engine.create_view("folded", f"{selected}, {computed} FROM open_days UNION ALL BY NAME FROM closed")
        engine.create_view("history", statement("history/newest_lifecycles"))

    def jobs_latest(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a generation of :data:`~glacier_jobs.history.generations.JOBS_LATEST`."""
        with Engine() as engine:
            # With the newest aggregated day: a reader may have searched for the days before this one was written.
            since = None if self._folded is None else midnight(self._folded)
            self.register_history(engine, since, columns=JOB_LIFECYCLES.names)
            yield from engine.stream(statement("history/jobs_latest"), JOBS_LATEST, made_at=self.now)

    def _register_newest(self, engine: Engine, columns: list[str]) -> None:
        observation_ids = self._newest_listings["observation_id"].unique().to_pylist()
        engine.register(
            newest_listings=self._newest_listings, jobs=self._open_rows.newest_jobs(observation_ids, columns=columns)
        )

    @cached_property
    def _folded(self) -> date | None:
        return self.history.last_folded_day(until=None if self.as_of is None else last_finalized_day(self.as_of))

    @cached_property
    def _state(self) -> State:
        return State(open_jobs=self.history.open_jobs(self._folded), vault_listings=self._carried_listings)

    @cached_property
    def _carried_listings(self) -> pa.Table:
        return self.history.open_vault_listings(self._folded)

    @cached_property
    def _open_listings(self) -> pa.Table:
        return self._open_rows.vault_listings(carried=self._carried_listings)

    @cached_property
    def _open_rows(self) -> ObservationRows:
        return self._rows(self._open_observation_ids)

    def _rows(self, observation_ids: list[str]) -> ObservationRows:
        return ObservationRows(
            dataset=self.dataset,
            partials=self.history.partials,
            observation_ids=observation_ids,
            found=self._partials,
        )

    @cached_property
    def _partials(self) -> list[Partial]:
        return self.history.partials.find(since=_day_after(self._folded))

    @cached_property
    def _open_observation_ids(self) -> list[str]:
        return self._observation_ids(since=_day_after(self._folded))

    def _observation_ids(self, *, since: date | None = None, until: date | None = None) -> list[str]:
        """Return the ids of the committed observations that count, as :meth:`Dataset.observation_ids` does."""
        if self.as_of is None:
            return self.dataset.observation_ids(since=since, until=until)
        last = self.as_of.date() if until is None else min(until, self.as_of.date())
        found = self.dataset.observation_ids(since=since, until=last)
        finalized = last_finalized_day(self.as_of)
        return [each for each in found if snapshot_date(each) <= finalized or each in self._published_lately]

    @cached_property
    def _published_lately(self) -> frozenset[str]:
        """The ids of the observations of the days not finalized by :attr:`as_of` that were published until then."""
        assert self.as_of is not None  # noqa: S101 - for the type checker
        since = last_finalized_day(self.as_of) + _DAY
        observation_ids = self.dataset.observation_ids(since=since, until=self.as_of.date())
        until_then = pc.field("published_at") <= self.as_of
        published = self.dataset.read(
            "observations", observation_ids, columns=["observation_id", "published_at"], where=until_then
        )
        return frozenset(published.read_all()["observation_id"].to_pylist())

    @cached_property
    def newest_at(self) -> datetime | None:
        """When the newest committed observation began, to the second; ``None`` if there is none."""
        if self._open_observation_ids:
            return max(map(moment_of, self._open_observation_ids))
        return None if self._folded is None else self.dataset.newest_observation_at(until=self._folded)

    @cached_property
    def newest_by_target(self) -> dict[tuple[str, str], datetime]:
        """(account id, Region) -> when its newest observation began.

        A target is included if it was observed within :data:`~glacier_jobs.alerts.attention.GAP_DAYS`, or on the day of
        the newest observation of the dataset, or if it has vaults.
        """
        if self.newest_at is None:
            return {}
        since = min(self.newest_at, self.now - timedelta(days=GAP_DAYS)).date()
        aggregated = [] if self._folded is None else self._observation_ids(since=since, until=self._folded)
        carried = sorted(self._carried_listings["observation_id"].to_pylist())
        # Of one target, the ids are sorted by moment, and each list has later ones: the last is its newest.
        newest = {target_of(each): each for each in [*carried, *aggregated, *self._open_observation_ids]}
        vaults = self._newest_listings
        with_vaults = set(zip(vaults["account_id"].to_pylist(), vaults["region"].to_pylist(), strict=True))
        return {
            target: moment_of(each)
            for target, each in newest.items()
            if snapshot_date(each) >= since or target in with_vaults
        }

    @cached_property
    def _newest_listings(self) -> pa.Table:
        return newest_listings(self._open_rows, self._open_observation_ids, self._carried_listings)

    @cached_property
    def _latest_jobs(self) -> pa.Table:
        with Engine() as engine:
            self._register_newest(engine, _LATEST_COLUMNS)
            return engine.query(statement("latest_jobs"), now=self.now)

    @cached_property
    def _open_history(self) -> pa.Table:
        """One row a job that was not closed on an aggregated day, with its outcome."""
        folded = self._fold_open_days()
        # The rows that were read are as large as the result. Without this, Arrow keeps their memory.
        pa.default_memory_pool().release_unused()
        with Engine() as engine:
            engine.register(
                lifecycles=folded.lifecycles.drop_columns("closed"), vault_listings=folded.open_vault_listings
            )
            del folded
            return engine.query(statement("history/outcomes"), newest_at=self.newest_at)

    def _fold_open_days(self) -> Folded:
        summary = Summary(jobs=self._open_rows.job_summaries(), vault_listings=self._open_listings)
        if self._folded is None:
            return fold(self._state, summary)
        return fold_from(self.history, self._state, summary, self._folded + _DAY)


def _day_after(day: date | None) -> date | None:
    return None if day is None else day + _DAY
