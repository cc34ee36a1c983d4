"""Which listed jobs give what a request asks for. All pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.glacier.expiry import expires_at
from glacier_jobs.glacier.initiation import TIERS, JobRequest
from glacier_jobs.glacier.timestamps import moment_of

_ACTIONS = {"archive-retrieval": "ArchiveRetrieval", "inventory-retrieval": "InventoryRetrieval"}


def hours_left(job: Mapping[str, Any], now: datetime) -> float:
    """Return for how many hours Glacier keeps the output of a job at least.

    :return: infinity for a job in progress; 0 or less for one that failed, or whose output may have been deleted.
    """
    status = job.get("StatusCode")
    if status == "InProgress":
        return math.inf
    until = expires_at(job)
    return (until - now) / timedelta(hours=1) if status == "Succeeded" and until is not None else 0.0


def is_equal(job: Mapping[str, Any], request: JobRequest) -> bool:
    """Tell whether a job that another task, or another program, started gives what a request asks for.

    A job in progress is not slower than the request, and notifies the same topic, if the request has one. For a request
    with a topic, no completed job is equal: it does not notify again. A description does not show at which marker a
    job's inventory begins. So no job is equal to a request with ``Limit`` or ``Marker``, nor is a job with a ``Limit``
    to any.
    """
    if job.get("Action") != _ACTIONS[request.job_type] or job.get("StatusCode") not in ("InProgress", "Succeeded"):
        return False
    if job["StatusCode"] == "InProgress" and _tier_rank(job.get("Tier")) > _tier_rank(request.tier):
        return False
    if request.sns_topic is not None and (
        job["StatusCode"] != "InProgress" or job.get("SNSTopic") != request.sns_topic
    ):
        return False
    if request.archive_id is not None:
        return job.get("ArchiveId") == request.archive_id and _has_range(job, request.retrieval_byte_range)
    return _has_inventory(job.get("InventoryRetrievalParameters") or {}, request)


def _tier_rank(tier: object) -> int:
    """Return the position of a tier, the fastest first. Glacier leaves out the tier of some inventory jobs."""
    return TIERS.index(tier) if isinstance(tier, str) and tier in TIERS else TIERS.index("Standard")


def _has_range(job: Mapping[str, Any], byte_range: tuple[int, int] | None) -> bool:
    found, size_in_bytes = job.get("RetrievalByteRange"), job.get("ArchiveSizeInBytes")
    if byte_range is not None:
        return bool(found == f"{byte_range[0]}-{byte_range[1]}")
    return found is None or (isinstance(size_in_bytes, int) and found == f"0-{size_in_bytes - 1}")


def _has_inventory(found: Mapping[str, Any], request: JobRequest) -> bool:
    given = request.inventory_parameters
    if given.keys() & {"Limit", "Marker"} or found.get("Limit") is not None or found.get("Marker") is not None:
        return False
    return (found.get("Format") or "JSON") == (request.output_format or "JSON") and all(
        moment_of(found.get(name)) == moment_of(given.get(name)) for name in ("StartDate", "EndDate")
    )
