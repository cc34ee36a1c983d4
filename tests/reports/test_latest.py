from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.cutoff import midnight
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.history.fold import EMPTY_STATE
from glacier_jobs.reports.latest import newest_listings
from tests.examples import examples
from tests.observations import local_dataset
from tests.random_observations import DAYS, FIRST_DAY, RawObservation, random_observations, write_raw


def expected_newest(seen: list[RawObservation]) -> dict[str, str]:
    """Compute, by vault ARN, the newest observation that listed the vault, unless the vault is gone since then."""
    known = {row["vault_arn"]: row["region"] for observation in seen for row in observation.vaults}
    newest = {}
    for arn, region in known.items():
        for observation in sorted(seen, key=lambda observation: str(observation.row["observation_id"]), reverse=True):
            if observation.row["region"] != region:
                continue
            outcomes = [row["outcome"] for row in observation.vaults if row["vault_arn"] == arn]
            if outcomes == ["listed"]:
                newest[arn] = observation.row["observation_id"]
            if outcomes in (["listed"], ["gone"]) or (not outcomes and observation.row["scope"] == "all"):
                break
    return newest


@given(random_observations())
@examples(25, in_drills=60)
def test_reading_backwards_finds_the_same_listings_as_reading_everything(seen: list[RawObservation]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)

        found = newest_listings(dataset, dataset.observation_ids(), EMPTY_STATE.vault_listings)

    assert dict(
        zip(found["vault_arn"].to_pylist(), found["observation_id"].to_pylist(), strict=True)
    ) == expected_newest(seen)


@given(random_observations(overlapping=False), st.integers(0, DAYS - 1))
@examples(15, in_drills=30)
def test_aggregated_days_lead_to_the_same_listings(seen: list[RawObservation], aggregated_days: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = local_dataset(Path(folder))
        write_raw(dataset, seen)
        last = FIRST_DAY + timedelta(days=aggregated_days)
        history = History.beside(dataset)
        fold_closed_days(dataset, history, now=midnight(last) + timedelta(days=1, hours=12))
        last_day = history.last_folded_day()

        later = dataset.observation_ids(since=last_day + timedelta(days=1) if last_day else None)
        found = newest_listings(dataset, later, history.state(last_day).vault_listings)

    assert dict(
        zip(found["vault_arn"].to_pylist(), found["observation_id"].to_pylist(), strict=True)
    ) == expected_newest(seen)
