"""The checks of arguments that operators, sensors and triggers share."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeGuard

from glacier_jobs.errors import InvalidArgument

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
    raise InvalidArgument(f"{name} is {_shortened(value)}; expected {expected}")


def several(value: object, name: str) -> list[str]:
    """Return the texts of an argument: one text, a list, a lazy sequence from XCom, or a list rendered to text.

    :param name: the name of the argument in error messages.
    :return: the texts in their order, without duplicates.
    :raises InvalidArgument: names what was found and what was expected.
    """
    expected = f"{name} is {_shortened(value)}; expected one text or a list of texts"
    if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
        # A list that Jinja rendered to text; a name or an id never begins like this.
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError) as error:
            raise InvalidArgument(expected) from error
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


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
