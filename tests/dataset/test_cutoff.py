from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from glacier_jobs.dataset.cutoff import (
    CLOSES_AFTER,
    SETTLES_AFTER,
    closes_at,
    last_settled_day,
    midnight,
    refuse_closed_day,
)
from glacier_jobs.errors import DayClosed, TransientError

DAY = date(2026, 11, 18)


def test_a_day_is_finalized_a_stated_time_after_its_last_midnight_in_utc() -> None:
    assert closes_at(DAY) == datetime(2026, 11, 19, 7, tzinfo=timezone.utc)
    assert closes_at(DAY) - midnight(DAY) == timedelta(days=1) + CLOSES_AFTER


def test_an_observation_is_accepted_until_its_day_is_finalized() -> None:
    refuse_closed_day("some id", DAY, closes_at(DAY) - timedelta(microseconds=1))

    with pytest.raises(DayClosed, match="some id belongs to 2026-11-18, which was finalized at 2026-11-19T07:00Z"):
        refuse_closed_day("some id", DAY, closes_at(DAY))
    # The next try makes another observation, of its own day.
    assert issubclass(DayClosed, TransientError)


@pytest.mark.parametrize("offset", [-11, 0, 14])
def test_a_day_is_settled_half_an_hour_after_it_was_finalized_in_any_time_zone(offset: int) -> None:
    settled = (closes_at(DAY) + SETTLES_AFTER).astimezone(timezone(timedelta(hours=offset)))

    assert last_settled_day(settled) == DAY
    assert last_settled_day(settled - timedelta(microseconds=1)) == DAY - timedelta(days=1)
