from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from local_aws.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_a_clock_with_speed_zero_stops_until_it_is_advanced() -> None:
    clock = Clock(NOON, speed=0)
    assert clock.now() == NOON
    clock.advance(3600)
    assert clock.now() == NOON + timedelta(hours=1)


def test_the_speed_of_a_clock_is_a_factor_of_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    clock = Clock(NOON, speed=3600)
    seconds += 2
    assert clock.now() == NOON + timedelta(hours=2)


def test_changing_the_speed_does_not_change_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    clock = Clock(NOON, speed=3600)
    seconds += 1
    clock.set(clock.now(), speed=1)
    seconds += 1
    assert clock.now() == NOON + timedelta(hours=1, seconds=1)


def test_a_clock_can_be_set_back_but_not_advanced_back() -> None:
    clock = Clock(NOON, speed=0)
    with pytest.raises(ValueError, match="cannot advance by -1"):
        clock.advance(-1)
    clock.set(NOON - timedelta(days=1))
    assert clock.now() == NOON - timedelta(days=1)


def test_a_clock_without_a_start_has_the_current_time() -> None:
    assert abs(Clock().now() - datetime.now(timezone.utc)) < timedelta(seconds=10)


def test_a_negative_speed_is_rejected() -> None:
    with pytest.raises(ValueError, match="speed is -1"):
        Clock(NOON, speed=-1)
