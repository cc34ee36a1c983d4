"""Which requests a poll makes, and when the next poll is due. All pure."""

from __future__ import annotations

#: The longest wait between two polls after failed polls, unless the interval itself is longer.
LONGEST_BACKOFF_SECONDS = 3600.0


def describing_is_cheaper(not_found: int, *, pages_before: int, pages: int, fruitless_pages: int) -> bool:
    """Tell whether Describe Job for each job takes fewer requests than to continue with the vault's list.

    Called before each page. While an earlier poll tells how far the list must be read, that decides. Beyond that, as
    many pages are expected to be fruitless as have been: so a list of unknown length takes at most about twice the
    requests of the best choice.

    :param not_found: how many jobs are not found yet.
    :param pages_before: how many pages an earlier poll had to read; 0 where there was none.
    :param pages: how many pages this poll has read.
    :param fruitless_pages: how many of those, the latest ones, showed none of the jobs.
    """
    pages_left = pages_before - pages if pages < pages_before else fruitless_pages
    return not_found < pages_left


def next_delay_seconds(interval_seconds: float, bad_polls: int, jitter: float) -> float:
    """Return how long to wait between two polls.

    After a successful poll, that is the interval. Each failed poll doubles the longest wait, up to an hour; the wait is
    a random time between the interval and that, so that clients that were throttled together do not return together.

    :param bad_polls: how many polls failed since the last successful one.
    :param jitter: a random number from 0 to 1.
    """
    longest = max(interval_seconds, min(interval_seconds * 2.0 ** min(bad_polls, 30), LONGEST_BACKOFF_SECONDS))
    return interval_seconds + jitter * (longest - interval_seconds)
