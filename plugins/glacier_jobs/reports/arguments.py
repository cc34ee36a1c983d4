"""The arguments of the questions: checked, and converted to the types of their SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from typing import Any

import duckdb

from glacier_jobs.dataset.cutoff import midnight
from glacier_jobs.errors import InvalidArgument, MalformedAnswer
from glacier_jobs.glacier.identifiers import VaultArn
from glacier_jobs.sql.engine import Engine

#: The columns by which ``found_jobs`` can be sorted.
SORTABLE = (
    "account_id", "region", "vault_name", "vault_arn", "job_id", "action", "tier", "status_code", "status_message",
    "job_description", "archive_id", "creation_date", "completion_date", "running_seconds", "expires_at", "bytes",
    "as_of",
)  # fmt: skip

#: A century: a time this long before or after the present is still in the range of ``datetime``.
_MAX_HOURS = 876_600

#: The limits of times. They leave a margin, because the tables also need times before and after the given ones.
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(9000, 1, 1, tzinfo=timezone.utc)


def _moment(argument: str, value: object) -> datetime:
    given = value
    if isinstance(given, str):
        try:
            # Python 3.10 does not parse the suffix Z.
            given = datetime.fromisoformat(given[:-1] + "+00:00" if given.endswith("Z") else given)
        except ValueError:
            given = None
        if given is not None and len(str(value)) == len("2026-11-22"):
            given = given.date()
    if isinstance(given, datetime):
        if given.tzinfo is not None and _FIRST < given < _LAST:
            return given.astimezone(timezone.utc)
    elif isinstance(given, date) and _FIRST < midnight(given) < _LAST:
        return midnight(given)
    raise InvalidArgument(
        f"{argument} is {value!r}; expected a date, or a date and time with a time zone, from {_FIRST:%Y} to {_LAST:%Y}"
    )


def _number(argument: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise InvalidArgument(f"{argument} is {value!r}; expected a number of at least 0")


def _hours(argument: str, value: object) -> float:
    hours = _number(argument, value)
    if hours > _MAX_HOURS:
        raise InvalidArgument(f"{argument} is {value!r}; expected at most {_MAX_HOURS:,}")
    return hours


def _is_text(value: object) -> bool:
    # A lone surrogate is not valid in UTF-8; DuckDB has an error of its own for it.
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _text(argument: str, value: object) -> str:
    if isinstance(value, str) and _is_text(value):
        return value
    raise InvalidArgument(f"{argument} is {value!r}; expected a text")


def _pattern(argument: str, value: object) -> str:
    pattern = _text(argument, value)
    try:
        with Engine() as engine:
            engine.query("SELECT regexp_matches('', $pattern)", pattern=pattern)
    except duckdb.InvalidInputException as error:
        raise InvalidArgument(
            f"{argument} is {value!r}; expected a regular expression as RE2 has it: {error}"
        ) from error
    return pattern


def _vault_arn(argument: str, value: object) -> str:
    try:
        return str(VaultArn.parse(_text(argument, value)))
    except MalformedAnswer as error:
        raise InvalidArgument(f"{argument}: {error}") from error


def _texts(argument: str, value: object) -> list[str]:
    if isinstance(value, list | tuple) and all(_is_text(each) for each in value):
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
    raise InvalidArgument(f"{argument} is {value!r}; expected a whole number of at least 0")


#: Argument -> its check; all others must be numbers.
_CHECKS: Mapping[str, Callable[[str, object], Any]] = {
    "since": _moment,
    "until": _moment,
    "hours": _hours,
    "within_hours": _hours,
    "vault_arn": _vault_arn,
    "job_id": _text,
    "text": _text,
    "pattern": _pattern,
    "prefix": _text,
    "sort": _sort,
    "descending": _flag,
    "offset": _whole_number,
    "row_limit": _whole_number,
    **dict.fromkeys(("account_ids", "regions", "vault_names", "actions", "tiers", "status_codes"), _texts),
}


def checked(argument: str, value: object) -> Any:
    """Return an argument's value, checked and converted to the type that the SQL expects.

    :raises InvalidArgument: names the argument, what was found and what was expected.
    """
    return _CHECKS.get(argument, _number)(argument, value)
