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
from glacier_jobs.history.fold import BEGINNING, LIVES, LOOKS, State, fold
from tests.examples import examples
from tests.observations import local_dataset
from tests.observed_lives import DAYS, FIRST_DAY, Look, observed_lives, plain_fates, raw_rows, told, write_raw


@given(observed_lives(), st.randoms(use_true_random=False))
@examples(10, in_drills=25)
def test_in_which_order_the_rows_come_makes_no_difference(seen: list[Look], chance: random.Random) -> None:
    shuffled = seen.copy()
    chance.shuffle(shuffled)

    assert fold(BEGINNING, raw_rows(seen)) == fold(BEGINNING, raw_rows(shuffled))


@given(observed_lives())
@examples(10, in_drills=25)
def test_a_day_gives_each_job_it_knows_of_once_closed_or_open(seen: list[Look]) -> None:
    state: State = BEGINNING
    for number in range(DAYS):
        day = FIRST_DAY + timedelta(days=number)
        today = [look for look in seen if look.day == day]
        known = {(row["vault_arn"], row["job_id"]) for row in state.open_jobs.to_pylist()}
        known |= {(row["vault_arn"], row["job_id"]) for look in today for row in look.sights}

        folded = fold(state, raw_rows(today), until=midnight(day) + timedelta(days=1))

        rows = pa.concat_tables([folded.closed, folded.state.open_jobs]).to_pylist()
        assert sorted((row["vault_arn"], row["job_id"]) for row in rows) == sorted(known)
        assert folded.closed.schema == folded.state.open_jobs.schema == LIVES
        assert folded.state.looks.schema == LOOKS
        state = folded.state


@given(observed_lives(), st.integers(-1, DAYS - 1))
@examples(20, in_drills=50)
def test_however_many_days_are_folded_history_says_what_a_plain_computation_says(
    seen: list[Look], folded_days: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        history = History.beside(dataset)
        last = FIRST_DAY + timedelta(days=folded_days)
        fold_closed_days(dataset, history, now=midnight(last) + timedelta(days=1, hours=12))

        assert told(reports.run("job_history", dataset)) == plain_fates(seen)
