"""Publish observations that a test writes down, with one line for each vault, and aggregate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.schema import Observation
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.glacier.rows import jobs_batch
from glacier_jobs.history import History, fold_closed_days
from tests.descriptions import aws_date
from tests.observations import observation_row, vault_row

Job = dict[str, Any]
Found = Sequence[Job] | Literal["failed", "gone"]


def arn(vault_name: str, region: str = "us-east-1") -> str:
    return f"arn:aws:glacier:{region}:123456789012:vaults/{vault_name}"


def job(
    job_id: str,
    status: str = "InProgress",
    *,
    created: datetime | None = None,
    completed: datetime | None = None,
    **fields: Any,
) -> Job:
    """Return the description of an archive retrieval job in the form in which Glacier returns it."""
    dates = {"CreationDate": created, "CompletionDate": completed}
    return {
        "JobId": job_id,
        "Action": "ArchiveRetrieval",
        "StatusCode": status,
        "Completed": status != "InProgress",
        **{name: aws_date(moment) for name, moment in dates.items() if moment is not None},
        **fields,
    }


def observe(
    dataset: Dataset,
    at: datetime,
    found: Mapping[str, Found],
    *,
    scope: str = "all",
    region: str = "us-east-1",
    listed_after: timedelta = timedelta(),
    lasting: timedelta = timedelta(),
    clock: datetime | None = None,
) -> Observation:
    """Publish one observation.

    :param found: by vault name, the jobs that were listed, or the outcome if the vault was not listed.
    :param listed_after: the time from the start of the observation to the start of each listing.
    :param lasting: the duration of each listing. All jobs were on its last page.
    :param clock: the time of publication; ``None`` means the end of the listings.
    """
    observation = new_observation("123456789012", region, at)
    began_at = at + listed_after
    ended_at = began_at + lasting
    vaults = []
    with ObservationWriter(dataset, observation, clock=lambda: clock or ended_at) as writer:
        for name, jobs in found.items():
            outcome = jobs if isinstance(jobs, str) else "listed"
            listed = [] if isinstance(jobs, str) else [{"VaultARN": arn(name, region), **each} for each in jobs]
            writer.write_jobs(jobs_batch(listed, observation=observation, vault_name=name, observed_at=ended_at))
            vaults.append(
                vault_row(
                    name,
                    began_at,
                    vault_arn=arn(name, region),
                    listing_ended_at=ended_at,
                    outcome=outcome,
                    jobs=len(listed),
                    error="AccessDeniedException" if outcome == "failed" else None,
                )
            )
        writer.finish_jobs()
        writer.publish(vaults=vaults, observation=observation_row(ended_at, scope=scope))
    return observation


def aggregate(dataset: Dataset, now: datetime) -> None:
    """Aggregate the days that are finalized at a given time, of which there must be at least one."""
    assert fold_closed_days(dataset, History.beside(dataset), now=now)
