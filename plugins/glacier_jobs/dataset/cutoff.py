"""When a UTC day is over for good: from then on nothing may be added to it.

History is folded from whole days. So a day must have an end that its writers and the folding agree on: an
observation belongs to the day on which it began, and is published before that day closes, or never.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

from glacier_jobs.errors import DayClosed

#: How long after midnight UTC a day closes. It is more than the six hours that a try of the snapshot DAG may take,
#: so that one begun a second before midnight still finds its day open.
CLOSES_AFTER = timedelta(hours=7)

#: How long after its close a day is folded at the earliest: what was let through in the last second has arrived by
#: then, and the machines' clocks need not agree to the second.
SETTLES_AFTER = timedelta(minutes=30)

_DAY = timedelta(days=1)


def midnight(day: date) -> datetime:
    """Return the moment at which a UTC day begins."""
    return datetime.combine(day, time(), timezone.utc)


def closes_at(day: date) -> datetime:
    """Return the moment from which on no observation of this UTC day is published."""
    return midnight(day) + _DAY + CLOSES_AFTER


def refuse_closed_day(observation_id: str, day: date, now: datetime) -> None:
    """Refuse an observation that comes too late for its day.

    :param day: the UTC date on which the observation began.
    :raises DayClosed: names the observation, its day and when that closed.
    """
    if now >= closes_at(day):
        raise DayClosed(
            f"{observation_id} belongs to {day}, which closed at {closes_at(day):%Y-%m-%dT%H:%MZ}: it is now "
            f"{now:%Y-%m-%dT%H:%MZ}, and the history of that day may be written already. It was not published; "
            "make a new observation"
        )


def last_settled_day(now: datetime) -> date:
    """Return the newest UTC day that can be folded."""
    return (now.astimezone(timezone.utc) - CLOSES_AFTER - SETTLES_AFTER - _DAY).date()
