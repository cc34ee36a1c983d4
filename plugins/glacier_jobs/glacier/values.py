"""Values as the service sends them, converted to Arrow arrays. What does not fit its column is kept as an odd value."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import NoneType
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.schema import UTC_MICROSECONDS
from glacier_jobs.errors import MalformedAnswer

#: Returns the name of one row in messages: "vault photos, job HkF9…"
RowName: TypeAlias = Callable[[int], str]

#: AWS's name of a field, or the names of an object and of a field in it.
Field: TypeAlias = tuple[str, ...]

CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class OddCounts:
    """How many values of each field did not fit their columns, by AWS's name, and what was wrong with the first."""

    by_field: Mapping[str, int]
    first: str | None = None

    def __add__(self, other: OddCounts) -> OddCounts:
        return OddCounts(by_field=Counter(self.by_field) + Counter(other.by_field), first=self.first or other.first)

    def message(self, consequence: str) -> str | None:
        """Return a message with the numbers and the first value; ``None`` if there is no odd value.

        :param consequence: what becomes of the values: "kept in the column extra".
        """
        if not self.by_field:
            return None
        total = sum(self.by_field.values())
        fields = ", ".join(f"{field} ({count})" for field, count in sorted(self.by_field.items()))
        return f"{total} values are not as AWS documents them and are {consequence}: {fields}. The first: {self.first}"


NO_ODD_VALUES = OddCounts(by_field={})


class OddValues:
    """Collects the values of some rows that do not fit their columns.

    :param row_name: returns the name of a row in messages.
    """

    def __init__(self, row_name: RowName) -> None:
        self._row_name = row_name
        self._count: Counter[str] = Counter()
        self._first: str | None = None
        self.by_row: dict[int, dict[Field, Any]] = {}

    def add(self, row: int, field: Field, value: object, error: Exception) -> None:
        """Add the value of a field, and why it does not fit."""
        self.by_row.setdefault(row, {})[field] = value
        name = encodable(".".join(field))
        self._count[name] += 1
        self._first = self._first or f"{self._row_name(row)}: {name} is {shortened(value)}; {error}"

    def counts(self) -> OddCounts:
        """Return how many values there are."""
        return OddCounts(by_field=dict(self._count), first=self._first)


def shortened(value: object) -> str:
    """Return a value for a message."""
    try:
        text = ascii(value)
    except RecursionError:
        return "a value that is nested too deeply"
    return text if len(text) <= 200 else f"{text[:200]}…"


def encodable(text: str) -> str:
    r"""Return a text that can be encoded as UTF-8: a lone surrogate becomes the six characters of its escape.

    ``\ud800`` is a lone surrogate. The service's JSON can contain it; Parquet and DuckDB's JSON cannot.
    """
    return text.encode(errors="backslashreplace").decode()


def json_text(value: object) -> str | None:
    """Return a value as JSON text; ``None`` for null.

    :raises ValueError: the text cannot be encoded, or the value has a number that is not finite.
    :raises RecursionError: the value is nested too deeply.
    """
    if value is None:
        return None
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def any_json_text(value: object) -> str | None:
    """Return a value as JSON text as :func:`json_text` does, with a text in place of what JSON text cannot contain.

    :raises RecursionError: the value is nested too deeply.
    """
    try:
        return json_text(value)
    except ValueError:
        return json_text(_replaced(value))


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_replaced(each) for each in value]
    if isinstance(value, dict):
        return {encodable(name): _replaced(each) for name, each in value.items()}
    return value


def _whole_number(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        number = int(value)
    else:
        raise ValueError("expected a whole number")
    if not -(2**63) <= number < 2**63:
        raise ValueError("expected a whole number that fits in 64 bits")
    return number


def _text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected text that can be encoded as UTF-8") from None
    return value


def _boolean(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise TypeError("expected true or false")


_ISO_8601 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")


def _utc_text(value: object) -> str | None:
    """Return a date in the form that Arrow reads; the service's dates are in UTC, with or without a time zone."""
    if value is None:
        return None
    match = _ISO_8601.fullmatch(value) if isinstance(value, str) else None
    expected = "expected an ISO 8601 date and time such as 2012-05-01T00:00:06.663Z"
    if match is None:
        raise ValueError(expected)
    second, fraction, offset = match.groups()
    text = f"{second}.{(fraction or '0')[:6]}{offset or 'Z'}"
    try:
        _timestamps([text])
    except pa.ArrowException as error:
        raise ValueError(expected) from error
    return text


_FIRST_MICROSECOND = pa.scalar(datetime.min.replace(tzinfo=timezone.utc), UTC_MICROSECONDS).value
_LAST_MICROSECOND = pa.scalar(datetime.max.replace(tzinfo=timezone.utc), UTC_MICROSECONDS).value


def _timestamps(values: Sequence[Any]) -> pa.Array:
    """Convert dates and times. Arrow can hold moments that Python, and with it each reader of rows, cannot."""
    array = pa.array(values, pa.string()).cast(UTC_MICROSECONDS)
    limits = pc.min_max(array.view(pa.int64())).as_py()
    if limits["min"] is not None and not _FIRST_MICROSECOND <= limits["min"] <= limits["max"] <= _LAST_MICROSECOND:
        raise OverflowError("expected a date and time between the years 1 and 9999 in UTC")
    return array


_CHECKS: Mapping[pa.DataType, Callable[[object], Any]] = {
    pa.string(): _text,
    pa.int64(): _whole_number,
    pa.bool_(): _boolean,
    UTC_MICROSECONDS: _utc_text,
}


_WHOLE_NUMBER_OR_NULL = frozenset({int, NoneType})


def _array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    if data_type == UTC_MICROSECONDS:
        return _timestamps(values)
    # Arrow would drop fractions silently, and take true for 1.
    if data_type == pa.int64() and not _WHOLE_NUMBER_OR_NULL.issuperset(map(type, values)):
        raise TypeError("found other values than whole numbers")
    return pa.array(values, data_type)


def column(values: Sequence[Any], data_type: pa.DataType, field: Field, odd: OddValues) -> pa.Array:
    """Convert values as AWS sent them to a column: all at once, or one by one if one of them does not fit.

    :param odd: receives the values that do not fit. They are null in the column.
    """
    try:
        return _array(values, data_type)
    except CONVERSION_ERRORS:
        return _array(fitting(values, _CHECKS[data_type], field, odd), data_type)


def required_text(values: Sequence[Any], field: str, row_name: RowName) -> pa.Array:
    """Convert the texts of a field that is never missing.

    :raises MalformedAnswer: names the row and the field, what was found and what was expected.
    """
    odd = OddValues(row_name)
    array = column(values, pa.string(), (field,), odd)
    if first := odd.counts().first:
        raise MalformedAnswer(first)
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise MalformedAnswer(f"{row_name(row)}: {field} is missing; expected text")
    return array


def fitting(values: Sequence[Any], check: Callable[[Any], Any], field: Field, odd: OddValues) -> list[Any]:
    """Return what a check returns for each value; ``None`` for those that it refuses, which are added to ``odd``."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(check(value))
        except CONVERSION_ERRORS as error:
            odd.add(row, field, value, error)
            found.append(None)
    return found
