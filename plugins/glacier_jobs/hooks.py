"""The Airflow hook: Amazon Glacier's listings of vaults and jobs, complete."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import botocore.session
from airflow.providers.amazon.aws.hooks.glacier import GlacierHook
from botocore.config import Config
from botocore.parsers import ResponseParserError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from glacier_jobs import __version__
from glacier_jobs.aws_errors import is_expired, translated
from glacier_jobs.errors import (
    ConnectionNotFound,
    GlacierJobsError,
    InvalidArgument,
    MalformedAnswer,
    ServiceUnavailable,
    Throttled,
)
from glacier_jobs.job import VaultArn, check_account_id, check_vault_name
from glacier_jobs.paging import JobDescription, JobPage, MarkerTrail, RepeatFilter, check_marker, list_jobs_parameters
from glacier_jobs.records import RecordPage, are_records, decoded_records

if TYPE_CHECKING:
    import pandas as pd
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

#: How many requests to Glacier a hook's client can have under way, unless told otherwise.
DEFAULT_MAX_REQUESTS = 20

#: Where neither the connection nor ``botocore_config`` says otherwise: botocore's standard mode, with this many
#: attempts, and begun again for this long. One client's standard mode stops to retry when too many of its requests
#: failed (its retry quota), which for a listing of many vaults at once is soon.
DEFAULT_ATTEMPTS = 8
DEFAULT_RETRY_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a hook repeats a request by itself.

    :param attempts: botocore's, in its standard mode.
    :param seconds: for how long requests are begun again after that.
    """

    attempts: int
    seconds: float


PATIENT = Patience(attempts=DEFAULT_ATTEMPTS, seconds=DEFAULT_RETRY_SECONDS)

#: For those who poll: the next poll is their retry. Enough to come through the burst of a few throttled requests in
#: a long listing, and at most some 15 s of waiting for a call, so that no thread is held when AWS is away.
POLLING = Patience(attempts=5, seconds=0.0)

#: How often a page is asked for whose body cannot be read. botocore does not repeat such a request by itself.
BODY_ATTEMPTS = 3

_SHORT = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})

_RAW_BODY = "GlacierJobsRawBody"
_raw_body_wanted: ContextVar[bool] = ContextVar("glacier_jobs_raw_body_wanted", default=False)


class GlacierJobsHook(GlacierHook):
    """List the vaults of an account and the jobs of its vaults, completely.

    All methods are safe to call from several threads.

    :param aws_conn_id: the Airflow connection. One that is named and does not exist is refused; where only the
        default ``aws_default`` is absent, or with ``None``, boto3's own search for credentials applies.
    :param region_name: the Region; ``None`` takes it from the connection, then from boto3's own search.
    :param verify: as boto3 takes it.
    :param config: a botocore ``Config`` or its keywords as a dict; with ``None`` the connection's
        ``config_kwargs`` apply. Where it leaves ``retries`` open, botocore's standard mode applies, for
        up to :data:`DEFAULT_RETRY_SECONDS`.
    :param max_requests: how many requests the client can have under way.
    :param patience: how long a request is repeated where retries are left open.
    """

    def __init__(
        self,
        *args: Any,
        max_requests: int = DEFAULT_MAX_REQUESTS,
        patience: Patience = PATIENT,
        **kwargs: Any,
    ) -> None:
        if isinstance(max_requests, bool) or not isinstance(max_requests, int) or max_requests < 1:
            raise InvalidArgument(f"max_requests is {max_requests!r}; expected a whole number from 1 on")
        super().__init__(*args, **kwargs)
        self.max_requests = max_requests
        self.patience = patience
        self._renewing = threading.Lock()

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The Airflow connection.

        :raises ConnectionNotFound: it was named and does not exist.
        """
        wrapper = super().conn_config
        if self.aws_conn_id and self.aws_conn_id != self.default_conn_name and not wrapper:
            del self.__dict__["conn_config"]
            raise ConnectionNotFound(
                f"the Airflow connection {self.aws_conn_id!r} does not exist; create it, name another, "
                "or pass aws_conn_id=None for the credentials of the environment"
            )
        return wrapper

    @property
    def config(self) -> Config:
        """botocore's configuration: the caller's or the connection's, over this hook's defaults."""
        defaults: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": self.patience.attempts},
            "max_pool_connections": self.max_requests,
        }
        given = super().config
        if getattr(given, "user_agent_appid", None) is None and not os.environ.get("AWS_SDK_UA_APP_ID"):
            # Left to itself, botocore composes the user agent twice for each request, in a tenth of a listing's time.
            defaults["user_agent"] = _user_agent()
        return Config(**defaults).merge(given)

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build a client, from which this hook can also take bodies as they came."""
        with translated("build a client for Amazon Glacier"):
            client: Any = super().get_client_type(region_name=region_name, config=config, deferrable=deferrable)
        client.meta.events.register("before-parse.glacier", _keep_raw_body)
        if self.aws_conn_id and not self.conn_config:
            self._log_ambient_account()
        return client

    @cached_property
    def account_id(self) -> str:
        """The account of the credentials, 12 digits, as STS tells it.

        Source: AWS Security Token Service API, GetCallerIdentity.
        """
        with translated("ask STS whose credentials these are (GetCallerIdentity)"):
            return super().account_id

    def list_vaults(self, account_id: str = "-") -> Iterator[dict[str, Any]]:
        """List all vaults of an account in the hook's Region.

        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :return: vaults as AWS describes them, repeats dropped.
        :raises InvalidArgument: the account id is not one.
        :raises AccessDenied: the credentials may not list vaults.
        :raises TransientError: no usable answer, also after the client's retries; or the listing would never end.

        Source: Amazon Glacier API 2012-06-01, List Vaults.
        """
        check_account_id(account_id)
        return self._list_vaults(account_id)

    def _list_vaults(self, account_id: str) -> Iterator[dict[str, Any]]:
        action = f"List Vaults of account {account_id} in {self._region_text()}"
        trail = MarkerTrail(action)
        marker: str | None = None
        seen: set[str] = set()
        while True:
            position = {"marker": marker} if marker else {}
            answer = self._call(action, "list_vaults", {"accountId": account_id, **position})
            for vault in _objects(answer.get("VaultList"), "VaultList", action, required=("VaultARN", "VaultName")):
                if vault["VaultARN"] not in seen:
                    seen.add(vault["VaultARN"])
                    yield vault
            marker = trail.follow(answer.get("Marker"))
            if marker is None:
                return

    def list_job_pages(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> Iterator[JobPage]:
        """List the jobs of one vault, page by page, in AWS's order.

        Repeats are not dropped: a page is what AWS sent. The marker of a page is where a later call can go on.

        :param statuscode: ``InProgress``, ``Succeeded`` or ``Failed``; ``None`` for all.
        :param completed: whether jobs that ended, also those that failed, are listed, or the others; ``None`` for all.
        :param page_size: the most jobs in a page; ``None`` leaves it to the service.
        :param marker: where an earlier listing stopped; ``None`` begins at the first job.
        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :return: pages of 0 to ``page_size`` job descriptions; the last has no marker.
        :raises InvalidArgument: an argument is not what was expected; nothing was asked.
        :raises VaultNotFound: names the vault and the Region that were asked.
        :raises AccessDenied: the credentials may not list this vault's jobs.
        :raises MalformedAnswer: the answer is not what AWS documents.
        :raises TransientError: no usable answer, also after the client's retries; or the listing would never end.

        Source: Amazon Glacier API 2012-06-01, List Jobs.
        """
        parameters = list_jobs_parameters(statuscode=statuscode, completed=completed, page_size=page_size)
        parameters |= {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        return self._list_job_pages(parameters, check_marker(marker))

    def _list_job_pages(self, parameters: Mapping[str, str], marker: str | None) -> Iterator[JobPage]:
        for jobs, next_marker in self._job_lists(parameters, marker, _decoded):
            yield JobPage(jobs=[_without_nulls(job) for job in jobs], marker=next_marker)

    def list_record_pages(self, vault_name: str, account_id: str = "-") -> Iterator[RecordPage]:
        """List the jobs of one vault, page by page, in the form of which rows are made at the least cost.

        Arguments and errors are those of :meth:`list_job_pages`.

        :return: pages whose jobs :func:`glacier_jobs.schema.pages_batch` takes.
        """
        parameters = {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        for jobs, marker in self._job_lists(parameters, None, _decoded_records):
            yield RecordPage(jobs=jobs, marker=marker)

    def _job_lists(
        self, parameters: Mapping[str, str], marker: str | None, decode: Callable[[bytes], dict[str, Any]]
    ) -> Iterator[tuple[list[Any], str | None]]:
        """Yield the jobs of each page, every one of which has a name, and where the next page begins."""
        action = f"List Jobs of vault {parameters['vaultName']} in {self._region_text()}"
        trail = MarkerTrail(action, marker)
        while True:
            position = {"marker": marker} if marker else {}
            answer = self._call(action, "list_jobs", {**parameters, **position}, decode)
            jobs = answer.get("JobList")
            if not are_records(jobs):
                jobs = _objects(jobs, "JobList", action, required=("VaultARN", "JobId"))
            marker = trail.follow(answer.get("Marker"))
            yield jobs, marker
            if marker is None:
                return

    def list_jobs(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> Iterator[JobDescription]:
        """List the jobs of one vault, each once, whatever number of pages that takes.

        Arguments and errors are those of :meth:`list_job_pages`.

        :return: job descriptions as AWS gives them, in AWS's order.
        """
        pages = self.list_job_pages(vault_name, statuscode, completed, page_size, marker, account_id)
        repeats = RepeatFilter()
        return (job for page in pages for job in repeats.new(page.jobs))

    def find_jobs(self, vault_name: str, job_ids: Iterable[str], account_id: str = "-") -> dict[str, JobDescription]:
        """Find jobs of one vault by their ids; the listing stops once all are found.

        :param job_ids: the ids that are looked for; not a single string.
        :return: id -> description of those that are listed, in the order given.
        :raises InvalidArgument: an argument is not what was expected.

        Other errors are those of :meth:`list_job_pages`.
        """
        if isinstance(job_ids, str):
            raise InvalidArgument(f"job_ids is the text {job_ids!r}; expected several ids, as a list")
        wanted = list(job_ids)
        missing = set(wanted)
        found: dict[str, JobDescription] = {}
        pages = self.list_job_pages(vault_name, account_id=account_id)
        while missing and (page := next(pages, None)):
            for job in page.jobs:
                if job["JobId"] in missing:
                    missing.remove(job["JobId"])
                    found[job["JobId"]] = job
        return {job_id: found[job_id] for job_id in wanted if job_id in found}

    def get_job(self, vault_name: str, job_id: str, account_id: str = "-") -> JobDescription:
        """Return one job's description as Describe Job gives it, with all that AWS says.

        The provider's :meth:`describe_job` does the same without this package's retries and errors.

        :param account_id: 12 digits, or ``-`` for the account of the credentials.
        :raises InvalidArgument: an argument is not what was expected; nothing was asked.
        :raises JobNotFound: the vault has no such job, or no longer.
        :raises VaultNotFound: names the vault and the Region that were asked.
        :raises AccessDenied: the credentials may not describe this vault's jobs.
        :raises MalformedAnswer: the answer is not what AWS documents.
        :raises TransientError: no usable answer, also after the client's retries.

        Source: Amazon Glacier API 2012-06-01, Describe Job.
        """
        if not isinstance(job_id, str) or not job_id:
            raise InvalidArgument(f"job_id is {job_id!r}; expected the id of one job")
        parameters = {"vaultName": check_vault_name(vault_name), "accountId": check_account_id(account_id)}
        action = f"Describe Job {job_id} of vault {vault_name} in {self._region_text()}"
        answer = self._call(action, "describe_job", {"jobId": job_id, **parameters})
        (job,) = _objects([answer], "job description", action, required=("VaultARN", "JobId"))
        if job["JobId"] != job_id:
            raise MalformedAnswer(f"{action}: the answer describes the job {job['JobId']!r}")
        return _without_nulls(job)

    def get_jobs_df(
        self,
        vault_name: str,
        statuscode: str | None = None,
        completed: bool | None = None,
        page_size: int | None = None,
        marker: str | None = None,
        account_id: str = "-",
    ) -> pd.DataFrame:
        """Return the jobs of one vault as a data frame with the columns and types of the Parquet table ``jobs``.

        Arguments and errors are those of :meth:`list_job_pages`. The observation id is one of its own: a data
        frame is published nowhere.

        :return: one row a job, with Arrow-backed types, also when there is none.
        """
        import pandas as pd
        import pyarrow as pa

        from glacier_jobs.dataset import new_observation
        from glacier_jobs.schema import JOBS, jobs_batch

        began_at = datetime.now(timezone.utc)
        pages = self.list_job_pages(vault_name, statuscode, completed, page_size, marker, account_id)
        repeats = RepeatFilter()
        observation = None
        batches = []
        for page in pages:
            observed_at = datetime.now(timezone.utc)
            if jobs := list(repeats.new(page.jobs)):
                arn = VaultArn.parse(jobs[0]["VaultARN"])
                observation = observation or new_observation(arn.account_id, arn.region, began_at)
                batches.append(
                    jobs_batch(jobs, observation=observation, vault_name=vault_name, observed_at=observed_at)
                )
        frame: pd.DataFrame = pa.Table.from_batches(batches, schema=JOBS).to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _region_text(self) -> str:
        return str(self.conn_region_name)

    def _call(
        self,
        action: str,
        method: str,
        parameters: Mapping[str, str],
        decode: Callable[[bytes], dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Make one request and return its whole answer, as ``decode`` reads it."""
        call = partial(self._call_once, action, method, parameters, decode or _decoded)
        try:
            return call()
        except (Throttled, ServiceUnavailable) as error:
            if self._retries_are_given:
                raise
            return self._call_again(call, error)

    def _call_again(self, call: Callable[[], dict[str, Any]], first_error: Exception) -> dict[str, Any]:
        """Begin a request again that has failed, for as long as this hook's patience lasts."""
        failed = [first_error]

        def attempt() -> dict[str, Any]:
            if failed:
                raise failed.pop()
            return call()

        patiently = Retrying(
            retry=retry_if_exception_type((Throttled, ServiceUnavailable)),
            wait=wait_random_exponential(max=15),
            stop=stop_after_delay(self.patience.seconds),
            before_sleep=self._log_retry,
            reraise=True,
        )
        return patiently(attempt)

    @property
    def _retries_are_given(self) -> bool:
        """Whether the caller or the connection says how often a request is repeated."""
        return getattr(super().config, "retries", None) is not None

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.log.warning("%s Trying again in %.0f s", error, state.upcoming_sleep)

    def _call_once(
        self, action: str, method: str, parameters: Mapping[str, str], decode: Callable[[bytes], dict[str, Any]]
    ) -> dict[str, Any]:
        """Make one request, which botocore may repeat; an expired token is renewed once."""
        with translated(action):
            client = self.get_conn()
            try:
                return _request(client, method, parameters, decode)
            except botocore.exceptions.ClientError as error:
                if not is_expired(error):
                    raise
                return _request(self._renewed(client), method, parameters, decode)

    def _renewed(self, stale: Any) -> Any:
        """Return a client with fresh credentials, built by the first thread that asks."""
        with self._renewing:
            if self.conn is stale:
                for cached in ("conn", "conn_config"):
                    self.__dict__.pop(cached, None)
            return self.get_conn()

    def _log_ambient_account(self) -> None:
        try:
            with translated("ask STS whose credentials these are"):
                account_id = (
                    self.get_session(region_name=self.region_name)
                    .client("sts", config=self.config.merge(_SHORT), verify=self.verify)
                    .get_caller_identity()["Account"]
                )
        except GlacierJobsError as error:
            account_id = f"unknown ({error})"
        self.log.info(
            "The connection %s does not exist: the credentials of the environment are used, account %s",
            self.aws_conn_id,
            account_id,
        )


@cache
def _user_agent() -> str:
    return f"{botocore.session.Session().user_agent()} airflow-glacier-jobs/{__version__}"


def _keep_raw_body(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    if _raw_body_wanted.get() and response_dict["status_code"] < 300:
        customized_response_dict[_RAW_BODY] = response_dict["body"]
        response_dict["body"] = b""


def _request(
    client: Any, method: str, parameters: Mapping[str, str], decode: Callable[[bytes], dict[str, Any]]
) -> dict[str, Any]:
    """Return an answer with all that its body says.

    botocore drops what its service model does not know, and takes a body that is not JSON for an empty answer.
    So the body is taken before botocore parses it, through an event that botocore offers for that.
    """
    for attempt in range(1, BODY_ATTEMPTS + 1):
        token = _raw_body_wanted.set(True)
        try:
            answer: dict[str, Any] = getattr(client, method)(**parameters)
        finally:
            _raw_body_wanted.reset(token)
        if _RAW_BODY not in answer:
            return answer
        try:
            return decode(answer[_RAW_BODY])
        except ResponseParserError:
            if attempt == BODY_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise ResponseParserError(f"a body of {len(body)} bytes is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ResponseParserError(f"a body of {len(body)} bytes is not a JSON object")
    return answer


def _decoded_records(body: bytes) -> dict[str, Any]:
    answer = decoded_records(body)
    return _decoded(body) if answer is None else answer


def _objects(found: object, name: str, action: str, *, required: Sequence[str]) -> list[dict[str, Any]]:
    """Return a list of objects of an answer, each with the fields that tell it from others."""
    if not isinstance(found, list):
        raise MalformedAnswer(f"{action}: the answer's {name} is {type(found).__name__}; expected a list")
    for item in found:
        if not isinstance(item, dict):
            raise MalformedAnswer(f"{action}: {name} holds {type(item).__name__}; expected objects")
        for field in required:
            if not isinstance(item.get(field), str):
                raise MalformedAnswer(
                    f"{action}: {name} holds an object whose {field} is {item.get(field)!r}; expected text"
                )
    return found


def _without_nulls(job: JobDescription) -> JobDescription:
    """Drop the fields that are null, as boto3 does; of the job itself and of the inventory's parameters."""
    kept = {name: value for name, value in job.items() if value is not None}
    parameters = kept.get("InventoryRetrievalParameters")
    if isinstance(parameters, dict):
        kept["InventoryRetrievalParameters"] = {name: value for name, value in parameters.items() if value is not None}
    return kept
