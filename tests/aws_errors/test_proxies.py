from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.errors import AccessDenied, FinalError, ProxyDenied
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from local_aws.http_server import Handler, serving
from tests.conftest import Connect


class _Refusing(Handler):
    """A proxy that wants a login, or a login page to which a network redirects."""

    status = 407
    headers_sent: tuple[tuple[str, str], ...] = ()
    requests: list[str]

    def respond(self) -> None:
        self.requests.append(self.command)
        self.send_response_only(self.status)
        for name, value in self.headers_sent:
            self.send_header(name, value)
        self.send_header("Content-Length", "20")
        self.end_headers()
        self.wfile.write(b"<html>Sign in</html>")

    do_CONNECT = respond  # noqa: N815 - http.server's name


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy that wants a login, and the methods of its requests."""
    requests: list[str] = []
    with serving(type("Proxy", (_Refusing,), {"requests": requests})) as url:
        yield url, requests


@pytest.mark.parametrize(("scheme", "method"), [("http", "GET"), ("https", "CONNECT")])
def test_a_proxy_that_wants_a_login_is_named_without_its_login_and_asked_once(
    connect: Connect, proxy: tuple[str, list[str]], scheme: str, method: str
) -> None:
    url, requests = proxy
    with_login = url.replace("http://", "http://me:hunter2secret@")
    hook = GlacierJobsHook(
        aws_conn_id=connect(endpoint_url=f"{scheme}://glacier.test", attempts=None),
        config={"proxies": {"http": with_login, "https": with_login}},
    )

    with pytest.raises(ProxyDenied, match=rf"List Jobs of vault photos.*proxy {url} answered HTTP 407") as caught:
        list(hook.list_jobs("photos"))

    assert requests == [method]
    assert "hunter2secret" not in str(caught.value)
    assert isinstance(caught.value, AccessDenied | FinalError)


ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.mark.parametrize(
    ("extra", "request_sts"),
    [
        ({}, lambda hook: hook.account_id),
        ({"role_arn": ROLE}, lambda hook: list(hook.list_vaults())),
        ({"role_arn": ROLE}, lambda hook: list(hook.list_jobs("photos"))),
        ({"role_arn": ROLE}, lambda hook: hook.account_id),
    ],
)
@pytest.mark.parametrize(("scheme", "method"), [("http", "POST"), ("https", "CONNECT")])
def test_a_proxy_that_wants_a_login_for_sts_is_named_and_asked_once(
    connect: Connect,
    proxy: tuple[str, list[str]],
    scheme: str,
    method: str,
    extra: dict[str, Any],
    request_sts: Callable[[GlacierJobsHook], Any],
) -> None:
    url, requests = proxy
    service_config = {"sts": {"endpoint_url": f"{scheme}://sts.test"}}
    hook = GlacierJobsHook(
        aws_conn_id=connect(attempts=None, service_config=service_config, **extra),
        config={"proxies": {"http": url, "https": url}},
    )

    with pytest.raises(ProxyDenied, match=rf"The proxy {url} answered HTTP 407"):
        request_sts(hook)

    assert requests == [method]


def test_a_refused_tunnel_is_named_also_where_the_client_is_another(proxy: tuple[str, list[str]]) -> None:
    url, _ = proxy
    config = Config(proxies={"https": url}, retries={"mode": "standard", "total_max_attempts": 1})
    session = boto3.Session("login", "secret", region_name="us-east-1")
    client: Any = session.client("sts", endpoint_url="https://sts.test", config=config)

    with (
        pytest.raises(ProxyDenied, match=rf"read a file: The proxy {url} answered HTTP 407"),
        translated("read a file"),
    ):
        client.get_caller_identity()


# Not 303: urllib3 fails at it before botocore sees it, with an error that names neither status nor Location.
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_named_without_its_query_and_asked_once(connect: Connect, status: int) -> None:
    requests: list[str] = []
    location = ("Location", "https://login.test/page?token=hunter2secret")
    members = {"requests": requests, "status": status, "headers_sent": (location,)}
    with serving(type("LoginPage", (_Refusing,), members)) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url, attempts=None))

        with pytest.raises(ProxyDenied, match=rf"HTTP {status}.*redirects to https://login.test/page, ") as caught:
            list(hook.list_jobs("photos"))

    assert requests == ["GET"]
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.usefixtures("no_backoff")
def test_a_proxy_that_is_not_there_is_tried_again(connect: Connect, local_aws: Control) -> None:
    hook = GlacierJobsHook(
        aws_conn_id=connect(endpoint_url="https://glacier.test"),
        config={"proxies": {"https": "http://127.0.0.1:9"}, "retries": {"total_max_attempts": 2}},
    )

    with pytest.raises(Exception, match="after all attempts") as caught:
        list(hook.list_jobs("photos"))

    assert not isinstance(caught.value, FinalError)
