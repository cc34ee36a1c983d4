"""The trigger behind a deferred :class:`~glacier_jobs.sensors.GlacierJobSensor`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from glacier_jobs.errors import FinalError, GlacierJobsError
from glacier_jobs.waiting.poll import PollRequest
from glacier_jobs.waiting.shared_poller import PollerRegistry, PollKey
from glacier_jobs.waiting.state import Wait, from_json, to_json

#: How long a trigger yields no event. Airflow 3.3.2 can fail a task whose trigger yields its event in the first seconds
#: after the deferral; up to 7 s were measured (apache/airflow #72716, #71580).
QUIET_SECONDS = 15.0


class GlacierJobTrigger(BaseTrigger):
    """Wait until the awaited jobs are final, or until a deadline.

    It yields one event, ``{"outcome", "job_ids", "wait", "message"}``: ``outcome`` is ``judged`` (the wait is over),
    ``timed_out``, ``unreachable`` (too many failed polls in a row) or ``refused`` (Glacier would refuse again);
    ``job_ids`` are the jobs still pending, and ``wait`` is the state as :mod:`glacier_jobs.waiting.state` stores it.

    :param job_ids: the pending jobs.
    :param wait: the state of the wait, as :mod:`glacier_jobs.waiting.state` stores it.
    :param deadline: a time with time zone in ISO 8601. It is absolute, so that restarts of the triggerer do not extend
        the wait.
    :param missing_grace_seconds: how long after the start of the wait a job that was never listed is not missing yet.
    :param poll_seconds: the interval between two polls; triggers that share their polls share the shortest interval.
    :param max_bad_polls: how many polls in a row may fail; ``None`` for any number.
    :param wait_for_all: whether the wait continues for the other jobs after one failed or is missing.
    :param quiet_seconds: how long no event is yielded; the first poll follows after that.
    """

    def __init__(
        self,
        *,
        vault_name: str,
        account_id: str,
        job_ids: Sequence[str],
        wait: Mapping[str, Any],
        deadline: str,
        missing_grace_seconds: float,
        poll_seconds: float,
        max_bad_polls: int | None,
        wait_for_all: bool,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        botocore_config: Mapping[str, Any] | None,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's, untyped
        self.vault_name = vault_name
        self.account_id = account_id
        self.job_ids = list(job_ids)
        self.wait = dict(wait)
        self.deadline = deadline
        self.missing_grace_seconds = missing_grace_seconds
        self.poll_seconds = poll_seconds
        self.max_bad_polls = max_bad_polls
        self.wait_for_all = wait_for_all
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.quiet_seconds = quiet_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, from which the triggerer recreates this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "vault_name": self.vault_name,
                "account_id": self.account_id,
                "job_ids": self.job_ids,
                "wait": self.wait,
                "deadline": self.deadline,
                "missing_grace_seconds": self.missing_grace_seconds,
                "poll_seconds": self.poll_seconds,
                "max_bad_polls": self.max_bad_polls,
                "wait_for_all": self.wait_for_all,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
                "quiet_seconds": self.quiet_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event."""
        loop = asyncio.get_running_loop()
        quiet_until = loop.time() + self.quiet_seconds
        event = await self._event()
        await asyncio.sleep(max(0.0, quiet_until - loop.time()))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's, untyped

    async def _event(self) -> dict[str, Any]:
        wait = from_json(self.wait, self.job_ids)
        deadline = datetime.fromisoformat(self.deadline)
        missing_grace = timedelta(seconds=self.missing_grace_seconds)

        def request() -> PollRequest:
            return PollRequest(
                job_ids=frozenset(wait.pending),
                doubtful=wait.doubtful(datetime.now(timezone.utc), missing_grace),
            )

        with PollerRegistry.of_running_loop().subscribe(
            self._poll_key(), request, poll_seconds=self.poll_seconds, first_after_seconds=self.quiet_seconds
        ) as subscription:
            while True:
                remaining_seconds = (deadline - datetime.now(timezone.utc)).total_seconds()
                try:
                    result = await subscription.next_result(within_seconds=max(0.0, remaining_seconds))
                    if isinstance(result, GlacierJobsError):
                        raise result
                    wait = wait.after(result, datetime.now(timezone.utc), missing_grace)
                except asyncio.TimeoutError:
                    return _event("timed_out", wait)
                except FinalError as error:
                    return _event("refused", wait, str(error))
                except GlacierJobsError as error:
                    wait = wait.after_bad_poll()
                    self.log.warning("Bad poll %d in a row: %s", wait.bad_polls, error)
                    if self.max_bad_polls is not None and wait.bad_polls > self.max_bad_polls:
                        return _event("unreachable", wait, str(error))
                    continue
                self.log.info("%s", wait)
                if wait.is_over(wait_for_all=self.wait_for_all):
                    return _event("judged", wait)

    def _poll_key(self) -> PollKey:
        return PollKey.of(
            vault_name=self.vault_name,
            account_id=self.account_id,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )


def _event(outcome: str, wait: Wait, message: str | None = None) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "job_ids": list(wait.pending),
        "wait": to_json(wait, wait.pending),
        "message": message,
    }
