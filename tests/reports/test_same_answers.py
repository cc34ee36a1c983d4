"""Questions have the same answers however many days are aggregated or compacted, and as of a past time its own."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs import reports
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset, snapshot_date
from glacier_jobs.history import History, aggregate_open_days, fold_closed_days
from glacier_jobs.sql.engine import shared_database
from tests.examples import examples
from tests.observations import expire, local_dataset
from tests.partials import make_partial
from tests.random_observations import DAYS, FIRST_DAY, JOB_IDS, START, RawObservation, random_observations, write_raw

AFTER_ALL = START + timedelta(days=DAYS + 1)
#: Until when observations count: usually all do.
NOWS = st.just(AFTER_ALL) | st.integers(1, DAYS * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
#: Where periods begin: often at midnight, or in the night in which long listings end.
SINCES = st.builds(
    lambda day, minutes: START + timedelta(days=day, minutes=minutes),
    st.integers(0, DAYS),
    st.sampled_from([0, 30, 90, 150]) | st.integers(0, 24 * 60),
)
#: Sets of observations, which often overlap, by their numbers on their day. With no number, those that a task takes.
PARTIALS = st.lists(st.sets(st.integers(0, 5), max_size=4), max_size=4)


def answers(dataset: Dataset, *, now: datetime, since: datetime, hours: int) -> dict[str, pa.Table]:
    """Return the answers to all questions, about a period where they take one."""
    period = {"since": since, "until": since + timedelta(hours=hours), "hours": hours}
    vault_arn = "arn:aws:glacier:us-east-1:123456789012:vaults/photos"
    asked: list[tuple[str, dict[str, Any]]] = [
        *[
            (name, {argument: value for argument, value in period.items() if argument in question.defaults})
            for name, question in reports.QUESTIONS.items()
        ],
        ("job_history", {}),
        ("job_counts", {}),
        ("found_jobs", {}),
        *[("job_observations", {"vault_arn": vault_arn, "job_id": job_id, "since": since}) for job_id in JOB_IDS],
    ]
    inquiry = reports.Inquiry.into(dataset, now=now)
    return {f"{name} {params}": inquiry.ask(name, **params) for name, params in asked}


def make_partials(dataset: Dataset, partials: list[set[int]]) -> None:
    """Make partial aggregates of the observations with these numbers, for each day; and with no number, as a task."""
    by_day: dict[date, list[str]] = defaultdict(list)
    for observation_id in dataset.observation_ids():
        by_day[snapshot_date(observation_id)].append(observation_id)
    for made, numbers in enumerate(partials):
        made_at = AFTER_ALL + timedelta(hours=made)
        if not numbers:
            aggregate_open_days(dataset, History.beside(dataset), now=made_at)
        for observation_ids in by_day.values():
            if some := [observation_ids[number] for number in sorted(numbers) if number < len(observation_ids)]:
                make_partial(dataset, some, made_at=made_at)


# Beside other drills, all examples take minutes.
@pytest.mark.timeout(900)
@given(
    random_observations(at_least=5), PARTIALS, st.integers(-1, DAYS - 1), st.integers(-1, DAYS - 1),
    st.integers(-1, DAYS - 1), NOWS, SINCES, st.integers(1, 72),
)  # fmt: skip
@examples(12, in_drills=60)
def test_answers_depend_neither_on_what_is_aggregated_or_compacted_nor_on_what_came_after_now(
    seen: list[RawObservation],
    partials: list[set[int]],
    aggregated_days: int,
    compacted_days: int,
    expired_days: int,
    now: datetime,
    since: datetime,
    hours: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder, shared_database():
        raw = local_dataset(Path(folder, "raw"))
        write_raw(raw, [observation for observation in seen if observation.row["published_at"] <= now])
        aggregated = local_dataset(Path(folder, "aggregated"))
        write_raw(aggregated, seen)
        make_partials(aggregated, partials)
        if aggregated_days >= 0:
            last = FIRST_DAY + timedelta(days=aggregated_days)
            fold_closed_days(aggregated, History.beside(aggregated), now=closes_at(last) + SETTLES_AFTER)
        if compacted_days >= 0:
            last = FIRST_DAY + timedelta(days=compacted_days)
            compact_closed_days(aggregated, now=closes_at(last) + SETTLES_AFTER)
            expire(aggregated, until=FIRST_DAY + timedelta(days=min(compacted_days, expired_days)))

        expected = answers(raw, now=now, since=since, hours=hours)
        found = answers(aggregated, now=now, since=since, hours=hours)

    for asked, answer in expected.items():
        assert found[asked].to_pylist() == answer.to_pylist(), asked
