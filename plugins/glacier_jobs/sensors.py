"""The Airflow sensor that waits for Amazon Glacier's jobs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils import validate_execute_complete_event
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk import PokeReturnValue

from glacier_jobs import compat
from glacier_jobs.arguments import checked_count, checked_seconds, refuse_discarded
from glacier_jobs.compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferralTimeout,
    conf,
)
from glacier_jobs.dataset.uris import is_uri
from glacier_jobs.errors import (
    AccessDenied,
    ConnectionNotFound,
    CredentialsUnavailable,
    GlacierJobsError,
    InvalidArgument,
    JobNotFound,
    TransientError,
)
from glacier_jobs.glacier.client import POLLING_RETRY_POLICY
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.links import GlacierVaultLink
from glacier_jobs.no_retries import Refused, arguments_refused, raisable
from glacier_jobs.triggers import PROGRESS, GlacierJobTrigger
from glacier_jobs.uri_fields import ChecksUris
from glacier_jobs.waiting import task_state
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.description import check_succeeded, described, from_event
from glacier_jobs.waiting.failure import failure_of
from glacier_jobs.waiting.job_ids import awaited_ids, is_single
from glacier_jobs.waiting.outcome_file import check_outcome_uri, write_outcomes
from glacier_jobs.waiting.poll import PollRequest, poll
from glacier_jobs.waiting.rules import INTERVAL_SECONDS, Ending, Step, WaitRules
from glacier_jobs.waiting.state import PollResult, Verdict, Wait
from glacier_jobs.waiting.stored_state import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context

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


class GlacierJobSensor(ChecksUris, AwsBaseSensor[GlacierJobsHook]):
    """Wait until one or many jobs of a vault have succeeded.

    If a job failed or is missing, the task fails immediately and without retries, with a message that names the job and
    the reason. A job is missing if neither a complete listing shows it nor Describe Job knows it, and if it was listed
    before or ``missing_grace`` is over. After a transient error (throttling, 5xx, dropped connection, no credentials),
    the sensor polls again. So it does where access is denied after a successful poll of this try. Reading the ids from
    a URI is part of a poll, except for a deferrable sensor, which needs the ids to defer.

    All modes have the same results, failures and time-outs. Deferred sensors in one triggerer that wait for the same
    vault with the same connection settings share their polls.

    Example::

        GlacierJobSensor(task_id="wait", vault_name="photos", job_id=started, deferrable=True)

    :param vault_name: the vault of the jobs. (templated)
    :param job_id: one id; several ids, for example an upstream task's XCom; or a ``file://`` or ``s3://`` URI of ids,
        as text with one id a line, or as Parquet with a column ``job_id``. In the mode ``reschedule``, more than
        100 ids are read at each poll; if they have changed, the wait fails. The answer to Initiate Job (``{"jobId"}``)
        or a job's description (``{"JobId"}``) is accepted in place of an id. (templated)
    :param account_id: 12 digits, or ``-`` for the account of the credentials. (templated)
    :param outcome_uri: a ``file://`` or ``s3://`` URI of a Parquet file that is written before the wait succeeds or
        fails, with the columns ``vault_name``, ``job_id``, ``outcome`` (``succeeded``, ``failed``, ``missing`` or
        ``pending``) and ``status_message``. It replaces the file of an earlier try. Its URI is the XCom
        ``outcome_uri``. Each task and map index needs a URI of its own. (templated)
    :param wait_for_all: whether to wait until all jobs are final before failing for those that failed or are missing.
    :param missing_grace: how long after the first start of this try a job that was never listed is not missing yet,
        a ``timedelta`` or seconds; Glacier may list new jobs with a delay.
    :param max_bad_polls: how many polls in a row may fail; with ``silent_fail``, any number.
    :param deferrable: whether the sensor waits in the triggerer; the default is Airflow's
        ``[operators] default_deferrable``.
    :param poke_interval: the time between two polls; by default 60 seconds while all pending jobs have the tier
        Expedited, or within ``missing_grace`` none of them has been listed, and otherwise 10 minutes. In the mode
        ``reschedule``, it is at least 15 seconds. For a deferred sensor, ``exponential_backoff`` does not lengthen it,
        because the poll is shared.
    :param mode: ``reschedule`` by default, and ``poke`` by default before Airflow 3.3: there Airflow keeps nothing of a
        task between two polls in different processes, and ``reschedule`` is refused. ``poke`` keeps its worker slot.
    :param timeout: the time from the first start of this try, 24 hours by default, and at most 3,650 days.
    :param soft_fail: whether the task is skipped if jobs failed, are missing, or are pending after ``timeout``. For
        all other reasons, it fails.
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom, for one id the job's description; otherwise
        ``{"vault_name", "jobs", "succeeded", "failed", "missing"}`` with counts.
    :raises AirflowFailException: a job failed or is missing, or the same poll would fail again (invalid argument, no
        such connection or vault, access denied, not supported). Airflow does not retry.
    :raises AirflowSensorTimeout: jobs are still pending after ``timeout``.
    :raises ServiceUnavailable: more than ``max_bad_polls`` polls in a row failed; Airflow's retries apply.
    """

    aws_hook_class = GlacierJobsHook
    template_fields: Sequence[str] = aws_template_fields(
        "account_id", "botocore_config", "job_id", "outcome_uri", "vault_name"
    )
    operator_extra_links = (GlacierVaultLink(),)
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        vault_name: str,
        job_id: Any,
        account_id: str = "-",
        outcome_uri: str | None = None,
        wait_for_all: bool = False,
        missing_grace: timedelta | float = DEFAULT_MISSING_GRACE,
        max_bad_polls: int = DEFAULT_MAX_BAD_POLLS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        timeout: timedelta | float = DEFAULT_TIMEOUT,
        mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        with arguments_refused():
            for name, seconds in {
                "timeout": timeout,
                "poke_interval": poke_interval,
                "max_wait": kwargs.get("max_wait"),
            }.items():
                if seconds is not None:
                    checked_seconds(seconds, name, zero=True)
            missing_grace = checked_seconds(missing_grace, "missing_grace", zero=True)
            checked_count(max_bad_polls, "max_bad_polls")
            checked_mode = _checked_mode(mode, deferrable=deferrable)
        super().__init__(
            poke_interval=INTERVAL_SECONDS if poke_interval is None else poke_interval,
            timeout=timeout,
            mode=checked_mode,
            **kwargs,
        )
        self.vault_name = vault_name
        self.job_id = job_id
        self.account_id = account_id
        self.outcome_uri = outcome_uri
        self._check_literal_uris()
        self.default_poke_interval = poke_interval is None
        self.wait_for_all = wait_for_all
        self.missing_grace = missing_grace
        self.max_bad_polls = max_bad_polls
        self.deferrable = deferrable
        self._wait: Wait | None = None

    def _uris(self) -> Mapping[str, object]:
        ids = self.job_id.strip() if isinstance(self.job_id, str) and is_uri(self.job_id) else None
        return {"job_id": ids, "outcome_uri": self.outcome_uri}

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {**super()._hook_parameters, "retry_policy": POLLING_RETRY_POLICY}

    def execute(self, context: Context) -> Any:
        """Wait for the jobs; in the modes that release the worker slot, until the slot is released."""
        self._wait = None
        with self._soft_fail_for_jobs_only():
            return super().execute(context)

    def poke(self, context: Context | None) -> PokeReturnValue:
        """Poll once; if jobs are still pending and the sensor is deferrable, continue in the triggerer.

        :param context: the task's context. Without one, the state of the wait is kept in this object.
        """
        known: Mapping[str, Any] = context or {}
        step, found = self._step(known, self._wait or self._restored(known))
        self._wait = wait = step.wait
        if self.default_poke_interval:
            self.poke_interval = self._rules.default_interval_seconds(wait, datetime.now(timezone.utc))
        if step.ending is not None:
            return PokeReturnValue(is_done=True, xcom_value=self._end(known, wait, step.ending, step.error, found))
        if datetime.now(timezone.utc) < self._deadline(wait):
            if self.deferrable:
                self._defer_until_deadline(known, wait)
            if self.reschedule:
                self._save(known, wait)
        if datetime.now(timezone.utc) >= self._deadline(wait):
            self._end(known, wait, Ending.TIMED_OUT, step.error)
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """Resume after the trigger's event: end the wait, or continue it with the new state."""
        event = validate_execute_complete_event(None if event is None else dict(event))
        # The templates can be rendered differently now. The wait is for the same jobs of the same vault.
        self.vault_name = event.get("vault_name", self.vault_name)
        self.account_id = event.get("account_id", self.account_id)
        wait = from_json(event["wait"], event["job_ids"], single=is_single(self.job_id))
        if event["outcome"] == PROGRESS and datetime.now(timezone.utc) < self._deadline(wait):
            self._defer_until_deadline(context, wait)
        if event["outcome"] in (PROGRESS, Ending.TIMED_OUT.value):
            return self._last_poll(context, wait)
        return self._end(context, wait, Ending(event["outcome"]), event["message"], from_event(event))

    def execute_after_deadline(self, context: Context) -> Any:
        """Resume after Airflow ended the deferral, because no triggerer ran at the deadline."""
        return self._last_poll(context, self._restored(context))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, as the other modes end: with a last poll, and with the same results."""
        try:
            with self._soft_fail_for_jobs_only():
                return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            if not _ended_by_airflow(error):
                # Airflow applies never_fail to all errors of poke(), but here to its own only, or in 3.0 to none.
                if self.never_fail and not isinstance(error, AirflowSkipException):
                    raise AirflowSkipException("Skipping due to never_fail is set to True.") from error
                raise
        return self.resume_execution("execute_after_deadline", {}, context)

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

    @contextmanager
    def _soft_fail_for_jobs_only(self) -> Iterator[None]:
        """Skip with ``soft_fail`` where jobs failed, are missing or are still pending, and fail on all other errors."""
        try:
            yield
        except AirflowSkipException as skip:
            cause = skip.__cause__
            if self.soft_fail and isinstance(cause, Refused | TaskDeferralError):
                raise cause from cause.__cause__
            raise

    def _restored(self, context: Mapping[str, Any]) -> Wait:
        """Return the wait that this try began; without its jobs, if their ids must be read first."""
        if stored := self._stored(context):
            self.vault_name = stored.get("vault_name", self.vault_name)
            self.account_id = stored.get("account_id", self.account_id)
            return from_json(stored["wait"], stored.get("job_ids", ()))
        started_at = context["ti"].start_date if "ti" in context else None
        return Wait.for_jobs((), started_at=started_at or datetime.now(timezone.utc))

    def _stored(self, context: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return task_state.load(context) if self.reschedule or self.deferrable else None

    def _save(self, context: Mapping[str, Any], wait: Wait) -> None:
        task_state.save(context, wait, vault_name=self.vault_name, account_id=self.account_id)

    def _with_jobs(self, context: Mapping[str, Any], wait: Wait) -> Wait:
        if wait.jobs:
            return wait
        if self.outcome_uri is not None:
            check_outcome_uri(self.outcome_uri)
        job_ids, single = awaited_ids(self.job_id), is_single(self.job_id)
        if stored := self._stored(context):
            # While the ids could not be read, failed polls were counted in a wait without ids.
            return replace(from_json(stored["wait"], job_ids, single=single), bad_polls=wait.bad_polls)
        return replace(wait, verdicts=Wait.for_jobs(job_ids, started_at=wait.started_at).verdicts, single=single)

    def _step(self, context: Mapping[str, Any], wait: Wait) -> tuple[Step, Mapping[str, Mapping[str, Any]]]:
        """Poll once. Reading the ids is a part of that. Return also the descriptions of the jobs that exist."""
        result: PollResult | GlacierJobsError
        try:
            wait = self._with_jobs(context, wait)
            request = PollRequest(
                job_ids=frozenset(wait.pending), doubtful=self._rules.doubtful(wait, datetime.now(timezone.utc))
            )
            result = poll(self.hook, self.vault_name, self.account_id, request, pages=wait.pages)
        except GlacierJobsError as error:
            if self.deferrable and not wait.jobs and isinstance(error, TransientError):
                raise  # the trigger needs the ids, and does not read them itself
            result = error
        step = self._rules.after(wait, result, datetime.now(timezone.utc))
        if step.error is not None:
            self.log.warning("Bad poll %d in a row: %s", step.wait.bad_polls, step.error)
        if isinstance(result, PollResult):
            self.log.info("%s", step.wait)
            self._link(context)
        errors = result.refused.values() if isinstance(result, PollResult) else [result]
        if any(isinstance(error, AccessDenied | ConnectionNotFound | CredentialsUnavailable) for error in errors):
            # The next poll reads the connection again, which may have been corrected.
            self.__dict__.pop("hook", None)
        return step, result.found if isinstance(result, PollResult) else {}

    def _last_poll(self, context: Mapping[str, Any], wait: Wait) -> Any:
        """Poll once more at the deadline, as the other modes do."""
        step, found = self._step(context, wait)
        return self._end(context, step.wait, step.ending or Ending.TIMED_OUT, step.error, found)

    def _defer_until_deadline(self, context: Mapping[str, Any], wait: Wait) -> NoReturn:
        # Airflow hands nothing on from a deferral that it ends itself.
        self._save(context, wait)
        deadline = self._deadline(wait)
        now = datetime.now(timezone.utc)
        self.defer(
            trigger=GlacierJobTrigger(
                vault_name=self.vault_name,
                account_id=self.account_id,
                job_ids=list(wait.verdicts),
                wait={**to_json(wait), "stored_at": now.isoformat()},
                deadline=deadline.isoformat(),
                missing_grace_seconds=self.missing_grace,
                poll_seconds=None if self.default_poke_interval else self.poke_interval or NO_INTERVAL_SECONDS,
                max_bad_polls=self._rules.max_bad_polls,
                wait_for_all=self.wait_for_all,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=deadline - now + _DEFERRAL_MARGIN,
        )

    def _end(
        self,
        context: Mapping[str, Any],
        wait: Wait,
        ending: Ending,
        error: GlacierJobsError | str | None = None,
        found: Mapping[str, Mapping[str, Any]] = {},
    ) -> Any:
        """Write the outcomes, and return the result of the wait or raise why it has none.

        :param found: id -> description of jobs, as the last poll showed them.
        """
        description: Mapping[str, Any] | None = None
        failure = self._failure(wait, ending, str(error))
        if failure is None and wait.single:
            try:
                description = self._description(wait, found)
            except JobNotFound:
                wait = replace(wait, verdicts=dict.fromkeys(wait.verdicts, Verdict.MISSING), unnamed={})
                failure = self._failure(wait, ending, None)
            except GlacierJobsError as not_described:
                failure, error = raisable(not_described), not_described
        failure = self._written(context, wait, failure)
        if failure is not None:
            if isinstance(error, GlacierJobsError) and failure is not error:
                raise failure from error
            raise failure
        if description is not None:
            return dict(description)
        return {
            "vault_name": self.vault_name,
            "jobs": wait.jobs,
            **{verdict.value: wait.counts[verdict] for verdict in Verdict if verdict is not Verdict.PENDING},
        }

    def _failure(self, wait: Wait, ending: Ending, reason: str | None) -> Exception | None:
        return failure_of(
            self.vault_name, wait, ending, reason, timeout_seconds=self.timeout, timed_out=AirflowSensorTimeout
        )

    def _description(self, wait: Wait, found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        # A wait that version 0.1.0 stored does not name the jobs that succeeded.
        (job_id,) = wait.verdicts or awaited_ids(self.job_id)
        description = found.get(job_id)
        if description is None:
            hook = GlacierJobsHook(**super()._hook_parameters)
            description = described(hook, self.vault_name, job_id, self.account_id)
        check_succeeded(description, self.vault_name)
        return description

    def _written(self, context: Mapping[str, Any], wait: Wait, failure: Exception | None) -> Exception | None:
        """Write the outcomes, and return why the wait fails, if it does."""
        if self.outcome_uri is None or not wait.verdicts:
            return failure
        try:
            write_outcomes(self.outcome_uri, self.vault_name, wait)
        except Exception as error:
            self.log.warning("The outcomes are not written: %s", error)
            return raisable(error) if failure is None else type(failure)(f"{failure}\n{error}")
        if "ti" in context and self.do_xcom_push:
            context["ti"].xcom_push(key="outcome_uri", value=self.outcome_uri)
        return failure

    def _deadline(self, wait: Wait) -> datetime:
        return wait.started_at + timedelta(seconds=self.timeout)

    @property
    def _rules(self) -> WaitRules:
        return WaitRules(
            missing_grace=timedelta(seconds=self.missing_grace),
            max_bad_polls=None if self.silent_fail else self.max_bad_polls,
            wait_for_all=self.wait_for_all,
        )

    def _link(self, context: Mapping[str, Any]) -> None:
        if "ti" in context:
            GlacierVaultLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name,
                aws_partition=self.hook.conn_partition,
                vault_name=self.vault_name,
            )


def _checked_mode(given: str | None, *, deferrable: bool) -> str:
    """Return the mode of a sensor.

    :raises InvalidArgument: it would lose the verdicts on jobs between two polls.
    """
    can_reschedule = compat.HAS_TASK_STATE_STORE or deferrable
    if given is None:
        return "reschedule" if can_reschedule else "poke"
    if given == "reschedule" and not can_reschedule:
        raise InvalidArgument(
            'mode is "reschedule", which needs Airflow 3.3 or later: before, Airflow keeps nothing of a task between '
            "two polls, so that a job that Glacier deletes in between would count as missing; use deferrable=True, or "
            'mode="poke"'
        )
    return given


def _ended_by_airflow(error: BaseException | None) -> bool:
    """Return whether an error is due to a deferral that Airflow ended."""
    while error is not None:
        if isinstance(error, TaskDeferralTimeout):
            return True
        error = error.__cause__
    return False
