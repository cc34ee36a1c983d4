from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from glacier_jobs import reports
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports.unobserved import unobserved
from tests.hand_written import observe
from tests.reports.conftest import NOON, hours


def gaps(dataset: Dataset, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    return unobserved(reports.run("coverage", dataset, since=since, until=until), since, until)


def test_hours_in_which_any_vault_was_listed_are_observed(dataset: Dataset) -> None:
    for hour in (0, 1, 2, 9, 10):
        observe(dataset, NOON + hours(hour), {"photos": [], "films": "failed"})
    for hour in (5, 6, 7):
        observe(dataset, NOON + hours(hour), {"maps": []}, region="eu-west-1")

    assert gaps(dataset, NOON, NOON + hours(11)) == []
    assert gaps(dataset, NOON, NOON + hours(20)) == [(NOON + hours(11), NOON + hours(20))]


def test_failed_listings_are_no_listings_and_the_time_before_the_first_one_counts(dataset: Dataset) -> None:
    for hour in range(9):
        observe(dataset, NOON + hours(hour), {"photos": "failed" if 2 < hour < 7 else []})

    since = NOON - hours(9.5)
    assert gaps(dataset, since, NOON + hours(9)) == [
        (NOON - hours(10), NOON),
        (NOON + hours(3), NOON + hours(7)),
    ]


@pytest.mark.parametrize(("every_hours", "are_gaps"), [(1, False), (3, False), (4, True)])
def test_a_gap_is_as_long_as_a_listing_is_old_that_needs_attention(
    dataset: Dataset, every_hours: int, are_gaps: bool
) -> None:
    for hour in range(0, 25, every_hours):
        observe(dataset, NOON + timedelta(hours=hour, minutes=40), {"photos": []})

    assert bool(gaps(dataset, NOON, NOON + hours(25))) == are_gaps


def test_without_a_listing_the_whole_period_is_a_gap(dataset: Dataset) -> None:
    assert gaps(dataset, NOON, NOON + hours(5)) == [(NOON, NOON + hours(5))]
