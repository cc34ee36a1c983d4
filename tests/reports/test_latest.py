from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given

from glacier_jobs.history.fold import EMPTY_STATE
from glacier_jobs.reports.latest import newest_listings
from tests.examples import examples
from tests.observations import local_dataset
from tests.partials import observation_rows
from tests.random_observations import RawObservation, random_observations, write_raw


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

        rows = observation_rows(dataset)
        found = newest_listings(rows, rows.observation_ids, EMPTY_STATE.vault_listings)

    assert dict(
        zip(found["vault_arn"].to_pylist(), found["observation_id"].to_pylist(), strict=True)
    ) == expected_newest(seen)
