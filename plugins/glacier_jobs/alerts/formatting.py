"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import math
from datetime import datetime

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(size_in_bytes: float | None) -> str:
    """Write a number of bytes in the unit that keeps it short."""
    if size_in_bytes is None:
        return ""
    value, unit = float(size_in_bytes), 0
    while abs(value) >= 1024 and unit < len(_SIZES) - 1:
        value, unit = value / 1024, unit + 1
    return f"{_short(value)} {_SIZES[unit]}"


def duration(hours: float | None) -> str:
    """Write a time span given in hours in the one or two units that matter."""
    if hours is None:
        return ""
    minutes = round(abs(hours) * 60)
    sign = "-" if hours < 0 and minutes else ""
    if minutes < 60:
        return f"{sign}{minutes} min"
    if minutes < 48 * 60:
        return f"{sign}{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    return f"{sign}{minutes // 1440} d" + (f" {minutes % 1440 // 60} h" if minutes % 1440 // 60 else "")


def count(number: float) -> str:
    """Write a count with thousands apart."""
    return f"{number:,.0f}"


def share(part: float) -> str:
    """Write a share from 0 to 1 in percent, rounded down: only all is 100 %."""
    # 0.29 * 100 is a little less than 29.
    return f"{math.floor(round(part * 100, 9))} %"


def moment(at: datetime | None) -> str:
    """Write a UTC moment to the minute."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


def counted(number: int, thing: str) -> str:
    """Write how many there are: one job, 2 jobs."""
    return f"{count(number)} {thing}" + ("" if number == 1 else "s")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
