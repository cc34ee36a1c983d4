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
from tests.drills.table import Told
from tests.examples import how_many
from tests.observations import local_dataset

_START = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)


def _job(dice: random.Random, name: str, around: datetime) -> dict[str, Any]:
    """Return a job that may be anywhere in its life, and whose next turn may be seconds away."""
    created_at = around - timedelta(seconds=dice.randint(0, 200))
    life = {
        "completes_at": (around + timedelta(seconds=dice.randint(-400, 400))).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "outcome": dice.choice(["Succeeded", "Failed"]),
        "retention_seconds": dice.choice([100, 300, 86_400]),
        "listed_after_seconds": dice.choice([0, 0, 60]),
    }
    return {"JobId": name, "CreationDate": created_at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "_life": life}


def _interleave(local_aws: Control, dice: random.Random) -> int:
    """Fill two vaults, let random things happen after random pages, and return how many things those are."""
    local_aws.reset()
    local_aws.set_clock(_START, speed=0)
    local_aws.settings(
        max_limit=dice.randint(1, 8), newest_first=dice.random() < 0.5, marker_repeats_job=dice.random() < 0.5
    )
    names = {vault: [f"{vault}-{number}" for number in range(dice.randint(1, 30))] for vault in ("photos", "films")}
    for vault, jobs in names.items():
        local_aws.add_jobs(vault, [_job(dice, name, _START) for name in jobs])
    happenings = dice.randint(1, 8)
    for number in range(happenings):
        vault = dice.choice(list(names))
        possible: list[tuple[str, dict[str, Any]]] = [
            ("advance", {"seconds": dice.randint(1, 200)}),
            ("add_jobs", {"vault_name": vault, "jobs": [_job(dice, f"new-{number}", _START)]}),
            ("remove_jobs", {"vault_name": vault, "job_ids": dice.sample(names[vault], k=1)}),
        ]
        command, arguments = dice.choice(possible)
        local_aws.hook(command, arguments, operation="ListJobs", vault_name=vault, skip=dice.randint(0, 4), count=1)
    return happenings


def _names(local_aws: Control) -> set[tuple[str, str]]:
    return {(job["VaultARN"], job["JobId"]) for job in local_aws.jobs()}


@pytest.mark.quick_drill
def test_random_interleavings(local_aws: Control, connect: Connect, tmp_path: Path, told: Told) -> None:
    interleavings = how_many(20, in_drills=200)
    hook = GlacierJobsHook(aws_conn_id=connect(), max_requests=2)
    happened = stayed = 0
    for seed in range(interleavings):
        happened += _interleave(local_aws, random.Random(seed))  # noqa: S311 - dice, no secret
        dataset = local_dataset(tmp_path / str(seed))
        before = _names(local_aws)

        observe(hook, dataset)

        rows = dataset.scan("jobs").to_table(columns=["vault_arn", "job_id"]).to_pylist()
        found = Counter((row["vault_arn"], row["job_id"]) for row in rows)
        lasting = before & _names(local_aws)
        assert lasting <= set(found), f"seed {seed}: {lasting - set(found)} were there all the time"
        assert set(found.values()) <= {1}, f"seed {seed}: there twice: {[job for job in found if found[job] > 1]}"
        stayed += len(lasting)
    assert happened >= interleavings
    assert stayed >= interleavings
    told(
        f"{interleavings} random interleavings of a listing with its jobs' lives",
        f"each of the {stayed:,} jobs that were there all the time exactly once",
    )
