from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws import timestamps


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2999, 1, 1)))  # noqa: DTZ001 - Hypothesis wants naive bounds
def test_a_formatted_and_parsed_timestamp_is_equal_to_the_millisecond(naive: datetime) -> None:
    at = naive.replace(tzinfo=timezone.utc)
    assert timestamps.parse(timestamps.isoformat(at)) == timestamps.to_milliseconds(at)


def test_a_timestamp_is_formatted_in_utc_with_milliseconds_and_z() -> None:
    at = datetime(2012, 5, 1, 2, 0, 6, 663_999, tzinfo=timezone(timedelta(hours=2)))
    assert timestamps.isoformat(at) == "2012-05-01T00:00:06.663Z"


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
def test_all_iso_8601_formats_are_parsed(text: str) -> None:
    assert timestamps.parse(text) == datetime(2013, 3, 20, 17, 3, 43, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "yesterday", "2013-13-01", "2013-03-20T25:00:00Z", "2013-03-20 17:03"])
def test_an_invalid_timestamp_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"month|hour|not an ISO"):
        timestamps.parse(text)
