"""Publish a dataset with very many jobs quickly."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.glacier.rows import jobs_batch
from tests.hand_written import arn, job
from tests.observations import observation_row, vault_row

VAULTS = 30

_PAGE = 1000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def publish_many(dataset: Dataset, count: int, at: datetime) -> None:
    """Publish one observation of 30 vaults with ``count`` jobs in total. A third of the jobs are finished.

    Job descriptions are ``file 0``, ``file 1`` and so on. Ids are as long as Glacier's.
    """
    rng = random.Random(count)  # noqa: S311 - not for secrets
    observation = new_observation("123456789012", "us-east-1", at)
    names = [f"vault-{number:02d}" for number in range(VAULTS)]
    numbers = [range(position, count, VAULTS) for position in range(VAULTS)]
    with ObservationWriter(dataset, observation, clock=lambda: at) as writer:
        for name, job_numbers in zip(names, numbers, strict=True):
            for start in range(0, len(job_numbers), _PAGE):
                page = [
                    {"VaultARN": arn(name), **_job(number, at, rng)} for number in job_numbers[start : start + _PAGE]
                ]
                writer.write_jobs(jobs_batch(page, observation=observation, vault_name=name, observed_at=at))
        writer.finish_jobs()
        writer.publish(
            vaults=[
                vault_row(name, at, jobs=len(job_numbers)) for name, job_numbers in zip(names, numbers, strict=True)
            ],
            observation=observation_row(at, jobs=count, vaults_listed=VAULTS),
        )


def _job(number: int, at: datetime, rng: random.Random) -> dict[str, object]:
    created = at - timedelta(seconds=rng.randrange(20 * 3600))
    finished = number % 3 == 0
    return job(
        "".join(rng.choices(_LETTERS, k=92)),
        "Succeeded" if finished else "InProgress",
        created=created,
        completed=created + (at - created) * rng.random() if finished else None,
        Tier=("Standard", "Bulk")[number % 2],
        JobDescription=f"file {number}",
        ArchiveId="".join(rng.choices(_LETTERS, k=138)),
        ArchiveSizeInBytes=rng.randrange(10**11),
    )
