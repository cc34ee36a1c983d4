"""Answers that come from a proxy or another server between this machine and AWS."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ProxyConnectionError

#: What Python says where a proxy refuses to connect to an HTTPS endpoint.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (3\d\d|407)\b")


class ProxyRefusedError(BotoCoreError):
    """A proxy wants a login, or redirects. botocore does not repeat the request; by itself, it would."""

    fmt = "The proxy {proxy_url} answered HTTP {status}"


def send_through_proxy(send: Callable[[Any], Any], session: Any, request: Any) -> Any:
    """Send a request through a session, and raise the error of a proxy that refused it.

    :param send: sends the request, as the session's method does.
    :raises ProxyRefusedError: names the proxy, without its login.
    """
    try:
        answer = send(request)
    except ProxyConnectionError as error:
        if refused := refusal(error):
            raise refused from error
        raise
    if getattr(answer, "status_code", None) == 407:
        proxy_url = without_secrets(str(session._proxy_config.proxy_url_for(request.url)))
        raise ProxyRefusedError(proxy_url=proxy_url, status=407)
    return answer


def refusal(error: ProxyConnectionError) -> ProxyRefusedError | None:
    """Return the error of a proxy that refused a tunnel; ``None`` if the proxy could not be reached, for example."""
    refused = _TUNNEL_REFUSED.search(str(error.kwargs.get("error")))
    if refused is None:
        return None
    return ProxyRefusedError(proxy_url=without_secrets(str(error.kwargs.get("proxy_url"))), status=refused[1])


def without_secrets(url: str) -> str:
    """Return a URL without login, query and fragment, which may hold secrets."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
