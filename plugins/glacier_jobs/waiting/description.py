"""The description of the only job of a wait, which is the wait's result, from its last poll to the sensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from glacier_jobs.errors import AccessDenied, MalformedAnswer, ServiceUnavailable
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.stored_state import packed, unpacked


def to_event(description: Mapping[str, Any]) -> str:
    """Return a description for a trigger's event, compressed to ASCII.

    Airflow logs events, and a description holds what a user typed. That can also be text or a number that Airflow
    cannot hand on.
    """
    return packed(json.dumps(description))


def from_event(event: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the description that a trigger's event holds, by its job's id; nothing where it holds none."""
    if event.get("description") is None:
        return {}
    description = json.loads(unpacked(event["description"]))
    return {description["JobId"]: description}


def described(hook: GlacierJobsHook, vault_name: str, job_id: str, account_id: str) -> Mapping[str, Any]:
    """Return the description of a job that an earlier poll saw succeed, for an event of version 0.1.0, which has none.

    :raises ServiceUnavailable: also where access is denied: it was not when the job was polled.
    :raises JobNotFound: the job has expired.

    Other errors are those of the hook.
    """
    try:
        return hook.get_job(vault_name, job_id, account_id)
    except AccessDenied as error:
        raise ServiceUnavailable(str(error)) from error


def check_succeeded(description: Mapping[str, Any], vault_name: str) -> None:
    """Check that a description is that of a job that succeeded.

    :raises MalformedAnswer: names what was found.
    """
    if description.get("StatusCode") != "Succeeded":
        raise MalformedAnswer(
            f"job {description['JobId']} of vault {vault_name}: StatusCode is {description.get('StatusCode')!r}; "
            "expected Succeeded, which an earlier poll showed"
        )
