"""What the operators that start jobs have in common: a job that is started once, and the wait for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils import validate_execute_complete_event
from airflow.sdk import Variable

from glacier_jobs.arguments import checked_hours, checked_seconds, refuse_discarded
from glacier_jobs.compat import AirflowFailException, conf
from glacier_jobs.errors import (
    AccessDenied,
    ConnectionNotFound,
    CredentialsUnavailable,
    GlacierJobsError,
)
from glacier_jobs.glacier.deadlines import pause
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.no_retries import arguments_refused
from glacier_jobs.retrieval.intents import Intents
from glacier_jobs.retrieval.starter import DEFAULT_LISTING_DELAY, InitiatedJob, JobStarter, Reuse, check_reuse
from glacier_jobs.retrieval.tokens import token_of
from glacier_jobs.triggers import PROGRESS, GlacierJobTrigger
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.description import check_succeeded, described, from_event
from glacier_jobs.waiting.failure import failure_of
from glacier_jobs.waiting.poll import PollRequest, poll
from glacier_jobs.waiting.rules import Ending, WaitRules
from glacier_jobs.waiting.state import PollResult, Wait
from glacier_jobs.waiting.stored_state import from_json, to_json

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The Airflow Variable with the name of this deployment of Airflow, for deployments that run the same DAGs and use the
#: same vaults.
DEPLOYMENT_VARIABLE = "glacier_jobs_deployment_id"

#: Bulk retrievals typically take up to 12 hours.
DEFAULT_WAIT_TIMEOUT = timedelta(hours=24)
DEFAULT_MIN_HOURS_LEFT = 6.0

_MOST_BAD_POLLS = 10

#: How long after the deadline of a wait Airflow ends a deferral that got no event.
_DEFERRAL_MARGIN = timedelta(seconds=60)


class InitiatesJobs(AwsBaseOperator[GlacierJobsHook]):
    """The base class of operators that start jobs, each once, and may wait for them.

    :param reuse: with ``equal``, an equal job that another task or program started is used; with ``never``, only a job
        that an earlier try of this task started.
    :param min_hours_left: for how many hours Glacier keeps the output of an equal job at least.
    :param listing_delay: how long Glacier may not list a new job, a ``timedelta`` or seconds.
    :param deferrable: whether the operator waits for jobs in the triggerer.
    :param poll_interval: the time between two polls of a job, a ``timedelta`` or seconds; by default 60 seconds for the
        tier Expedited, and otherwise 10 minutes.
    :param wait_timeout: how long the operator waits for a job, a ``timedelta`` or seconds.
    """

    aws_hook_class = GlacierJobsHook

    def __init__(
        self,
        *,
        account_id: str = "-",
        reuse: Reuse = "equal",
        min_hours_left: float = DEFAULT_MIN_HOURS_LEFT,
        listing_delay: timedelta | float = DEFAULT_LISTING_DELAY,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: timedelta | float | None = None,
        wait_timeout: timedelta | float = DEFAULT_WAIT_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        with arguments_refused():
            listing_seconds = checked_seconds(listing_delay, "listing_delay", zero=True)
            poll_seconds = None if poll_interval is None else checked_seconds(poll_interval, "poll_interval")
            wait_seconds = checked_seconds(wait_timeout, "wait_timeout")
            hours = checked_hours(min_hours_left, "min_hours_left")
        super().__init__(**kwargs)
        self.account_id = account_id
        self.reuse = reuse
        self.min_hours_left = hours
        self.listing_delay = listing_seconds
        self.deferrable = deferrable
        self.poll_interval = poll_seconds
        self.wait_timeout = wait_seconds

    def _initiated(self, context: Context, request: JobRequest) -> InitiatedJob:
        """Return the job of a request, which is started unless it can be found.

        Errors are those of :meth:`glacier_jobs.retrieval.starter.JobStarter.start`.
        """
        ti: Any = context["ti"]
        origin = {
            "deployment": Variable.get(DEPLOYMENT_VARIABLE, default=None),
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "map_index": ti.map_index,
            "region": self.hook.conn_region_name,
        }
        starter = JobStarter(
            hook=self.hook,
            intents=Intents(context),
            reuse=check_reuse(self.reuse),
            min_hours_left=self.min_hours_left,
            listing_delay=timedelta(seconds=self.listing_delay),
        )
        return starter.start(
            request,
            token_of(request, origin),
            may_exist=ti.try_number > 1,
            # Airflow raises max_tries when a person clears a task, and only a person decides to pay again.
            restart_failed=ti.try_number <= ti.max_tries - (self.retries or 0) + 1,
        )

    def _completed(self, vault_name: str, job: JobDescription) -> JobDescription:
        """Return the description of a job that succeeded; wait for it before, on this worker or in the triggerer.

        If it defers, the task resumes in ``execute_complete``, which calls :meth:`_completed_after`.

        :raises AirflowFailException: the job failed, is missing, or is in progress after ``wait_timeout``.
        :raises ServiceUnavailable: too many polls in a row failed.
        """
        wait = Wait.for_jobs([job["JobId"]], started_at=datetime.now(timezone.utc), single=True)
        result: PollResult | GlacierJobsError = PollResult(found={job["JobId"]: job})
        while True:
            step = self._rules.after(wait, result, datetime.now(timezone.utc))
            wait = step.wait
            found = result.found if isinstance(result, PollResult) else {}
            remaining_seconds = (self._deadline(wait) - datetime.now(timezone.utc)).total_seconds()
            if step.ending is not None or remaining_seconds <= 0:
                return self._end(vault_name, wait, step.ending or Ending.TIMED_OUT, step.error, found)
            if self.deferrable:
                self._defer_until_deadline(vault_name, wait)
            interval_seconds = self.poll_interval or self._rules.default_interval_seconds(
                wait, datetime.now(timezone.utc)
            )
            delay_seconds = next_delay_seconds(interval_seconds, wait.bad_polls, random.random())  # noqa: S311 - jitter, no secret
            pause(min(delay_seconds, remaining_seconds))
            result = self._polled(vault_name, wait)

    def _completed_after(self, event: Mapping[str, Any] | None) -> JobDescription:
        """Return as :meth:`_completed` does, after the trigger's event; or defer again.

        :param event: the trigger's event, as ``execute_complete`` receives it.
        """
        event = validate_execute_complete_event(None if event is None else dict(event))
        vault_name = event["vault_name"]
        # The template can be rendered differently now.
        self.account_id = event["account_id"]
        wait = from_json(event["wait"], event["job_ids"], single=True)
        if event["outcome"] not in (PROGRESS, Ending.TIMED_OUT.value):
            return self._end(vault_name, wait, Ending(event["outcome"]), event["message"], from_event(event))
        if datetime.now(timezone.utc) < self._deadline(wait):
            self._defer_until_deadline(vault_name, wait)
        result = self._polled(vault_name, wait)
        step = self._rules.after(wait, result, datetime.now(timezone.utc))
        found = result.found if isinstance(result, PollResult) else {}
        return self._end(vault_name, step.wait, step.ending or Ending.TIMED_OUT, step.error, found)

    def _polled(self, vault_name: str, wait: Wait) -> PollResult | GlacierJobsError:
        request = PollRequest(
            job_ids=frozenset(wait.pending), doubtful=self._rules.doubtful(wait, datetime.now(timezone.utc))
        )
        try:
            return poll(self.hook, vault_name, self.account_id, request, pages=wait.pages)
        except GlacierJobsError as error:
            self.log.warning("The poll failed: %s", error)
            if isinstance(error, AccessDenied | ConnectionNotFound | CredentialsUnavailable):
                # The next poll reads the connection again, which may have been corrected.
                self.__dict__.pop("hook", None)
            return error

    def _defer_until_deadline(self, vault_name: str, wait: Wait) -> NoReturn:
        now, deadline = datetime.now(timezone.utc), self._deadline(wait)
        self.defer(
            trigger=GlacierJobTrigger(
                vault_name=vault_name,
                account_id=self.account_id,
                job_ids=list(wait.verdicts),
                wait={**to_json(wait), "stored_at": now.isoformat()},
                deadline=deadline.isoformat(),
                missing_grace_seconds=self.listing_delay,
                poll_seconds=self.poll_interval,
                max_bad_polls=_MOST_BAD_POLLS,
                wait_for_all=False,
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
        vault_name: str,
        wait: Wait,
        ending: Ending,
        error: GlacierJobsError | str | None,
        found: Mapping[str, Mapping[str, Any]],
    ) -> JobDescription:
        failure = failure_of(
            vault_name,
            wait,
            ending,
            str(error),
            timeout_seconds=self.wait_timeout,
            timed_out=AirflowFailException,
        )
        if failure is not None:
            raise failure from (error if isinstance(error, GlacierJobsError) else None)
        (job_id,) = wait.verdicts
        description = found.get(job_id) or described(self.hook, vault_name, job_id, self.account_id)
        check_succeeded(description, vault_name)
        return dict(description)

    def _deadline(self, wait: Wait) -> datetime:
        return wait.started_at + timedelta(seconds=self.wait_timeout)

    @property
    def _rules(self) -> WaitRules:
        return WaitRules(
            missing_grace=timedelta(seconds=self.listing_delay), max_bad_polls=_MOST_BAD_POLLS, wait_for_all=False
        )
