"""What a poll changes in a wait, and whether the wait is over. All pure.

The sensor and its trigger decide by these rules, so that all modes have the same results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from glacier_jobs.errors import AccessDenied, FinalError, GlacierJobsError
from glacier_jobs.waiting.state import PollResult, Wait

#: The default interval between two polls. Jobs take hours, and each poll in the mode ``reschedule`` starts a process.
INTERVAL_SECONDS = 600.0

#: The default interval while all pending jobs have the tier Expedited, which typically take 1 to 5 minutes, or may have
#: it.
EXPEDITED_INTERVAL_SECONDS = 60.0


class Ending(str, Enum):
    """How a wait ended."""

    #: The jobs are final, or enough of them are.
    JUDGED = "judged"
    #: The same poll would fail again.
    REFUSED = "refused"
    #: Too many polls in a row failed, and the last one was denied.
    DENIED = "denied"
    #: Too many polls in a row failed; a later try may succeed.
    UNREACHABLE = "unreachable"
    #: Jobs are still pending at the deadline.
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a poll made of a wait.

    :param ending: how the wait ended; ``None`` if it continues.
    :param error: why the poll failed; ``None`` if it was successful.
    """

    wait: Wait
    ending: Ending | None = None
    error: GlacierJobsError | None = None


@dataclass(frozen=True, kw_only=True)
class WaitRules:
    """When the wait for some jobs is over.

    :param missing_grace: how long after the start of the wait a job that was never listed is not missing yet.
    :param max_bad_polls: how many polls in a row may fail; ``None`` for any number.
    :param wait_for_all: whether the wait continues for the other jobs after one failed or is missing.
    """

    missing_grace: timedelta
    max_bad_polls: int | None
    wait_for_all: bool

    def doubtful(self, wait: Wait, now: datetime) -> frozenset[str]:
        """Return the pending ids that are missing if the next poll does not show them."""
        return wait.doubtful(now, self.missing_grace)

    def default_interval_seconds(self, wait: Wait, now: datetime) -> float:
        """Return the interval between two polls where none was given.

        A job that Glacier does not list yet may have the tier Expedited.
        """
        not_listed = wait.polled and wait.pending and not wait.seen and now - wait.started_at < self.missing_grace
        return EXPEDITED_INTERVAL_SECONDS if wait.expedited or not_listed else INTERVAL_SECONDS

    def after(self, wait: Wait, result: PollResult | GlacierJobsError, now: datetime) -> Step:
        """Return the wait after a poll, and whether it is over.

        A final error ends the wait. The exception is access that is denied after a successful poll of the same wait:
        the credentials were allowed to poll, so this can be a change of them that is not complete yet. It counts as a
        failed poll.

        Example::

            step = rules.after(wait, result, datetime.now(timezone.utc))
        """
        if isinstance(result, GlacierJobsError):
            return self._after_bad_poll(wait, wait, result)
        known = wait.after(result, now, self.missing_grace)
        if known.is_over(wait_for_all=self.wait_for_all):
            return Step(wait=known, ending=Ending.JUDGED)
        if refusal := _refusal(result.refusals(known.pending)):
            return self._after_bad_poll(wait, known, refusal)
        return Step(wait=known)

    def _after_bad_poll(self, before: Wait, known: Wait, error: GlacierJobsError) -> Step:
        """Count a failed poll of the wait ``before``, of which ``known`` is what the poll showed nevertheless."""
        denied = isinstance(error, AccessDenied)
        if isinstance(error, FinalError) and not (denied and before.polled):
            return Step(wait=known, ending=Ending.REFUSED, error=error)
        wait = replace(known, bad_polls=before.bad_polls + 1)
        ending = None
        if self.max_bad_polls is not None and wait.bad_polls > self.max_bad_polls:
            ending = Ending.DENIED if denied else Ending.UNREACHABLE
        return Step(wait=wait, ending=ending, error=error)


def _refusal(refusals: Mapping[str, FinalError]) -> FinalError | None:
    """Return one of these errors; a denial only if there is no other."""
    return min(refusals.values(), key=lambda error: isinstance(error, AccessDenied), default=None)
