"""Dates and times as Glacier writes and accepts them. All pure."""

from __future__ import annotations

import re
from datetime import datetime

_ISO_8601 = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII)


def moment_of(value: object) -> datetime | None:
    """Return the time of an ISO 8601 text in UTC, such as ``2012-05-01T00:00:06.663Z`` or ``2012-05-01``.

    :return: an aware datetime; ``None`` for any other value. Without a time zone, UTC applies.
    """
    match = _ISO_8601.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    # Before Python 3.11, only this form can be read.
    zone = "+00:00" if zone in (None, "Z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ':00'}.{(fraction or '')[:6]:0<6}{zone}")
    except ValueError:
        return None
