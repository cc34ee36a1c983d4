"""The exception with which a task ends whose wait did not succeed."""

from __future__ import annotations

from glacier_jobs.compat import AirflowFailException
from glacier_jobs.errors import ServiceUnavailable
from glacier_jobs.no_retries import Refused
from glacier_jobs.waiting.rules import Ending
from glacier_jobs.waiting.state import Wait, failure_message, timeout_message, unreachable_message


def failure_of(
    vault_name: str,
    wait: Wait,
    ending: Ending,
    reason: str | None,
    *,
    timeout_seconds: float,
    timed_out: type[Exception],
) -> Exception | None:
    """Return the exception for a wait that has ended; ``None`` if all jobs succeeded.

    :param reason: the error of the last poll.
    :param timed_out: the class of the exception for jobs that are pending at the deadline.
    """
    if ending is Ending.JUDGED:
        return AirflowFailException(failure_message(vault_name, wait)) if wait.problems else None
    if ending is Ending.TIMED_OUT:
        return timed_out(timeout_message(vault_name, wait, timeout_seconds))
    if ending is Ending.REFUSED:
        return Refused(reason)
    message = unreachable_message(vault_name, wait, str(reason))
    return Refused(message) if ending is Ending.DENIED else ServiceUnavailable(message)
