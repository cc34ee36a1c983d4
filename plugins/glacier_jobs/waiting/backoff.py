"""Which calls a poll makes, and when the next one is due. All pure."""

from __future__ import annotations

#: What a wait between two polls grows to after polls that went wrong, unless the interval itself is longer.
LONGEST_BACKOFF_SECONDS = 3600.0


def describing_is_cheaper(not_found: int, *, pages_before: int, pages: int, barren_pages: int) -> bool:
    """Tell whether Describe Job for each job costs fewer calls than to go on with the vault's list.

    It is asked before each page. As long as an earlier look tells how far the list must be walked, that decides.
    Beyond that, the pages walked in vain stand for those to come: so a list whose length nobody knows costs at most
    about twice the calls that the best choice would have cost.

    :param not_found: how many jobs are looked for, and not found yet.
    :param pages_before: how many pages an earlier look had to walk; 0 where there was none.
    :param pages: how many this look has walked.
    :param barren_pages: how many of those, the latest, showed none of the jobs.
    """
    pages_left = pages_before - pages if pages < pages_before else barren_pages
    return not_found < pages_left


def next_delay_seconds(interval_seconds: float, bad_polls: int, jitter: float) -> float:
    """Return how long to wait between two polls.

    After a good poll that is the interval. After each bad one the longest wait doubles, up to an hour, and the
    wait lies anywhere between the interval and that, so that those who were refused together do not come
    back together.

    :param bad_polls: how many polls went wrong since the last good one.
    :param jitter: a random number from 0 to 1.
    """
    longest = max(interval_seconds, min(interval_seconds * 2.0 ** min(bad_polls, 30), LONGEST_BACKOFF_SECONDS))
    return interval_seconds + jitter * (longest - interval_seconds)
