"""The checks of arguments that operators, sensors and triggers share."""

from __future__ import annotations

import ast
import contextlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeGuard

from glacier_jobs.errors import InvalidArgument

#: The Airflow Variable that says whether the params of a run may choose connections and destinations.
ALLOW_PARAMS_VARIABLE = "glacier_jobs_allow_params"

_SWITCH = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}

#: With these, a template of Airflow begins.
TEMPLATE_MARKS = ("{{", "{%", "{#")

#: Matches ``login:password``, what precedes the host in a URI, and URIs of a form that is not accepted.
_CREDENTIALS = re.compile(r"@|\w:(?!//)\S|://.*[?#{\\]", re.DOTALL)

#: Matches an AWS access key id, and a text with the length and the characters of a secret access key.
_AWS_KEY = re.compile(r"(?<![A-Za-z0-9/+])(?:A[KS]IA[A-Z0-9]{16}|[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])")
#: The longest time span that an argument may give. A time that lies much further in the future cannot be represented.
LONGEST_SECONDS = timedelta(days=3650).total_seconds()


def refuse_discarded(owner: str, keywords: Mapping[str, Any]) -> None:
    """Refuse a keyword that the provider's base class would accept and silently discard.

    :raises TypeError: names the correct keyword.
    """
    if "region" in keywords:
        raise TypeError(f"{owner} has no argument 'region'; use 'region_name'")


def checked_seconds(value: object, name: str, *, zero: bool = False) -> float:
    """Return a time span in seconds.

    :param value: a number of seconds, or a ``timedelta``; at most :data:`LONGEST_SECONDS`.
    :param name: the name of the argument in error messages.
    :param zero: whether 0 is allowed.
    :raises InvalidArgument: names what was found and what was expected.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and (seconds > 0 or (zero and seconds == 0))
        and seconds <= LONGEST_SECONDS
    ):
        return float(seconds)
    expected = f"a number of seconds {'of at least 0' if zero else 'above 0'}, or a timedelta; at most 3650 days"
    raise InvalidArgument(f"{name} is {shown(value)}; expected {expected}")


def checked_hours(value: object, name: str) -> float:
    """Return a number of hours from 0 to 24, for which Glacier keeps the output of a job.

    :param name: the name of the argument in error messages.
    :raises InvalidArgument: names what was found and what was expected.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 24:
        return float(value)
    raise InvalidArgument(f"{name} is {shown(value)}; expected a number of hours from 0 to 24")


def checked_count(value: object, name: str) -> int:
    """Return a whole number of at least 0.

    :param name: the name of the argument in error messages.
    :raises InvalidArgument: names what was found and what was expected.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise InvalidArgument(f"{name} is {shown(value)}; expected a whole number of at least 0")


def checked_rate(value: object, name: str) -> float | None:
    """Return a number of requests per second; ``None`` for no limit.

    :param value: a number, or a number rendered to text.
    :param name: the name of the argument in error messages.
    :raises InvalidArgument: names what was found and what was expected.
    """
    if value is None:
        return None
    number: object = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            number = float(value)
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) and number > 0:
        return float(number)
    raise InvalidArgument(f"{name} is {shown(value)}; expected a number above 0, or None for no limit")


def several(value: object, name: str) -> list[str]:
    """Return the texts of an argument: one text, a list, a lazy sequence from XCom, or a list rendered to text.

    :param name: the name of the argument in error messages.
    :return: the texts in their order, without duplicates.
    :raises InvalidArgument: names what was found and what was expected.
    """
    expected = f"{name} is {shown(value)}; expected one text or a list of texts"
    if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
        # A list that Jinja rendered to text; a name or an id never begins like this.
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            # Without the cause: a syntax error shows the text, which may hold a secret.
            raise InvalidArgument(expected) from None
    items: list[object] | None = [value] if isinstance(value, str) else whole(value) if _is_collection(value) else None
    texts = [item.strip() for item in items or [] if isinstance(item, str) and item.strip()]
    if items is None or len(texts) != len(items):
        raise InvalidArgument(expected)
    if not texts:
        raise InvalidArgument(f"{name} is empty; expected at least one")
    return list(dict.fromkeys(texts))


def whole(values: Iterable[object]) -> list[object]:
    """Return all items. Those of a lazy sequence from XCom are read by one request, and not by one for each."""
    return list(values[:] if isinstance(values, Sequence) else values)


def _is_collection(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def params_allowed(setting: str | None) -> bool:
    """Return whether the params of a run may choose connections and destinations.

    :param setting: the value of the Variable :data:`ALLOW_PARAMS_VARIABLE`; ``None`` if it is not set: they may.
    :raises InvalidArgument: names what was found and what was expected.
    """
    return switched_on(setting, ALLOW_PARAMS_VARIABLE)


def switched_on(setting: str | None, variable: str) -> bool:
    """Return whether an Airflow Variable leaves something switched on.

    :param setting: the value of the Variable; ``None`` if it is not set: it does.
    :param variable: the name of the Variable in error messages.
    :raises InvalidArgument: names what was found and what was expected.
    """
    if setting is None:
        return True
    found = _SWITCH.get(setting.strip().lower())
    if found is None:
        raise InvalidArgument(f"the Variable {variable} is {shown(setting)}; expected one of {', '.join(_SWITCH)}")
    return found


def check_params_allowed(given: Mapping[str, object], setting: str | None) -> None:
    """Refuse params that choose a connection or a destination, if the deployment does not allow them.

    :param given: the params by name; those that are ``None`` were not given.
    :param setting: as in :func:`params_allowed`.
    :raises InvalidArgument: names the params that were given.
    """
    named = [name for name, value in given.items() if value is not None]
    if not params_allowed(setting) and named:
        raise InvalidArgument(
            f"the run gives the params {', '.join(named)}, which the Variable {ALLOW_PARAMS_VARIABLE} switches off; "
            "trigger the DAG without them"
        )


def shown(value: object) -> str:
    """Return a value as an error message may show it: shortened, and without what may be a secret."""
    text = repr(value)
    if _CREDENTIALS.search(text) or is_aws_key(text):
        return f"a text of {len(text)} characters (not shown: it may hold a secret)"
    return text if len(text) <= 200 else f"{text[:200]}…"


def is_aws_key(text: str) -> bool:
    """Return whether a text contains what looks like an AWS access key id or a secret access key."""
    return _AWS_KEY.search(text) is not None
