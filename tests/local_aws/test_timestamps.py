from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws import timestamps


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2999, 1, 1)))  # noqa: DTZ001 - Hypothesis wants naive bounds
def test_a_moment_survives_being_written_and_read_but_for_its_microseconds(naive: datetime) -> None:
    moment = naive.replace(tzinfo=timezone.utc)
    assert timestamps.read(timestamps.write(moment)) == timestamps.to_milliseconds(moment)


def test_a_moment_is_written_in_utc_with_milliseconds_and_z() -> None:
    moment = datetime(2012, 5, 1, 2, 0, 6, 663_999, tzinfo=timezone(timedelta(hours=2)))
    assert timestamps.write(moment) == "2012-05-01T00:00:06.663Z"


@pytest.mark.parametrize(
    "text",
    [
        "2013-03-20T17:03:43Z",
        "20130320T170343Z",
        "2013-03-20T17:03:43.000Z",
        "2013-03-20T19:03:43+02:00",
        "2013-03-20T17:03:43",
    ],
)
def test_every_way_to_write_a_moment_is_read(text: str) -> None:
    assert timestamps.read(text) == datetime(2013, 3, 20, 17, 3, 43, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "yesterday", "2013-13-01", "2013-03-20T25:00:00Z", "2013-03-20 17:03"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"month|hour|not an ISO"):
        timestamps.read(text)
