"""The trigger behind a deferred :class:`~glacier_jobs.sensors.GlacierJobSensor`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from airflow.triggers.base import BaseTrigger, TriggerEvent

from glacier_jobs.errors import GlacierJobsError
from glacier_jobs.waiting.description import to_event
from glacier_jobs.waiting.poll import PollRequest
from glacier_jobs.waiting.progress import Progress
from glacier_jobs.waiting.rules import Ending, WaitRules
from glacier_jobs.waiting.shared_poller import PollerRegistry, PollKey, Subscription
from glacier_jobs.waiting.state import PollResult, Verdict, Wait
from glacier_jobs.waiting.stored_state import from_json, to_json

#: How long a trigger yields no event. Airflow 3.3.2 can fail a task whose trigger yields its event in the first seconds
#: after the deferral; up to 7 s were measured (apache/airflow #72716, #71580).
QUIET_SECONDS = 15.0

#: The event that stores the state of a wait that continues.
PROGRESS: Literal["progress"] = "progress"

#: When a trigger of version 0.1.0 was stored.
_LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


class GlacierJobTrigger(BaseTrigger):
    """Wait until the awaited jobs are final, or until a deadline.

    It yields one event, ``{"outcome", "vault_name", "account_id", "job_ids", "wait", "message", "description"}``:
    ``outcome`` is ``judged`` (the wait is over), ``timed_out``, ``unreachable`` (too many failed polls in a row),
    ``denied`` (the last of them was denied), ``refused`` (Glacier would refuse again) or ``progress``; ``wait`` is the
    state as :mod:`glacier_jobs.waiting.stored_state` stores it. If one id was given, and its job succeeded,
    ``description`` is what :mod:`glacier_jobs.waiting.description` makes of its description, and otherwise ``None``.

    ``progress`` stores verdicts that changed: the sensor defers again with the new state. A trigger that is created
    again, after a restart of the triggerer, does not poll for these jobs any more, which Glacier may have dropped.
    :mod:`glacier_jobs.waiting.progress` decides when it is due.

    :param job_ids: the awaited jobs, in the order of the state's verdicts.
    :param wait: the state of the wait, as :mod:`glacier_jobs.waiting.stored_state` stores it, and ``stored_at``.
    :param deadline: a time with time zone in ISO 8601. It is absolute, so that restarts of the triggerer do not extend
        the wait.
    :param missing_grace_seconds: how long after the start of the wait a job that was never listed is not missing yet.
    :param poll_seconds: the interval between two polls; ``None`` for the sensor's default. Triggers that share
        their polls share the shortest interval.
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
        poll_seconds: float | None,
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
        progress = Progress(stored_at=datetime.fromisoformat(self.wait.get("stored_at", _LONG_AGO.isoformat())))
        deadline = datetime.fromisoformat(self.deadline)
        rules = self._rules

        def request() -> PollRequest:
            return PollRequest(
                job_ids=frozenset(wait.pending), doubtful=rules.doubtful(wait, datetime.now(timezone.utc))
            )

        def subscribe(first_after_seconds: float) -> Subscription:
            return PollerRegistry.of_running_loop().subscribe(
                self._poll_key(),
                request,
                poll_seconds=self._poll_seconds(wait),
                first_after_seconds=first_after_seconds,
            )

        subscription = subscribe(self.quiet_seconds)
        try:
            while True:
                until = min(deadline, progress.due_at or deadline)
                within_seconds = max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
                try:
                    result = await subscription.next_result(within_seconds=within_seconds)
                except asyncio.TimeoutError:
                    over = datetime.now(timezone.utc) >= deadline
                    return self._event_of(Ending.TIMED_OUT.value if over else PROGRESS, wait)
                now = datetime.now(timezone.utc)
                step = rules.after(wait, result, now)
                if step.error is not None:
                    self.log.warning("Bad poll %d in a row: %s", step.wait.bad_polls, step.error)
                if isinstance(result, PollResult):
                    progress = progress.after(wait, step.wait, result, now)
                    self.log.info("%s", step.wait)
                wait = step.wait
                if step.ending is not None:
                    return self._event_of(step.ending.value, wait, step.error, self._description(wait, result))
                if progress.is_due(now):
                    return self._event_of(PROGRESS, wait)
                if self._poll_seconds(wait) != subscription.poll_seconds:
                    subscription.cancel()
                    subscription = subscribe(self._poll_seconds(wait))
        finally:
            subscription.cancel()

    def _poll_seconds(self, wait: Wait) -> float:
        if self.poll_seconds is None:
            return self._rules.default_interval_seconds(wait, datetime.now(timezone.utc))
        return self.poll_seconds

    @property
    def _rules(self) -> WaitRules:
        return WaitRules(
            missing_grace=timedelta(seconds=self.missing_grace_seconds),
            max_bad_polls=self.max_bad_polls,
            wait_for_all=self.wait_for_all,
        )

    def _description(self, wait: Wait, result: PollResult | GlacierJobsError) -> str | None:
        if self._single is False or not isinstance(result, PollResult):
            return None
        succeeded = [
            result.found[job_id]
            for job_id, verdict in wait.verdicts.items()
            if verdict is Verdict.SUCCEEDED and job_id in result.found
        ]
        return to_event(succeeded[0]) if len(succeeded) == wait.jobs == 1 else None

    @property
    def _single(self) -> bool | None:
        """Whether one id was given; ``None`` if version 0.1.0 stored this trigger: the sensor knows it."""
        return self.wait.get("single")

    def _event_of(
        self, outcome: str, wait: Wait, error: Exception | None = None, description: str | None = None
    ) -> dict[str, Any]:
        return {
            "outcome": outcome,
            "vault_name": self.vault_name,
            "account_id": self.account_id,
            "job_ids": list(wait.verdicts),
            "wait": {**to_json(wait), "single": self._single},
            "message": None if error is None else str(error),
            "description": description,
        }

    def _poll_key(self) -> PollKey:
        return PollKey.of(
            vault_name=self.vault_name,
            account_id=self.account_id,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
