"""Which jobs give one inventory of a vault: checks of their descriptions, and the order of their pages. All pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from glacier_jobs.errors import InventoryNotUsable
from glacier_jobs.glacier.pagination import JobDescription

Scope: TypeAlias = Literal["full", "filtered"]


def job_name(job: Mapping[str, Any]) -> str:
    """Return the vault and the id of a job, for messages."""
    return f"vault {job['VaultARN']}, job {job['JobId']}"


def parameters_of(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of an inventory job, by AWS's names; those that are null or absent are missing."""
    return job.get("InventoryRetrievalParameters") or {}


def next_marker(job: Mapping[str, Any]) -> str | None:
    """Return where the job of the next page begins; ``None`` if this job's inventory has no further page."""
    return parameters_of(job).get("Marker") or None


def scope_of(job: Mapping[str, Any]) -> Scope:
    """Return ``filtered`` for an inventory of archives that were created between two dates, and else ``full``."""
    parameters = parameters_of(job)
    return "filtered" if parameters.get("StartDate") or parameters.get("EndDate") else "full"


def check_inventory_job(job: JobDescription) -> None:
    """Refuse a job that does not give an inventory in JSON, whatever its status.

    :raises InventoryNotUsable: names the job, what was found and what to do.
    """
    if job.get("Action") != "InventoryRetrieval":
        raise InventoryNotUsable(f"{job_name(job)} has the action {job.get('Action')!r}; expected InventoryRetrieval")
    if (output_format := parameters_of(job).get("Format") or "JSON") != "JSON":
        raise InventoryNotUsable(
            f"{job_name(job)} has an inventory in {output_format}, in which quotes and backslashes are ambiguous; "
            "initiate a job with Format JSON"
        )


def check_pages(jobs: Sequence[JobDescription]) -> None:
    """Refuse jobs that are not all pages of one inventory in JSON.

    :raises InventoryNotUsable: names the job, what was found and what to do.
    """
    for job in jobs:
        check_inventory_job(job)
        if job.get("StatusCode") != "Succeeded":
            raise InventoryNotUsable(
                f"{job_name(job)} has the status {job.get('StatusCode')!r} ({job.get('StatusMessage')}); expected "
                "Succeeded: wait for the job, or initiate another"
            )
        if job["VaultARN"] != jobs[0]["VaultARN"]:
            raise InventoryNotUsable(
                f"{job_name(job)} is of another vault than {job_name(jobs[0])}; expected one vault"
            )
        if _dates(job) != _dates(jobs[0]):
            raise InventoryNotUsable(
                f"{job_name(job)} has other dates than {job_name(jobs[0])}; expected the same StartDate and EndDate"
            )
    for job in jobs[:-1]:
        if next_marker(job) is None:
            raise InventoryNotUsable(
                f"{job_name(job)} is the last page of its inventory, but further jobs were given; expected the jobs of "
                "all pages in their order"
            )
    if next_marker(jobs[-1]) is not None:
        raise InventoryNotUsable(
            f"{job_name(jobs[-1])} was initiated with a Limit, and its inventory has further pages; expected the jobs "
            "of all pages in their order, or one job without a Limit"
        )


def _dates(job: Mapping[str, Any]) -> tuple[Any, Any]:
    return parameters_of(job).get("StartDate"), parameters_of(job).get("EndDate")
