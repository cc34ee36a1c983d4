"""What the questions are asked of: the tables that their SQL names, with no more read than they need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.layout import Dataset, moment_of, snapshot_date, target_of
from glacier_jobs.dataset.schema import JOBS
from glacier_jobs.glacier.identifiers import VaultArn
from glacier_jobs.history.fold import BEGINNING, LIVES, SIGHT_COLUMNS, Folded, State, fold_looked, looks_of
from glacier_jobs.history.store import History, observed_between
from glacier_jobs.reports.latest import newest_listings
from glacier_jobs.sql.engine import Engine, statement

_DAY = timedelta(days=1)

#: Stands for vault and job id. The ids are long, and a year of them need not be held to tell one job from another.
_JOB_KEY = "md5_number(concat_ws(' ', vault_arn, job_id)) AS job_key"

#: What the questions about many jobs at once need of each.
_MEASURES = [
    "account_id", "region", "vault_name", "vault_arn", "action", "tier", "retrieval_byte_range", "creation_date",
    "completion_date", "archive_size_in_bytes", "inventory_size_in_bytes", "first_seen_at", "last_seen_at",
    "sightings", "fate", "as_of",
]  # fmt: skip

#: What the questions about the newest listings need of each job.
_LIVE_COLUMNS = [
    "observation_id", "observed_at", "account_id", "region", "vault_name", "vault_arn", "job_id", "job_description",
    "action", "tier", "archive_id", "status_code", "status_message", "creation_date", "completion_date",
    "archive_size_in_bytes", "inventory_size_in_bytes", "retrieval_byte_range",
]  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """The committed observations of a dataset and its folded history, as they were when first asked for.

    What several questions need is read once.

    :param now: the present time, an aware UTC datetime.
    """

    dataset: Dataset
    history: History
    now: datetime

    def give_newest_jobs(self, engine: Engine) -> None:
        """Give the tables ``newest_listings`` and ``jobs``: the newest listing of each vault, and what it showed."""
        self._give_newest(engine, JOBS.names)

    def give_latest_jobs(self, engine: Engine) -> None:
        """Give the tables ``newest_listings``, and ``latest_jobs`` without the columns nobody asks for."""
        engine.give(newest_listings=self._newest_listings, latest_jobs=self._latest_jobs)

    def give_failed_jobs(self, engine: Engine, since: datetime) -> None:
        """Give the table ``jobs``: the failed ones of every observation from a moment on."""
        observation_ids = self.dataset.observation_ids(since=since.date())
        failed = pc.field("status_code") == "Failed"
        engine.give(jobs=self.dataset.read("jobs", observation_ids, columns=_LIVE_COLUMNS, where=failed))

    def give_looks(self, engine: Engine, since: datetime, until: datetime) -> None:
        """Give the table ``looks``: those of a period, and before it the newest listing of each vault."""
        first, last = since.date(), until.date()
        before = self._newest_listings_before(first)
        folded = self._folded
        if folded is None or folded < first:
            observed = observed_between(self.dataset, self.dataset.observation_ids(since=first, until=last))
            made = looks_of(observed, before=State(open_jobs=BEGINNING.open_jobs, looks=before))
            engine.give(looks=pa.concat_tables([before, made]))
            return
        made = self.history.read("vault_looks", since=first, until=min(folded, last)).read_all()
        engine.give(looks=pa.concat_tables([before, made, *([self._open_looks_until(last)] if last > folded else [])]))

    def _newest_listings_before(self, day: date) -> pa.Table:
        folded = self.history.last_folded_day(until=day - _DAY)
        observation_ids = self.dataset.observation_ids(since=_day_after(folded), until=day - _DAY)
        return newest_listings(self.dataset, observation_ids, self.history.open_looks(folded))

    def _open_looks_until(self, last: date) -> pa.Table:
        made_by = pa.array([each for each in self._open_observation_ids if snapshot_date(each) <= last], pa.string())
        return self._open_looks.filter(pc.field("observation_id").isin(made_by))

    def give_sights(self, engine: Engine, vault_arn: str, job_id: str, since: datetime, until: datetime) -> None:
        """Give the table ``sights``: what the observations of a period say of one job."""
        arn = VaultArn.parse(vault_arn)
        observation_ids = [
            observation_id
            for observation_id in self.dataset.observation_ids(since=since.date(), until=until.date())
            if target_of(observation_id) == (arn.account_id, arn.region)
        ]
        this_job = (pc.field("vault_arn") == vault_arn) & (pc.field("job_id") == job_id)
        engine.give(sights=self.dataset.read("jobs", observation_ids, where=this_job))

    def give_history(self, engine: Engine, since: datetime | None, *, whole: bool) -> None:
        """Give the table ``history``: one row a job, of the folded days and of the raw files of the days after them.

        :param since: jobs that were closed before this may be left out.
        :param whole: with all columns, and not only those that are counted and measured.
        """
        columns = LIVES.names if whole else _MEASURES
        selected = f"SELECT {', '.join(columns)}, {_JOB_KEY} FROM"
        read = [*columns, *({"job_id"} - set(columns))]
        newest = self._open_days
        engine.give(open_days=pa.concat_tables([newest.closed, newest.state.open_jobs]), looks=newest.state.looks)
        engine.keep("folded", f"{selected} open_days")
        if self._folded is not None:
            first = None if since is None else since.date()
            engine.give(closed_days=self.history.read("job_history", since=first, until=self._folded, columns=read))
            engine.add("folded", f"{selected} closed_days")
        engine.keep("lives", statement("folding/once"))
        engine.keep("history", statement("folding/told"), newest_at=self.newest_at)

    def _give_newest(self, engine: Engine, columns: list[str]) -> None:
        observation_ids = sorted(set(self._newest_listings["observation_id"].to_pylist()))
        engine.give(
            newest_listings=self._newest_listings, jobs=self.dataset.read("jobs", observation_ids, columns=columns)
        )

    @cached_property
    def _folded(self) -> date | None:
        return self.history.last_folded_day()

    @cached_property
    def _carried_looks(self) -> pa.Table:
        return self.history.open_looks(self._folded)

    @cached_property
    def _state(self) -> State:
        return State(open_jobs=self.history.open_jobs(self._folded), looks=self._carried_looks)

    @cached_property
    def _open_looks(self) -> pa.Table:
        return looks_of(observed_between(self.dataset, self._open_observation_ids), before=self._state)

    @cached_property
    def _open_observation_ids(self) -> list[str]:
        return self.dataset.observation_ids(since=_day_after(self._folded))

    @cached_property
    def newest_at(self) -> datetime | None:
        """When the newest committed observation began, to the second; ``None`` where there is none."""
        newest = max(map(moment_of, self._open_observation_ids), default=None)
        return newest or self.dataset.newest_observation_at()

    @cached_property
    def _newest_listings(self) -> pa.Table:
        return newest_listings(self.dataset, self._open_observation_ids, self._carried_looks)

    @cached_property
    def _latest_jobs(self) -> pa.Table:
        with Engine() as engine:
            self._give_newest(engine, _LIVE_COLUMNS)
            return engine.ask(statement("latest_jobs"), now=self.now)

    @cached_property
    def _open_days(self) -> Folded:
        sights = self.dataset.read("jobs", self._open_observation_ids, columns=SIGHT_COLUMNS)
        return fold_looked(self._state, sights, self._open_looks)


def _day_after(day: date | None) -> date | None:
    return None if day is None else day + _DAY
