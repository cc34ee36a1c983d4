"""The checks of arguments that operators, sensors and triggers share."""

from __future__ import annotations

import ast
import contextlib
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeGuard

from glacier_jobs.errors import InvalidArgument


def refuse_discarded(owner: str, keywords: Mapping[str, Any]) -> None:
    """Refuse a keyword that the provider's base class would accept and silently discard.

    :raises TypeError: names the correct keyword.
    """
    if "region" in keywords:
        raise TypeError(f"{owner} has no argument 'region'; use 'region_name'")


def checked_seconds(value: object, name: str, *, zero: bool = False) -> float:
    """Return a time span in seconds.

    :param value: a number of seconds, or a ``timedelta``.
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
    ):
        return float(seconds)
    expected = f"a number of seconds {'of at least 0' if zero else 'above 0'}, or a timedelta"
    raise InvalidArgument(f"{name} is {_shortened(value)}; expected {expected}")


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
    raise InvalidArgument(f"{name} is {_shortened(value)}; expected a number above 0, or None for no limit")


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
    items: list[object] | None = [value] if isinstance(value, str) else list(value) if _is_collection(value) else None
    texts = [item.strip() for item in items or [] if isinstance(item, str) and item.strip()]
    if items is None or len(texts) != len(items):
        raise InvalidArgument(expected)
    if not texts:
        raise InvalidArgument(f"{name} is empty; expected at least one")
    return list(dict.fromkeys(texts))


def _is_collection(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
