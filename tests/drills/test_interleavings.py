"""Jobs that start, finish, fail and expire while a listing pages through them.

Every job that existed before the listing began and still exists after it ended is in the Parquet exactly once.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import Connect
from tests.drills.table import RecordDrill
from tests.examples import how_many
from tests.observations import local_dataset

_START = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)


def _job(rng: random.Random, name: str, around: datetime) -> dict[str, Any]:
    """Return a job in any state, whose next change may be seconds away."""
    created_at = around - timedelta(seconds=rng.randint(0, 200))
    lifecycle = {
        "completes_at": (around + timedelta(seconds=rng.randint(-400, 400))).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "outcome": rng.choice(["Succeeded", "Failed"]),
        "retention_seconds": rng.choice([100, 300, 86_400]),
        "listed_after_seconds": rng.choice([0, 0, 60]),
    }
    return {"JobId": name, "CreationDate": created_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "_life": lifecycle}


def _interleave(local_aws: Control, rng: random.Random) -> int:
    """Fill two vaults, schedule random changes after random pages, and return the number of changes."""
    local_aws.reset()
    local_aws.set_clock(_START, speed=0)
    local_aws.settings(
        max_limit=rng.randint(1, 8), newest_first=rng.random() < 0.5, marker_repeats_job=rng.random() < 0.5
    )
    names = {vault: [f"{vault}-{number}" for number in range(rng.randint(1, 30))] for vault in ("photos", "films")}
    for vault, jobs in names.items():
        local_aws.add_jobs(vault, [_job(rng, name, _START) for name in jobs])
    changes = rng.randint(1, 8)
    for number in range(changes):
        vault = rng.choice(list(names))
        possible: list[tuple[str, dict[str, Any]]] = [
            ("advance", {"seconds": rng.randint(1, 200)}),
            ("add_jobs", {"vault_name": vault, "jobs": [_job(rng, f"new-{number}", _START)]}),
            ("remove_jobs", {"vault_name": vault, "job_ids": rng.sample(names[vault], k=1)}),
        ]
        command, arguments = rng.choice(possible)
        local_aws.hook(command, arguments, operation="ListJobs", vault_name=vault, skip=rng.randint(0, 4), count=1)
    return changes


def _names(local_aws: Control) -> set[tuple[str, str]]:
    return {(job["VaultARN"], job["JobId"]) for job in local_aws.jobs()}


@pytest.mark.quick_drill
def test_a_job_that_exists_during_the_whole_listing_is_published_exactly_once(
    local_aws: Control, connect: Connect, tmp_path: Path, record_drill: RecordDrill
) -> None:
    interleavings = how_many(20, in_drills=200)
    hook = GlacierJobsHook(aws_conn_id=connect(), max_requests=2)
    changes = persistent = 0
    for seed in range(interleavings):
        changes += _interleave(local_aws, random.Random(seed))  # noqa: S311 - not for secrets
        dataset = local_dataset(tmp_path / str(seed))
        before = _names(local_aws)

        observe(hook, dataset)

        rows = dataset.scan("jobs").to_table(columns=["vault_arn", "job_id"]).to_pylist()
        found = Counter((row["vault_arn"], row["job_id"]) for row in rows)
        expected = before & _names(local_aws)
        assert expected <= set(found), f"seed {seed}: {expected - set(found)} are missing"
        assert set(found.values()) <= {1}, f"seed {seed}: published twice: {[job for job in found if found[job] > 1]}"
        persistent += len(expected)
    assert changes >= interleavings
    assert persistent >= interleavings
    record_drill(
        f"{interleavings} random interleavings of a listing with changes of its jobs",
        f"each of the {persistent:,} jobs that existed during the whole listing exactly once",
    )
