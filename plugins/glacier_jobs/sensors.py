"""The Airflow sensor that waits for Amazon Glacier's jobs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk import PokeReturnValue
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from glacier_jobs.arguments import checked_seconds, refuse_discarded
from glacier_jobs.dataset.uris import check_literal_uri, is_uri
from glacier_jobs.errors import FinalError, InvalidArgument, ServiceUnavailable, TransientError
from glacier_jobs.glacier.client import POLLING_RETRY_POLICY
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.links import GlacierVaultLink
from glacier_jobs.triggers import GlacierJobTrigger
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.job_ids import awaited_ids, is_single
from glacier_jobs.waiting.poll import PollRequest, poll
from glacier_jobs.waiting.state import PollResult, Wait, failure_message, from_json, timeout_message, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

#: Jobs take hours. A poll takes few requests, but each poll in the mode ``reschedule`` starts a process.
DEFAULT_POKE_INTERVAL = timedelta(minutes=10)

#: Bulk retrievals typically take up to 12 hours, and a finished job is kept for 24.
DEFAULT_TIMEOUT = timedelta(hours=24)

DEFAULT_MISSING_GRACE = timedelta(minutes=15)
DEFAULT_MAX_BAD_POLLS = 10

#: The interval of a deferred sensor whose ``poke_interval`` is 0, which Airflow allows; polls without a delay would put
#: needless load on Glacier.
NO_INTERVAL_SECONDS = 1.0

#: A task that is rescheduled by few seconds may be queued before the scheduler has processed the end of its previous
#: process. Airflow 3.3.2 then attributes that end to the new process, reports a "state mismatch", and fails the try.
SHORTEST_RESCHEDULE_SECONDS = 15.0

#: How long after the trigger's own deadline Airflow ends a deferral that got no event.
_DEFERRAL_MARGIN = timedelta(seconds=60)

_STATE_KEY = "glacier_jobs_wait"


class GlacierJobSensor(AwsBaseSensor[GlacierJobsHook]):
    """Wait until one or many jobs of a vault have succeeded.

    If a job failed or is missing, the task fails immediately and without retries, with a message that names the job and
    the reason. A job is missing if neither a complete listing shows it nor Describe Job knows it, and if it was listed
    before or ``missing_grace`` is over. After a transient error (throttling, 5xx, dropped connection), the sensor polls
    again. Reading the ids from a URI is part of a poll, except for a deferrable sensor, which needs the ids to defer.

    All modes have the same results, failures and time-outs. Deferred sensors in one triggerer that wait for the same
    vault with the same connection settings share their polls.

    Example::

        GlacierJobSensor(task_id="wait", vault_name="photos", job_id=started, deferrable=True)

    :param vault_name: the vault of the jobs. (templated)
    :param job_id: one id; several ids, for example an upstream task's XCom; or a ``file://`` or ``s3://`` URI of ids,
        as text with one id a line, or as Parquet with a column ``job_id``. In the mode ``reschedule``, the URI is read
        at each poll. The answer to Initiate Job (``{"jobId"}``) is accepted in place of an id. (templated)
    :param account_id: 12 digits, or ``-`` for the account of the credentials. (templated)
    :param wait_for_all: whether to wait until all jobs are final before failing for those that failed or are missing.
    :param missing_grace: how long after the first start of this try a job that was never listed is not missing yet,
        a ``timedelta`` or seconds; Glacier may list new jobs with a delay.
    :param max_bad_polls: how many polls in a row may fail; with ``silent_fail``, any number.
    :param deferrable: whether the sensor waits in the triggerer; the default is Airflow's
        ``[operators] default_deferrable``.
    :param poke_interval: the time between two polls, 10 minutes by default; in the mode ``reschedule`` at least 15
        seconds. For a deferred sensor, ``exponential_backoff`` does not lengthen it, because the poll is shared.
    :param timeout: the time from the first start of this try, 24 hours by default.
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom, for one id the job's description; otherwise
        ``{"vault_name", "jobs", "succeeded", "failed", "missing"}`` with counts.
    :raises AirflowFailException: a job failed or is missing, or Glacier would refuse again (no such vault, access
        denied, not supported).
    :raises AirflowSensorTimeout: jobs are still pending after ``timeout``.
    :raises ServiceUnavailable: more than ``max_bad_polls`` polls in a row failed; Airflow's retries apply.
    """

    aws_hook_class = GlacierJobsHook
    template_fields: Sequence[str] = aws_template_fields("account_id", "botocore_config", "job_id", "vault_name")
    operator_extra_links = (GlacierVaultLink(),)
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        vault_name: str,
        job_id: Any,
        account_id: str = "-",
        wait_for_all: bool = False,
        missing_grace: timedelta | float = DEFAULT_MISSING_GRACE,
        max_bad_polls: int = DEFAULT_MAX_BAD_POLLS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = DEFAULT_POKE_INTERVAL,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        mode: str = "reschedule",
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        super().__init__(poke_interval=poke_interval, timeout=timeout, mode=mode, **kwargs)
        self.vault_name = vault_name
        self.job_id = _checked_literal(job_id)
        self.account_id = account_id
        self.wait_for_all = wait_for_all
        self.missing_grace = checked_seconds(missing_grace, "missing_grace", zero=True)
        self.max_bad_polls = _checked_count(max_bad_polls)
        self.deferrable = deferrable
        self._wait: Wait | None = None
        self._job_ids: tuple[str, ...] = ()

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {**super()._hook_parameters, "retry_policy": POLLING_RETRY_POLICY}

    def execute(self, context: Context) -> Any:
        """Wait for the jobs; in the modes that release the worker slot, until the slot is released."""
        self._wait = None
        self._job_ids = ()
        return super().execute(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once; if jobs are still pending and the sensor is deferrable, continue in the triggerer."""
        try:
            try:
                self._job_ids = self._job_ids or awaited_ids(self.job_id)
                self._wait = wait = self._restored(context)
                self._link(context)
                result = self._poll(wait)
            except TransientError as error:
                if self.deferrable and not self._job_ids:
                    raise  # the trigger needs the ids, and does not read them itself
                self._wait = wait = self._restored(context).after_bad_poll()
                self.log.warning("Bad poll %d in a row: %s", wait.bad_polls, error)
                if self._max_bad_polls is not None and wait.bad_polls > self._max_bad_polls:
                    raise self._unreachable(wait, str(error)) from error
            else:
                self._wait = wait = self._judged(wait, result)
                if wait.is_over(wait_for_all=self.wait_for_all):
                    return PokeReturnValue(
                        is_done=True, xcom_value=self._result(wait, result.found.get(self._job_ids[0]))
                    )
        except FinalError as error:
            raise AirflowFailException(str(error)) from error
        if datetime.now(timezone.utc) >= self._deadline(wait):
            raise self._timed_out(wait)
        if self.deferrable:
            self._defer_until_deadline(wait)
        if self._stores_state(context):
            self._store(context, wait)
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Resume after the trigger's event."""
        wait = from_json(event["wait"], event["job_ids"])
        try:
            if event["outcome"] == "refused":
                raise AirflowFailException(event["message"])
            if event["outcome"] == "unreachable":
                raise self._unreachable(wait, event["message"])
            if event["outcome"] == "timed_out":
                wait = self._last_poll(wait)
            return self._result(wait)
        except FinalError as error:
            raise AirflowFailException(str(error)) from error
        except TransientError as error:
            # Airflow applies never_fail to all errors of poke(), but here to its own errors only.
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
            raise

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Back off after failed polls, and poll at the deadline; if rescheduled, not sooner than Airflow supports."""
        interval_seconds = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        if self._wait is None:
            return interval_seconds
        delay_seconds = next_delay_seconds(interval_seconds, self._wait.bad_polls, random.random())  # noqa: S311 - jitter, no secret
        remaining = self._deadline(self._wait) - datetime.now(timezone.utc)
        shortest_seconds = SHORTEST_RESCHEDULE_SECONDS if self.reschedule else 0.0
        return max(shortest_seconds, min(delay_seconds, remaining.total_seconds()))

    def _restored(self, context: Context) -> Wait:
        if self._wait is not None:
            # While the ids could not be read, failed polls were counted in a wait without ids.
            return self._wait if self._wait.jobs else replace(self._wait, pending=self._job_ids)
        if stored := self._stored(context):
            return from_json(stored, self._job_ids)
        ti = context.get("ti")
        started_at = ti.start_date if ti is not None else None
        return Wait(started_at=started_at or datetime.now(timezone.utc), pending=self._job_ids)

    def _stored(self, context: Context) -> Mapping[str, Any] | None:
        """Return the state that this try stored before it was rescheduled."""
        ti = context.get("ti")
        if ti is None or not self._stores_state(context):
            return None
        stored: Any = context["task_state_store"].get(_STATE_KEY)
        # The store outlives a try; a retry starts a new wait.
        return stored["wait"] if stored is not None and stored["try_number"] == ti.try_number else None

    def _store(self, context: Context, wait: Wait) -> None:
        state = to_json(wait, self._job_ids)
        if not self._job_ids:
            # Without the ids, the earlier verdicts cannot be restored; they are kept until the ids can be read.
            state = {**state, **(self._stored(context) or {}), "bad_polls": wait.bad_polls}
        context["task_state_store"].set(_STATE_KEY, {"try_number": context["ti"].try_number, "wait": state})

    def _stores_state(self, context: Context) -> bool:
        return self.reschedule and not self.deferrable and "task_state_store" in context

    def _poll(self, wait: Wait) -> PollResult:
        doubtful = wait.doubtful(datetime.now(timezone.utc), self._missing_grace)
        request = PollRequest(job_ids=frozenset(wait.pending), doubtful=doubtful)
        return poll(self.hook, self.vault_name, self.account_id, request, pages=wait.pages)

    def _judged(self, wait: Wait, result: PollResult) -> Wait:
        judged = wait.after(result, datetime.now(timezone.utc), self._missing_grace)
        self.log.info("%s", judged)
        return judged

    def _last_poll(self, wait: Wait) -> Wait:
        """Poll once more at the deadline, as the other modes do."""
        try:
            wait = self._judged(wait, self._poll(wait))
        except TransientError as error:
            raise self._timed_out(wait) from error
        if not wait.is_over(wait_for_all=self.wait_for_all):
            raise self._timed_out(wait)
        return wait

    def _defer_until_deadline(self, wait: Wait) -> NoReturn:
        deadline = self._deadline(wait)
        self.defer(
            trigger=GlacierJobTrigger(
                vault_name=self.vault_name,
                account_id=self.account_id,
                job_ids=wait.pending,
                wait=to_json(wait, wait.pending),
                deadline=deadline.isoformat(),
                missing_grace_seconds=self._missing_grace.total_seconds(),
                poll_seconds=self.poke_interval or NO_INTERVAL_SECONDS,
                max_bad_polls=self._max_bad_polls,
                wait_for_all=self.wait_for_all,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=deadline - datetime.now(timezone.utc) + _DEFERRAL_MARGIN,
        )

    def _result(self, wait: Wait, description: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if wait.has_problems:
            raise AirflowFailException(failure_message(self.vault_name, wait))
        if is_single(self.job_id):
            return dict(description or self._described())
        return {
            "vault_name": self.vault_name,
            "jobs": wait.jobs,
            "succeeded": wait.succeeded,
            "failed": wait.failed,
            "missing": wait.missing,
        }

    def _described(self) -> Mapping[str, Any]:
        """Request the description that a trigger's event does not carry, with the default retry policy."""
        (job_id,) = awaited_ids(self.job_id)
        return GlacierJobsHook(**super()._hook_parameters).get_job(self.vault_name, job_id, self.account_id)

    def _deadline(self, wait: Wait) -> datetime:
        return wait.started_at + timedelta(seconds=self.timeout)

    def _timed_out(self, wait: Wait) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(timeout_message(self.vault_name, wait, self.timeout))

    def _unreachable(self, wait: Wait, reason: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"{wait.bad_polls} polls in a row of the jobs of vault {self.vault_name} failed ({wait}). "
            f"The last error: {reason}"
        )

    @property
    def _missing_grace(self) -> timedelta:
        return timedelta(seconds=self.missing_grace)

    @property
    def _max_bad_polls(self) -> int | None:
        return None if self.silent_fail else self.max_bad_polls

    def _link(self, context: Context) -> None:
        GlacierVaultLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            vault_name=self.vault_name,
        )


def _checked_count(max_bad_polls: object) -> int:
    if isinstance(max_bad_polls, int) and not isinstance(max_bad_polls, bool) and max_bad_polls >= 0:
        return max_bad_polls
    raise InvalidArgument(f"max_bad_polls is {max_bad_polls!r}; expected a whole number of at least 0")


def _checked_literal(job_id: object) -> object:
    if isinstance(job_id, str) and is_uri(job_id):
        try:
            check_literal_uri(job_id.strip(), "job_id")
        except InvalidArgument as error:
            # A mapped task is created in its run, where this is not retried.
            raise AirflowFailException(str(error)) from error
    return job_id
