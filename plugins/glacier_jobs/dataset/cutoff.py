"""When a UTC day is finalized: from then on, no observation is added to it.

History aggregates whole days. So the writers of observations and the aggregation must agree on the end of a day: an
observation belongs to the day on which it began, and is published before that day is finalized, or never.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

from glacier_jobs.errors import DayClosed

#: How long after midnight UTC a day is finalized. It is longer than the six hours that a try of the snapshot DAG may
#: take, so that a try that began a second before midnight can still publish.
CLOSES_AFTER = timedelta(hours=7)

#: The minimum time from the finalization of a day to its aggregation. By then, files that passed the check at the last
#: second have arrived. It also allows for differences between the clocks of the machines.
SETTLES_AFTER = timedelta(minutes=30)

_DAY = timedelta(days=1)


def midnight(day: date) -> datetime:
    """Return the beginning of a UTC day."""
    return datetime.combine(day, time(), timezone.utc)


def closes_at(day: date) -> datetime:
    """Return when a UTC day is finalized; from then on, no observation of this day is published."""
    return midnight(day) + _DAY + CLOSES_AFTER


def refuse_closed_day(observation_id: str, day: date, now: datetime) -> None:
    """Refuse an observation whose day is finalized.

    :param day: the UTC date on which the observation began.
    :raises DayClosed: names the observation, its day, and when that day was finalized.
    """
    if now >= closes_at(day):
        raise DayClosed(
            f"{observation_id} belongs to {day}, which was finalized at {closes_at(day):%Y-%m-%dT%H:%MZ}; it is now "
            f"{now:%Y-%m-%dT%H:%MZ}, and the history of that day may be written already. The observation was not "
            "published; make a new one"
        )


def last_finalized_day(now: datetime) -> date:
    """Return the newest UTC day that is finalized: all its observations were published before ``now``."""
    return (now.astimezone(timezone.utc) - CLOSES_AFTER - _DAY).date()


def last_settled_day(now: datetime) -> date:
    """Return the newest UTC day that can be aggregated."""
    return last_finalized_day(now - SETTLES_AFTER)
