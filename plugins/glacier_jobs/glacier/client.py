"""Requests to Glacier from Airflow: their configuration, their retries, and the renewal of their credentials."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import botocore.exceptions
import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import SessionFactory
from airflow.providers.amazon.aws.hooks.glacier import GlacierHook
from botocore.config import Config
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from glacier_jobs import __version__
from glacier_jobs.arguments import checked_rate
from glacier_jobs.aws_errors.error_mapping import AWAY_CREDENTIALS, is_expired, translated
from glacier_jobs.errors import ConnectionNotFound, GlacierJobsError, InvalidArgument, ServiceUnavailable, Throttled
from glacier_jobs.glacier.deadlines import answers_within, limit_answers, limit_answers_of_clients, pause
from glacier_jobs.glacier.pace import Pace
from glacier_jobs.glacier.transport import register_handlers

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

#: The default for the maximum number of concurrent requests of a hook's client.
DEFAULT_MAX_REQUESTS = 20

#: Retries, unless the connection or ``botocore_config`` sets them: botocore's standard mode with this many attempts,
#: and further rounds of attempts for this long. Further rounds are needed because a client's standard mode stops
#: retrying once too many of its requests have failed (its retry quota). A listing of many vaults soon reaches that.
DEFAULT_ATTEMPTS = 8
DEFAULT_RETRY_SECONDS = 90.0

#: How long an attempt waits for the whole of an answer. A page of a listing takes less than a second.
DEFAULT_ANSWER_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and for how long a hook retries a request.

    Example::

        hook = GlacierJobsHook(retry_policy=RetryPolicy(attempts=3, seconds=0.0))

    :param attempts: the number of attempts in botocore's standard mode.
    :param seconds: after these attempts, further rounds of attempts start until this long after the first attempt,
        without the time in which attempts waited because of ``requests_per_second``.
    :param connect_timeout_seconds: how long an attempt waits for a connection; ``None`` for botocore's default.
    :param read_timeout_seconds: how long an attempt waits for more of an answer; ``None`` for botocore's default.
    :param answer_timeout_seconds: how long an attempt waits for the whole of an answer, its connection included.
    """

    attempts: int
    seconds: float
    connect_timeout_seconds: float | None = None
    read_timeout_seconds: float | None = None
    answer_timeout_seconds: float = DEFAULT_ANSWER_SECONDS


DEFAULT_RETRY_POLICY = RetryPolicy(attempts=DEFAULT_ATTEMPTS, seconds=DEFAULT_RETRY_SECONDS)

#: The retry policy of polls; the next poll serves as their retry. The attempts suffice for a few throttled requests in
#: a long listing, and they do not block a thread for long during an outage of AWS. The delays between the attempts of a
#: call add up to at most 1 + 2 + 4 + 8 = 15 s. So a call blocks its thread for at most 40 s if the endpoint does not
#: accept connections, for 115 s if it accepts them and sends no answer, and for 165 s if its answers do not end.
POLLING_RETRY_POLICY = RetryPolicy(
    attempts=5,
    seconds=0.0,
    connect_timeout_seconds=5.0,
    read_timeout_seconds=15.0,
    answer_timeout_seconds=30.0,
)

#: STS answers in less than a second. Its requests have no further rounds of attempts.
_STS_ATTEMPTS = 3
_STS_ANSWER_SECONDS = 30.0

_SHORT = Config(connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})

#: Makes a request through a client and returns the whole answer.
Request: TypeAlias = Callable[[Any], dict[str, Any]]


class AttemptGuard:
    """Prevents late attempts at a request that AWS shall receive once; this one prevents none."""

    #: For how long further attempts are made, at most.
    seconds = math.inf

    def check(self) -> None:
        """Raise an error if the attempt must not be made any more; called immediately before the request is sent."""


_guard: ContextVar[AttemptGuard | None] = ContextVar("glacier_jobs_attempt_guard", default=None)


def _check_attempt(**_: Any) -> None:
    if (guard := _guard.get()) is not None:
        guard.check()


class GlacierCalls(GlacierHook):
    """The provider's hook, with complete answers and with longer retries.

    Parameters are those of :class:`glacier_jobs.glacier.hook.GlacierJobsHook`.
    """

    def __init__(
        self,
        *args: Any,
        max_requests: int = DEFAULT_MAX_REQUESTS,
        requests_per_second: float | None = None,
        retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        if isinstance(max_requests, bool) or not isinstance(max_requests, int) or max_requests < 1:
            raise InvalidArgument(f"max_requests is {max_requests!r}; expected a whole number of at least 1")
        if isinstance(settings := kwargs.get("config"), Mapping):
            with _config_refused("botocore_config"):
                kwargs["config"] = Config(**settings)
        super().__init__(*args, **kwargs)
        self.max_requests = max_requests
        self.retry_policy = retry_policy
        rate = checked_rate(requests_per_second, "requests_per_second")
        self._pace = Pace(rate) if rate else None
        self._renewing = threading.RLock()

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The Airflow connection.

        :raises ConnectionNotFound: a connection other than the default was given and does not exist.
        :raises InvalidArgument: its ``config_kwargs`` are not botocore's.
        """
        with _config_refused(f"config_kwargs of the Airflow connection {self.aws_conn_id!r}"):
            wrapper = super().conn_config
        if self.aws_conn_id and self.aws_conn_id != self.default_conn_name and not wrapper:
            del self.__dict__["conn_config"]
            raise ConnectionNotFound(
                f"the Airflow connection {self.aws_conn_id!r} does not exist; create it, use another, "
                "or pass aws_conn_id=None for the credentials of the environment"
            )
        return wrapper

    @property
    def config(self) -> Config:
        """botocore's configuration: this hook's defaults, overridden by the caller's or the connection's settings."""
        defaults: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": self.retry_policy.attempts},
            "max_pool_connections": self.max_requests,
        }
        if self.retry_policy.connect_timeout_seconds is not None:
            defaults["connect_timeout"] = self.retry_policy.connect_timeout_seconds
        if self.retry_policy.read_timeout_seconds is not None:
            defaults["read_timeout"] = self.retry_policy.read_timeout_seconds
        given = super().config
        if getattr(given, "user_agent_appid", None) is None and not os.environ.get("AWS_SDK_UA_APP_ID"):
            # Otherwise botocore composes the user agent twice for each request, in a tenth of a listing's time.
            defaults["user_agent"] = _user_agent()
        return Config(**defaults).merge(given)

    def get_conn(self) -> Any:
        """Return the client; only the first of several threads builds it."""
        # Not the provider's cached property: before Python 3.12, all hooks share its lock, which is held while a client
        # is built. If STS sends no answer, that takes minutes.
        with self._renewing:
            if "conn" not in self.__dict__:
                try:
                    self.__dict__["conn"] = self.get_client_type(region_name=self.region_name)
                except BaseException:
                    # The Airflow connection may be corrected before the next call.
                    self._forget(None)
                    raise
            return self.conn

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Build a client whose answers this hook can also read as raw bodies."""
        if isinstance(self.verify, str) and not Path(self.verify).exists():
            # botocore would report an error of the connection to AWS, as if a later call could succeed.
            raise InvalidArgument(f"verify is {self.verify!r}; expected true, false, or the path of a CA bundle")
        with translated("build a client for Amazon Glacier"), self._sts_answers_in_time():
            client: Any = super().get_client_type(region_name=region_name, config=config, deferrable=deferrable)
        register_handlers(client)
        limit_answers(client)
        if self._pace is not None:
            # Before each attempt is signed, botocore's retries included: a signature is valid for minutes only.
            client.meta.events.register("before-sign.glacier", self._wait_for_turn)
        if self.aws_conn_id and not self.conn_config:
            self._log_ambient_account()
        return client

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Build a session whose requests to STS for the credentials of a role end in time, too."""
        factory = SessionFactory(conn=self.conn_config, region_name=region_name, config=self.config)
        if self.conn_config and factory.role_arn:
            limit_answers_of_clients(factory.basic_session)
        return factory.create_session(deferrable=deferrable)

    def _sts_answers_in_time(self) -> AbstractContextManager[None]:
        return answers_within(min(_STS_ANSWER_SECONDS, self.retry_policy.answer_timeout_seconds))

    def _wait_for_turn(self, **_: Any) -> None:
        if self._pace is not None:
            self._pace.wait()

    @cached_property
    def account_id(self) -> str:
        """The account id of the credentials, 12 digits, from STS.

        Source: AWS Security Token Service API, GetCallerIdentity.
        """
        config = self.config
        if not self._retries_are_given:
            config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": _STS_ATTEMPTS}))
        with (
            translated("get the account of the credentials from STS (GetCallerIdentity)"),
            self._sts_answers_in_time(),
        ):
            client: Any = self.get_session(region_name=self.region_name).client(
                "sts",
                endpoint_url=self.conn_config.get_service_endpoint_url("sts"),
                config=config,
                verify=self.verify,
            )
            limit_answers(client)
            account_id: str = client.get_caller_identity()["Account"]
        return account_id

    def _call(self, action: str, request: Request) -> dict[str, Any]:
        """Make one request and return its whole answer."""
        began = self._now()
        try:
            return self._call_once(action, request)
        except (Throttled, ServiceUnavailable) as error:
            if self._retries_are_given:
                raise
            return self._call_again(partial(self._call_once, action, request), error, began + self.retry_policy.seconds)

    def _call_once_only(self, action: str, request: Request, guard: AttemptGuard) -> dict[str, Any]:
        """Make a request that AWS receives once, and return its answer.

        botocore does not repeat it. This method repeats it only where AWS has not accepted it: it was throttled, or
        there was no connection.
        """
        began = self._now()

        def call() -> dict[str, Any]:
            token = _guard.set(guard)
            try:
                return self._call_with(self._get_conn_without_retries, action, request)
            finally:
                _guard.reset(token)

        try:
            return call()
        except (Throttled, ServiceUnavailable) as error:
            return self._call_again(call, error, began + min(self.retry_policy.seconds, guard.seconds))

    def _get_conn_without_retries(self) -> Any:
        """Return a client that makes one attempt at each request, and that lives as long as the hook's own client."""
        with self._renewing:
            conn = self.get_conn()
            owner, client = self.__dict__.get("_conn_without_retries", (None, None))
            if owner is not conn:
                one_attempt = Config(retries={"mode": "standard", "total_max_attempts": 1})
                client = self.get_client_type(region_name=self.region_name, config=self.config.merge(one_attempt))
                client.meta.events.register("before-send.glacier", _check_attempt)
                self.__dict__["_conn_without_retries"] = (conn, client)
            return client

    def _now(self) -> float:
        """Return the time of a clock that stands still while this thread waits for its turn."""
        return time.monotonic() - (self._pace.waited_seconds if self._pace is not None else 0.0)

    def _call_again(self, call: Callable[[], dict[str, Any]], first_error: Exception, until: float) -> dict[str, Any]:
        """Retry a failed request until the given time of :meth:`_now`."""
        failed = [first_error]

        def attempt() -> dict[str, Any]:
            if failed:
                raise failed.pop()
            return call()

        repeated = Retrying(
            retry=retry_if_exception_type((Throttled, ServiceUnavailable)),
            wait=wait_random_exponential(max=15),
            stop=lambda _: self._now() >= until,
            sleep=pause,
            before_sleep=self._log_retry,
            reraise=True,
        )
        return repeated(attempt)

    @property
    def _retries_are_given(self) -> bool:
        """Whether the caller or the connection sets the retries."""
        return getattr(super().config, "retries", None) is not None

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.log.warning("%s Trying again in %.0f s", error, state.upcoming_sleep)

    def _call_once(self, action: str, request: Request) -> dict[str, Any]:
        """Make one request, which botocore may retry; renew an expired token once."""
        return self._call_with(self.get_conn, action, request)

    def _call_with(self, get_client: Callable[[], Any], action: str, request: Request) -> dict[str, Any]:
        """Make one request through a client; renew an expired token once.

        :param get_client: returns the client, a new one after the hook's own was forgotten.
        """
        with translated(action), answers_within(self.retry_policy.answer_timeout_seconds):
            conn = self.get_conn()
            try:
                return request(get_client())
            except AWAY_CREDENTIALS:
                # A client keeps its source of credentials, also if the connection names another by now. One that was
                # built without credentials never gets any.
                with self._renewing:
                    self._forget(conn)
                raise
            except botocore.exceptions.ClientError as error:
                if not is_expired(error):
                    raise
                # Only the first of several threads builds a client with fresh credentials.
                with self._renewing:
                    self._forget(conn)
                return request(get_client())

    def _forget(self, stale: Any) -> None:
        """Let the next call build a new client, unless another thread has replaced this one already.

        :param stale: the client; ``None`` if it could not be built.
        """
        if self.__dict__.get("conn") is stale:
            for cached in ("conn", "_client", "conn_config"):
                self.__dict__.pop(cached, None)

    def _log_ambient_account(self) -> None:
        try:
            with translated("get the account of the credentials from STS"):
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


@contextmanager
def _config_refused(name: str) -> Iterator[None]:
    """Raise botocore's refusal of settings as an error that names them."""
    try:
        yield
    except (TypeError, botocore.exceptions.BotoCoreError) as error:
        raise InvalidArgument(f"{name}: {error}; expected keywords of botocore's Config") from error


@cache
def _user_agent() -> str:
    return f"{botocore.session.Session().user_agent()} airflow-glacier-jobs/{__version__}"
