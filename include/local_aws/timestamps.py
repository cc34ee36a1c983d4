"""Timestamps in AWS's format: ISO 8601, UTC, with milliseconds and ``Z``."""

import re
from datetime import datetime, timedelta, timezone

_ISO = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?")


def isoformat(at: datetime) -> str:
    """Return a timestamp in Glacier's format, such as ``2012-05-01T00:00:06.663Z``."""
    utc = at.astimezone(timezone.utc)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def parse(text: str) -> datetime:
    """Parse an ISO 8601 timestamp and return an aware UTC datetime; without an offset, UTC is assumed.

    :raises ValueError: contains the text.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"not an ISO 8601 timestamp: {text!r}")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    local = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, timezone.utc
    )
    if offset in (None, "Z"):
        return local
    sign = -1 if offset[0] == "-" else 1
    return local - sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))


def to_milliseconds(at: datetime) -> datetime:
    """Truncate to milliseconds, the precision of Glacier, so that formatting and parsing give the same value."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
