from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from local_aws.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_a_clock_of_speed_zero_stands_still_until_it_is_advanced() -> None:
    clock = Clock(NOON, speed=0)
    assert clock.now() == NOON
    clock.advance(3600)
    assert clock.now() == NOON + timedelta(hours=1)


def test_a_clock_runs_as_many_times_faster_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    clock = Clock(NOON, speed=3600)
    seconds += 2
    assert clock.now() == NOON + timedelta(hours=2)


def test_changing_the_speed_does_not_make_the_clock_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    clock = Clock(NOON, speed=3600)
    seconds += 1
    clock.set(clock.now(), speed=1)
    seconds += 1
    assert clock.now() == NOON + timedelta(hours=1, seconds=1)


def test_only_setting_a_clock_takes_it_back() -> None:
    clock = Clock(NOON, speed=0)
    with pytest.raises(ValueError, match="cannot advance by -1"):
        clock.advance(-1)
    clock.set(NOON - timedelta(days=1))
    assert clock.now() == NOON - timedelta(days=1)


def test_a_clock_without_a_start_shows_the_time_of_day() -> None:
    assert abs(Clock().now() - datetime.now(timezone.utc)) < timedelta(seconds=10)


def test_a_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="speed is -1"):
        Clock(NOON, speed=-1)
