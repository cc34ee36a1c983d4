"""The questions: each is an SQL file below ``sql/``, whose header describes grain, columns and units.

All times are in UTC, and only committed observations are read. The questions about the newest listings read only the
files of the observations that they need. The questions about history and coverage read the aggregated days
(:mod:`glacier_jobs.history.store`), one or two files for each day, partial aggregates of the days after them
(:mod:`glacier_jobs.history.partials`), and the raw files of the observations that these do not show. Without
aggregated days, they read all days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.history.fold import JOB_LIFECYCLES
from glacier_jobs.history.store import History
from glacier_jobs.reports.arguments import checked
from glacier_jobs.reports.tables import MEASURES, ReportTables
from glacier_jobs.sql.engine import Engine, shared_database, statement

#: Argument -> value, with the types that a question's SQL expects.
_Arguments = Mapping[str, Any]

#: In place of the default of an argument that must be given.
REQUIRED = "required"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question and its arguments.

    :param tables: registers the tables that the SQL names.
    :param defaults: argument -> default value. A time span means that long before the present. An argument with
        :data:`REQUIRED` must be given.
    """

    tables: Callable[[ReportTables, Engine, _Arguments], None]
    defaults: Mapping[str, float | str | timedelta | None] = field(default_factory=dict)


def _newest_jobs(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_newest_jobs(engine)


def _latest_jobs(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_latest_jobs(engine)


def _failed_jobs(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    # One more day, because the clocks of AWS and of the observers can differ.
    since = tables.now - timedelta(hours=arguments["hours"], days=1)
    tables.register_history(engine, since, columns=JOB_LIFECYCLES.names)


def _vault_listings(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_vault_listings(engine, arguments["since"], arguments["until"])


def _vault_listings_until_now(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_vault_listings(engine, arguments["since"], tables.now)


def _one_job(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_job(engine, arguments["vault_arn"], arguments["job_id"], arguments["since"], arguments["until"])


def _whole_history(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_history(engine, arguments["since"], columns=JOB_LIFECYCLES.names)


def _described_history(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_history(engine, arguments["since"], columns=[*MEASURES, "job_description"])


def _history(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    tables.register_history(engine, arguments["since"])


def _whole_history_and_outputs(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    since = arguments["since"]
    # An output expires 24 hours after its job completed.
    since = None if since is None else since - timedelta(days=1)
    tables.register_history(engine, since, columns=JOB_LIFECYCLES.names)
    tables.register_expiring_outputs(engine)


def _history_and_the_day_before(tables: ReportTables, engine: Engine, arguments: _Arguments) -> None:
    # A job counts for 24 hours after it completed.
    tables.register_history(engine, arguments["since"] - timedelta(days=1))


_NOW = timedelta()

#: The wave in a job's description: the text up to the number after the first "wave", "batch", "phase" or "tranche";
#: without one, the text before the first digit, without separators at its end.
_WAVE = r"(?i)^(?:.*?[^a-z])??(?:wave|batch|phase|tranche)[\s_#.:-]*\d+|^\D*[^\d\s_#.,:;/|(\[-]"

#: Name -> question about the dataset as a whole; none requires arguments.
QUESTIONS: Mapping[str, Question] = {
    "latest_jobs": Question(tables=_newest_jobs),
    "latest_targets": Question(tables=_latest_jobs),
    "latest_vaults": Question(tables=_latest_jobs),
    "expiring_outputs": Question(tables=_latest_jobs, defaults={"within_hours": None}),
    "expired_outputs": Question(tables=_whole_history_and_outputs, defaults={"since": None, "until": None}),
    "slower_than_typical": Question(
        tables=_latest_jobs,
        defaults={
            "expedited_minutes": 5,
            "standard_hours": 5,
            "bulk_hours": 12,
            "expedited_max_bytes": 250 * 1024 * 1024,
        },
    ),
    "failures": Question(tables=_failed_jobs, defaults={"hours": 24}),
    "unlisted_vaults": Question(tables=_vault_listings_until_now, defaults={"since": timedelta(days=7)}),
    "coverage": Question(tables=_vault_listings, defaults={"since": timedelta(days=31), "until": _NOW}),
    "job_history": Question(tables=_whole_history, defaults={"since": None, "until": None}),
    "retrieval_times": Question(tables=_history, defaults={"since": None, "until": None}),
    "retrieval_times_by_region": Question(tables=_history, defaults={"since": None, "until": None}),
    "retrieval_times_by_vault": Question(tables=_history, defaults={"since": None, "until": None}),
    "waves": Question(
        tables=_described_history, defaults={"pattern": _WAVE, "prefix": None, "since": None, "until": None}
    ),
    "daily_volume": Question(tables=_history, defaults={"since": None, "until": None}),
    "jobs_over_time": Question(
        tables=_history_and_the_day_before, defaults={"since": timedelta(days=14), "until": _NOW}
    ),
}

#: Name -> question that searches for certain jobs.
LOOKUPS: Mapping[str, Question] = {
    "job_counts": Question(tables=_latest_jobs),
    "found_jobs": Question(
        tables=_latest_jobs,
        defaults={
            "account_ids": None,
            "regions": None,
            "vault_names": None,
            "actions": None,
            "tiers": None,
            "status_codes": None,
            "text": None,
            "sort": "creation_date",
            "descending": True,
            "offset": 0,
            "row_limit": None,
        },
    ),
    "job_observations": Question(
        tables=_one_job,
        defaults={"vault_arn": REQUIRED, "job_id": REQUIRED, "since": timedelta(days=3), "until": _NOW},
    ),
}


def run(name: str, dataset_uri: str | Dataset, *, history_uri: str | History | None = None, **params: Any) -> pa.Table:
    """Answer one question.

    Example::

        from glacier_jobs import reports

        failures = reports.run("failures", "s3://aws_archive@my-bucket/glacier", hours=72)
        for failure in failures.to_pylist():
            print(failure["vault_name"], failure["job_id"], failure["status_message"])

    :param name: one of :data:`QUESTIONS` or :data:`LOOKUPS`.
    :param dataset_uri: the dataset's root, ``file:///…`` or ``s3://conn_id@bucket/…``; or an open dataset.
    :param history_uri: the root of the aggregated days; ``None`` for that of the dataset.
    :param params: the arguments of the question, described in the header of its SQL file; and ``now``, an aware
        datetime in place of the present time. Only observations that were published until then count. ``since`` and
        ``until`` are dates or aware datetimes, or either as text in ISO 8601.
    :return: the answer, as the header of the question's SQL file describes it. Without rows, it still has all columns.
    :raises InvalidArgument: there is no such question or argument, or a value is not valid; the message names what is
        allowed.
    :raises OSError: the dataset cannot be read; the message names the file. It is a
        :class:`~glacier_jobs.errors.MalformedFile` if the content of the file is not as expected.
    """
    now = params.pop("now", None)
    return Inquiry.into(dataset_uri, history_uri=history_uri, now=now).ask(name, **params)


@dataclass(frozen=True)
class Inquiry:
    """Several questions about the state at the same time. Data that several of them need is read once.

    Example::

        inquiry = Inquiry.into("s3://aws_archive@my-bucket/glacier")
        expiring = inquiry.ask("expiring_outputs", within_hours=6)
        slow = inquiry.ask("slower_than_typical")
    """

    tables: ReportTables

    @classmethod
    def into(
        cls, dataset_uri: str | Dataset, *, history_uri: str | History | None = None, now: datetime | None = None
    ) -> Inquiry:
        """Open a dataset for questions; arguments and errors are those of :func:`run`."""
        if now is not None and (not isinstance(now, datetime) or now.tzinfo is None):
            raise InvalidArgument(f"now is {now!r}; expected a datetime with a time zone")
        dataset, present = _opened(dataset_uri), datetime.now(timezone.utc)
        if history_uri is None or isinstance(history_uri, History):
            history = history_uri or History.beside(dataset)
        else:
            history = History.beside(_opened(history_uri, "history_uri"))
        moment = (now or present).astimezone(timezone.utc)
        return cls(ReportTables(dataset, history, moment, as_of=moment if moment < present else None))

    def ask(self, name: str, **params: Any) -> pa.Table:
        """Answer one question; arguments and errors are those of :func:`run`."""
        question = QUESTIONS.get(name) or LOOKUPS.get(name)
        if question is None:
            raise InvalidArgument(f"there is no question {name!r}; expected one of {', '.join([*QUESTIONS, *LOOKUPS])}")
        if unknown := params.keys() - question.defaults.keys():
            raise InvalidArgument(
                f"{name} has no argument {', '.join(sorted(unknown))}; it has {', '.join([*question.defaults, 'now'])}"
            )
        arguments = {
            argument: self._checked(argument, params.get(argument, default), default)
            for argument, default in question.defaults.items()
        }
        with shared_database(), Engine() as engine:
            question.tables(self.tables, engine, arguments)
            sql = statement(name)
            return engine.query(sql, **arguments, **({"now": self.tables.now} if "$now" in sql else {}))

    def _checked(self, argument: str, value: object, default: object) -> Any:
        """Return an argument, checked and converted to the type that the SQL expects."""
        if value is None and default is None:
            return None
        if isinstance(value, timedelta) and value is default:
            return self.tables.now - value
        if value is REQUIRED:
            raise InvalidArgument(f"{argument} must be given")
        return checked(argument, value)


def _opened(given: str | Dataset, name: str = "dataset_uri") -> Dataset:
    if isinstance(given, Dataset):
        return given
    # Imported here: only opening a URI needs Airflow.
    from glacier_jobs.dataset.storage import open_dataset

    return open_dataset(given, name)
