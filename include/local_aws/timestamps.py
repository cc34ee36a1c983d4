"""How AWS writes a moment: ISO 8601, UTC, milliseconds and ``Z``."""

import re
from datetime import datetime, timedelta, timezone

_ISO = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?")


def write(moment: datetime) -> str:
    """A moment as Glacier writes it, such as ``2012-05-01T00:00:06.663Z``."""
    utc = moment.astimezone(timezone.utc)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def read(text: str) -> datetime:
    """The aware UTC moment that an ISO 8601 text names; a text without an offset is taken as UTC.

    :raises ValueError: names the text.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"not an ISO 8601 moment: {text!r}")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    local = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, timezone.utc
    )
    if offset in (None, "Z"):
        return local
    sign = -1 if offset[0] == "-" else 1
    return local - sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))


def to_milliseconds(moment: datetime) -> datetime:
    """The moment cut to the milliseconds that Glacier writes, so that it reads back as the same moment."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
