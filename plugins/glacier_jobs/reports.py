"""Questions asked of the dataset: each is a file below ``sql/``, whose header says grain, columns and units.

::

    from glacier_jobs import reports
    reports.run("latest_jobs", "s3://conn_id@bucket/glacier")                  -> pyarrow.Table
    reports.run("failures", "file:///data/glacier", hours=72)

All is computed in UTC, over committed observations only. The live questions open no file but those of the
observations they need; the questions about history and about what was watched read the folded days
(:mod:`glacier_jobs.history`), a file or two a day, and the raw files of the days after them, which without folded days
are all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset import Dataset
from glacier_jobs.days import midnight
from glacier_jobs.engine import Engine, one_database, statement
from glacier_jobs.errors import InvalidArgument, MalformedAnswer
from glacier_jobs.history import History
from glacier_jobs.job import VaultArn
from glacier_jobs.sources import Sources

#: Argument -> value, as a question's SQL takes them.
_Arguments = Mapping[str, Any]

#: In place of a default: there is none.
REQUIRED = "required"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that can be asked.

    :param tables: gives the engine the tables that the SQL names.
    :param defaults: argument -> its value where it is not given. A time span counts back from the present. With
        :data:`REQUIRED`, it must be given.
    """

    tables: Callable[[Sources, Engine, _Arguments], None]
    defaults: Mapping[str, float | str | timedelta | None] = field(default_factory=dict)


def _latest_jobs(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_newest_jobs(engine)


def _of_latest_jobs(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_latest_jobs(engine)


def _failed_jobs(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_failed_jobs(engine, sources.now - timedelta(hours=arguments["hours"]))


def _looks(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_looks(engine, arguments["since"], arguments["until"])


def _looks_until_now(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_looks(engine, arguments["since"], sources.now)


def _one_job(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_sights(engine, arguments["vault_arn"], arguments["job_id"], arguments["since"], arguments["until"])


def _whole_history(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_history(engine, arguments["since"], whole=True)


def _history(sources: Sources, engine: Engine, arguments: _Arguments) -> None:
    sources.give_history(engine, arguments["since"], whole=False)


_NOW = timedelta()

#: The questions about the dataset as a whole, by their names: all can be asked without arguments.
QUESTIONS: Mapping[str, Question] = {
    "latest_jobs": Question(tables=_latest_jobs),
    "latest_vaults": Question(tables=_of_latest_jobs),
    "expiring_outputs": Question(tables=_of_latest_jobs, defaults={"within_hours": None}),
    "slower_than_typical": Question(
        tables=_of_latest_jobs,
        defaults={
            "expedited_minutes": 5,
            "standard_hours": 5,
            "bulk_hours": 12,
            "expedited_max_bytes": 250 * 1024 * 1024,
        },
    ),
    "failures": Question(tables=_failed_jobs, defaults={"hours": 24}),
    "unlisted_vaults": Question(tables=_looks_until_now, defaults={"since": timedelta(days=7)}),
    "coverage": Question(tables=_looks, defaults={"since": timedelta(days=31), "until": _NOW}),
    "job_history": Question(tables=_whole_history, defaults={"since": None, "until": None}),
    "retrieval_times": Question(tables=_history, defaults={"since": None, "until": None}),
    "daily_volume": Question(tables=_history, defaults={"since": None, "until": None}),
    "jobs_over_time": Question(tables=_history, defaults={"since": timedelta(days=14), "until": _NOW}),
}

#: The questions of somebody who looks for certain jobs, by their names.
LOOKUPS: Mapping[str, Question] = {
    "job_counts": Question(tables=_of_latest_jobs),
    "found_jobs": Question(
        tables=_of_latest_jobs,
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
    "job_sights": Question(
        tables=_one_job,
        defaults={"vault_arn": REQUIRED, "job_id": REQUIRED, "since": timedelta(days=3), "until": _NOW},
    ),
}

#: What ``found_jobs`` can be sorted by.
SORTABLE = (
    "account_id", "region", "vault_name", "vault_arn", "job_id", "action", "tier", "status_code", "status_message",
    "job_description", "archive_id", "creation_date", "completion_date", "running_seconds", "expires_at", "bytes",
    "as_of",
)  # fmt: skip


def run(name: str, dataset_uri: str | Dataset, *, history_uri: str | History | None = None, **params: Any) -> pa.Table:
    """Answer one question.

    :param name: one of :data:`QUESTIONS` or :data:`LOOKUPS`.
    :param dataset_uri: the dataset's root, ``file:///…`` or ``s3://conn_id@bucket/…``; or a dataset that is open.
    :param history_uri: where the folded days lie; ``None`` for the dataset's own root.
    :param params: the question's arguments, which its SQL file explains, and ``now``, an aware datetime that stands
        for the present. ``since`` and ``until`` are dates or aware datetimes, or either in ISO 8601.
    :return: the answer, as the header of the question's SQL file describes it; with its columns also where there is
        no row.
    :raises InvalidArgument: there is no such question, or it has no such argument; names those it has.
    :raises OSError: the dataset cannot be read; names the file that could not be, a
        :class:`~glacier_jobs.errors.MalformedFile` where it is not what it should be.
    """
    now = params.pop("now", None)
    return Inquiry.into(dataset_uri, history_uri=history_uri, now=now).ask(name, **params)


@dataclass(frozen=True)
class Inquiry:
    """Several questions asked at the same moment, which read once what they share."""

    sources: Sources

    @classmethod
    def into(
        cls, dataset_uri: str | Dataset, *, history_uri: str | History | None = None, now: datetime | None = None
    ) -> Inquiry:
        """Prepare to ask questions of a dataset; arguments and errors are those of :func:`run`."""
        if now is not None and (not isinstance(now, datetime) or now.tzinfo is None):
            raise InvalidArgument(f"now is {now!r}; expected a datetime with a time zone")
        dataset = _opened(dataset_uri)
        if history_uri is None or isinstance(history_uri, History):
            history = history_uri or History.beside(dataset)
        else:
            history = History.beside(_opened(history_uri))
        return cls(Sources(dataset, history, (now or datetime.now(timezone.utc)).astimezone(timezone.utc)))

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
        with one_database(), Engine() as engine:
            question.tables(self.sources, engine, arguments)
            sql = statement(name)
            return engine.ask(sql, **arguments, **({"now": self.sources.now} if "$now" in sql else {}))

    def _checked(self, argument: str, value: object, default: object) -> Any:
        """Return an argument as the SQL takes it."""
        if value is None and default is None:
            return None
        if isinstance(value, timedelta) and value is default:
            return self.sources.now - value
        if value is REQUIRED:
            raise InvalidArgument(f"{argument} must be given")
        return _CHECKS.get(argument, _number)(argument, value)


def _opened(dataset_uri: str | Dataset) -> Dataset:
    if isinstance(dataset_uri, Dataset):
        return dataset_uri
    # Airflow is needed to open a URI, and for nothing else here.
    from glacier_jobs.storage import open_dataset

    return open_dataset(dataset_uri)


#: A century before or after the present is still a moment.
_MOST_HOURS = 876_600

#: Between them, a day more or less is still a moment.
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(9000, 1, 1, tzinfo=timezone.utc)


def _moment(argument: str, value: object) -> datetime:
    given = value
    if isinstance(given, str):
        try:
            # Python 3.10 reads no Z.
            given = datetime.fromisoformat(given[:-1] + "+00:00" if given.endswith("Z") else given)
        except ValueError:
            given = None
        if given is not None and len(str(value)) == len("2026-11-22"):
            given = given.date()
    if isinstance(given, datetime):
        # What the sources look before and after it must be moments too.
        if given.tzinfo is not None and _FIRST < given < _LAST:
            return given.astimezone(timezone.utc)
    elif isinstance(given, date) and _FIRST < midnight(given) < _LAST:
        return midnight(given)
    raise InvalidArgument(
        f"{argument} is {value!r}; expected a date, or a date and time with a time zone, of {_FIRST:%Y} to {_LAST:%Y}"
    )


def _number(argument: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise InvalidArgument(f"{argument} is {value!r}; expected a number from 0 on")


def _hours(argument: str, value: object) -> float:
    hours = _number(argument, value)
    if hours > _MOST_HOURS:
        raise InvalidArgument(f"{argument} is {value!r}; expected at most {_MOST_HOURS:,}")
    return hours


def _text(argument: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise InvalidArgument(f"{argument} is {value!r}; expected a text")


def _vault_arn(argument: str, value: object) -> str:
    try:
        return str(VaultArn.parse(_text(argument, value)))
    except MalformedAnswer as error:
        raise InvalidArgument(f"{argument}: {error}") from error


def _texts(argument: str, value: object) -> list[str]:
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return list(value)
    raise InvalidArgument(f"{argument} is {value!r}; expected a list of texts")


def _sort(argument: str, value: object) -> str:
    if isinstance(value, str) and value in SORTABLE:
        return value
    raise InvalidArgument(f"{argument} is {value!r}; expected one of {', '.join(SORTABLE)}")


def _flag(argument: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidArgument(f"{argument} is {value!r}; expected True or False")


def _whole_number(argument: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    raise InvalidArgument(f"{argument} is {value!r}; expected a whole number from 0 on")


#: How an argument is checked where it is not any number.
_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "since": _moment,
    "until": _moment,
    "hours": _hours,
    "within_hours": _hours,
    "vault_arn": _vault_arn,
    "job_id": _text,
    "text": _text,
    "sort": _sort,
    "descending": _flag,
    "offset": _whole_number,
    "row_limit": _whole_number,
    **dict.fromkeys(("account_ids", "regions", "vault_names", "actions", "tiers", "status_codes"), _texts),
}
