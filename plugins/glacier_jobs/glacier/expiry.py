"""Until when Glacier keeps a completed job and its output. All pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.glacier.timestamps import moment_of

#: How long Glacier keeps a completed job at least.
KEPT_FOR = timedelta(hours=24)


def expires_at(job: Mapping[str, Any]) -> datetime | None:
    """Return the earliest time at which Glacier may delete a job and its output.

    :param job: a job's description.
    :return: ``None`` while the job is in progress, and if its description does not show when it completed.
    """
    completed_at = moment_of(job.get("CompletionDate"))
    return None if completed_at is None else completed_at + KEPT_FOR
