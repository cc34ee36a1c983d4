"""Conversion of answers to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

import pyarrow as pa


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows, with times and dates as texts in ISO 8601, times in UTC with the suffix Z."""
    return [row(values) for values in table.to_pylist()]


def row(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row in the same form."""
    return {name: _value(value) for name, value in values.items()}


def moment(at: datetime | None) -> str | None:
    """Return a time as text in ISO 8601, in UTC with the suffix Z."""
    return None if at is None else at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    return value
