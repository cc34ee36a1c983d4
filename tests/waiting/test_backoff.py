from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.waiting.backoff import LONGEST_BACKOFF_SECONDS, describing_is_cheaper, next_delay_seconds


@pytest.mark.parametrize(
    ("not_found", "pages_before", "pages", "fruitless_pages", "describe"),
    [
        (1, 0, 0, 0, False),  # nobody knows how long the list is: one page may do
        (1, 1, 0, 0, False),  # as cheap, and one permission fewer
        (1, 2, 0, 0, True),
        (50, 40, 0, 0, False),
        (39, 40, 0, 0, True),
        (39, 40, 30, 9, False),  # ten pages are left
        (3, 0, 4, 3, False),
        (3, 0, 5, 4, True),  # four pages in a row showed none of the three
    ],
)
def test_the_way_with_fewer_requests_is_chosen(
    not_found: int, pages_before: int, pages: int, fruitless_pages: int, describe: bool
) -> None:
    assert (
        describing_is_cheaper(not_found, pages_before=pages_before, pages=pages, fruitless_pages=fruitless_pages)
        is describe
    )


def test_after_a_successful_poll_the_interval_is_kept() -> None:
    assert next_delay_seconds(600, 0, jitter=0.9) == 600


def test_each_failed_poll_doubles_the_longest_wait() -> None:
    assert [next_delay_seconds(10, bad_polls, jitter=1.0) for bad_polls in range(4)] == [10, 20, 40, 80]


@given(st.floats(0, 1e6), st.integers(0, 10_000), st.floats(0, 1))
def test_a_wait_is_never_shorter_than_the_interval_nor_longer_than_an_hour_or_it(
    interval_seconds: float, bad_polls: int, jitter: float
) -> None:
    delay_seconds = next_delay_seconds(interval_seconds, bad_polls, jitter)

    assert interval_seconds <= delay_seconds <= max(interval_seconds, LONGEST_BACKOFF_SECONDS) * (1 + 1e-9)
