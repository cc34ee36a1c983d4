from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from botocore.config import Config

from glacier_jobs.errors import GlacierJobsError, InvalidArgument, ServiceUnavailable, Throttled
from glacier_jobs.glacier.client import DEFAULT_ATTEMPTS, POLLING_RETRY_POLICY, RetryPolicy
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from tests.conftest import Connect


def client_of(hook: GlacierJobsHook) -> Any:
    return hook.get_conn()


def test_retries_are_botocores_standard_mode_unless_they_are_configured(connect: Connect) -> None:
    own = GlacierJobsHook(aws_conn_id=connect("open", attempts=None))
    connections = GlacierJobsHook(aws_conn_id=connect("configured", attempts=2))
    callers = GlacierJobsHook(aws_conn_id=connect(), config={"retries": {"mode": "adaptive"}})

    assert client_of(own).meta.config.retries == {"mode": "standard", "total_max_attempts": DEFAULT_ATTEMPTS}
    assert client_of(connections).meta.config.retries["total_max_attempts"] == 2
    assert client_of(callers).meta.config.retries["mode"] == "adaptive"


@pytest.mark.usefixtures("no_backoff")
def test_the_default_outlasts_more_throttling_than_one_round_of_attempts(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("throttling", count=3 * DEFAULT_ATTEMPTS)

    jobs = GlacierJobsHook(aws_conn_id=connect(attempts=None)).list_jobs("photos")

    assert [job["JobId"] for job in jobs] == ["a"]


@pytest.mark.usefixtures("no_backoff")
def test_a_request_is_retried_no_longer_than_the_retry_policy_allows(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("throttling")
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=RetryPolicy(attempts=4, seconds=0.0))

    with pytest.raises(Throttled, match="attempt 4"):
        list(hook.list_jobs("photos"))


@pytest.mark.usefixtures("no_backoff")
def test_the_time_of_the_retry_policy_starts_with_the_request(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("throttling")
    local_aws.fault("latency", seconds=0.2)
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=RetryPolicy(attempts=4, seconds=0.5))

    with pytest.raises(Throttled):
        list(hook.list_jobs("photos"))

    assert len(local_aws.requests("ListJobs")) == 4


def test_time_outs_are_those_of_the_retry_policy_unless_they_are_configured(connect: Connect) -> None:
    def time_outs(**given: Any) -> tuple[float, float]:
        config = client_of(GlacierJobsHook(**given)).meta.config
        return config.connect_timeout, config.read_timeout

    conn_id = connect("silent")
    configured = connect("configured", config_kwargs={"connect_timeout": 60}, attempts=None)

    assert time_outs(aws_conn_id=conn_id) == (60, 60)
    assert time_outs(aws_conn_id=conn_id, retry_policy=POLLING_RETRY_POLICY) == (5, 15)
    assert time_outs(aws_conn_id=configured, retry_policy=POLLING_RETRY_POLICY) == (60, 15)
    assert time_outs(aws_conn_id=conn_id, retry_policy=POLLING_RETRY_POLICY, config=Config(read_timeout=60)) == (5, 60)


def test_an_endpoint_that_sends_no_answer_is_an_error_after_the_read_time_out(
    connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault("latency", seconds=3)
    retry_policy = RetryPolicy(attempts=1, seconds=0.0, read_timeout_seconds=0.2)
    began = time.monotonic()

    with pytest.raises(ServiceUnavailable, match="Read timeout"):
        list(GlacierJobsHook(aws_conn_id=connect(attempts=None), retry_policy=retry_policy).list_jobs("photos"))

    assert time.monotonic() - began < 2


def test_the_connection_pool_is_as_large_as_the_number_of_concurrent_requests(connect: Connect) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(), max_requests=77)

    assert client_of(hook).meta.config.max_pool_connections == 77


@pytest.mark.parametrize("max_requests", [0, -1, True, 1.5, "20"])
def test_the_number_of_concurrent_requests_is_a_positive_whole_number(max_requests: Any) -> None:
    with pytest.raises(InvalidArgument, match="max_requests"):
        GlacierJobsHook(max_requests=max_requests)


def sent_user_agent(hook: GlacierJobsHook) -> str:
    sent: list[str] = []
    client = client_of(hook)
    client.meta.events.register("before-send", lambda request, **_: sent.append(request.headers["User-Agent"].decode()))
    client.list_vaults()
    return sent[0]


def test_the_user_agent_of_requests_names_this_package(connect: Connect, local_aws: Control) -> None:
    user_agent = sent_user_agent(GlacierJobsHook(aws_conn_id=connect()))

    assert user_agent.startswith("Botocore/")
    assert "airflow-glacier-jobs/" in user_agent
    assert " Airflow/" in user_agent


@pytest.mark.parametrize("config", [{"user_agent": "mine/1"}, {"user_agent_appid": "mine"}])
def test_a_configured_user_agent_is_sent(connect: Connect, local_aws: Control, config: dict[str, str]) -> None:
    user_agent = sent_user_agent(GlacierJobsHook(aws_conn_id=connect(), config=config))

    assert user_agent.startswith("mine/1") or " app/mine" in user_agent


def test_a_config_given_as_an_object_works_like_its_keywords(connect: Connect) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(), config=Config(read_timeout=7))

    assert client_of(hook).meta.config.read_timeout == 7
    assert client_of(hook).meta.config.retries["mode"] == "standard"


def test_threads_that_need_a_client_build_one(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    build = GlacierJobsHook.get_client_type

    def note(self: GlacierJobsHook, *args: Any, **arguments: Any) -> Any:
        built.append(client := build(self, *args, **arguments))
        return client

    monkeypatch.setattr(GlacierJobsHook, "get_client_type", note)
    hook = GlacierJobsHook(aws_conn_id=connect())
    together = threading.Barrier(8)

    def get_conn() -> object:
        together.wait(30)
        return hook.get_conn()

    with ThreadPoolExecutor(8) as threads:
        clients = [each.result() for each in [threads.submit(get_conn) for _ in range(8)]]

    assert built == [clients[0]]
    assert all(client is built[0] for client in clients)


def test_a_renewed_client_replaces_the_stale_one_everywhere(connect: Connect, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    hook = GlacierJobsHook(aws_conn_id=connect())
    stale = hook.get_conn()
    assert hook.conn_client_meta is stale.meta
    local_aws.fault("expired_token", count=1)

    list(hook.list_jobs("photos"))

    assert hook.conn_client_meta is hook.get_conn().meta
    assert hook.get_conn() is not stale


def test_sts_without_an_answer_delays_no_client_of_another_connection(connect: Connect) -> None:
    """To build the client of a connection with a role, the provider requests credentials from STS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sts = {"sts": {"endpoint_url": endpoint}}
        role = connect("role", service_config=sts, role_arn="arn:aws:iam::123456789012:role/reader")
        healthy = connect()
        building = threading.Thread(target=_build, args=(role,), daemon=True)
        building.start()
        request, _ = silent.accept()
        with request, ThreadPoolExecutor(1) as threads:
            assert threads.submit(client_of, GlacierJobsHook(aws_conn_id=healthy)).result(10)
            assert building.is_alive()


def _build(aws_conn_id: str) -> None:
    with suppress(GlacierJobsError):
        client_of(GlacierJobsHook(aws_conn_id=aws_conn_id, retry_policy=RetryPolicy(attempts=1, seconds=0.0)))


def test_settings_that_are_not_botocores_are_refused_with_their_name(connect: Connect) -> None:
    with pytest.raises(InvalidArgument, match=r"botocore_config: .*'no_such_setting'"):
        GlacierJobsHook(aws_conn_id=connect(), config={"no_such_setting": 1})
    with pytest.raises(InvalidArgument, match=r"botocore_config: .*often"):
        GlacierJobsHook(aws_conn_id=connect(), config={"retries": {"mode": "often"}})
    conn_id = connect("misspelt", attempts=None, config_kwargs={"no_such_setting": 1})
    with pytest.raises(InvalidArgument, match=r"config_kwargs of the Airflow connection 'misspelt': .*no_such_setting"):
        client_of(GlacierJobsHook(aws_conn_id=conn_id))


def test_a_ca_bundle_that_does_not_exist_is_refused(connect: Connect) -> None:
    with pytest.raises(InvalidArgument, match=r"verify is '/no/such/bundle.pem'; expected"):
        client_of(GlacierJobsHook(aws_conn_id=connect(), verify="/no/such/bundle.pem"))
