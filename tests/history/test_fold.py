from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs import reports
from glacier_jobs.dataset.cutoff import midnight
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.history.fold import EMPTY_STATE, JOB_LIFECYCLES, VAULT_LISTINGS, State, fold, sorted_by_job, summarize
from tests.examples import examples
from tests.observations import local_dataset
from tests.random_observations import (
    DAYS,
    FIRST_DAY,
    RawObservation,
    expected_outcomes,
    outcomes_of,
    random_observations,
    raw_rows,
    write_raw,
)


@given(random_observations(), st.randoms(use_true_random=False))
@examples(10, in_drills=25)
def test_the_order_of_the_rows_makes_no_difference(seen: list[RawObservation], rng: random.Random) -> None:
    shuffled = seen.copy()
    rng.shuffle(shuffled)

    def folded(observations: list[RawObservation]) -> list[pa.Table]:
        result = fold(EMPTY_STATE, summarize(EMPTY_STATE, raw_rows(observations)))
        jobs = [sorted_by_job(result.closed), sorted_by_job(result.state.open_jobs)]
        return [*jobs, result.vault_listings, result.state.vault_listings]

    assert folded(seen) == folded(shuffled)


@given(random_observations())
@examples(10, in_drills=25)
def test_a_day_has_each_known_job_exactly_once_either_closed_or_open(seen: list[RawObservation]) -> None:
    state: State = EMPTY_STATE
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        today = [observation for observation in seen if observation.day == day]
        known = {(row["vault_arn"], row["job_id"]) for row in state.open_jobs.to_pylist()}
        known |= {(row["vault_arn"], row["job_id"]) for observation in today for row in observation.jobs}

        day_result = fold(state, summarize(state, raw_rows(today)), until=midnight(day) + timedelta(days=1))

        rows = pa.concat_tables([day_result.closed, day_result.state.open_jobs]).to_pylist()
        assert sorted((row["vault_arn"], row["job_id"]) for row in rows) == sorted(known)
        assert day_result.closed.schema == day_result.state.open_jobs.schema == JOB_LIFECYCLES
        assert day_result.state.vault_listings.schema == VAULT_LISTINGS
        state = day_result.state


@given(random_observations(), st.integers(-1, DAYS - 1))
@examples(20, in_drills=50)
def test_history_equals_a_computation_in_plain_python_for_any_number_of_aggregated_days(
    seen: list[RawObservation], aggregated_days: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        history = History.beside(dataset)
        last = FIRST_DAY + timedelta(days=aggregated_days)
        fold_closed_days(dataset, history, now=midnight(last) + timedelta(days=1, hours=12))

        assert outcomes_of(reports.run("job_history", dataset)) == expected_outcomes(seen)
