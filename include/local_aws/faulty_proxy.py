"""A proxy for the local AWS that makes selected requests fail; moto's S3 cannot inject faults."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from local_aws.http_server import Handler, serving


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The fault of a request: a delay, an error response of S3, or a dropped connection.

    With ``after_effect``, the connection is dropped after the request was forwarded.
    """

    delay_seconds: float = 0.0
    status: int | None = None
    code: str = "InternalError"
    dropped: bool = False
    after_effect: bool = False


#: Returns the fault for a method and a path with its query; ``None`` forwards the request.
Rule = Callable[[str, str], Fault | None]


class Proxy:
    """Forwards all requests, except those that fail by its rule."""

    def __init__(self, upstream: str) -> None:
        self.endpoint = ""
        self.upstream = urlsplit(upstream)
        self.rule: Rule = lambda method, path: None


class _Forwarding(Handler):
    proxy: Proxy

    def respond(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        fault = self.proxy.rule(self.command, self.path) or Fault()
        time.sleep(fault.delay_seconds)
        if fault.dropped and not fault.after_effect:
            self.close_connection = True
            return
        if fault.status is not None:
            error = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>on demand</Message></Error>"
            body = b"" if self.command == "HEAD" else error.encode()
            self._send(fault.status, [("Content-Type", "application/xml")], body)
            return
        upstream = http.client.HTTPConnection(self.proxy.upstream.netloc)
        with contextlib.closing(upstream):
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            try:
                upstream.request(
                    self.command, self.path, body=body, headers={**headers, "Content-Length": str(len(body))}
                )
                response = upstream.getresponse()
            except ConnectionError:
                # The server behind the proxy has stopped.
                self.close_connection = True
                return
            if fault.dropped:
                response.read()
                self.close_connection = True
                return
            self._send(response.status, response.getheaders(), response.read())

    def _body(self) -> bytes | None:
        """Return the body of the request; ``None`` if the client ended the connection before it had sent all of it."""
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def handle_expect_100(self) -> bool:
        return True


@contextlib.contextmanager
def faulty_proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy for an endpoint until the ``with`` block ends."""
    proxy = Proxy(upstream)

    class Bound(_Forwarding):
        """The handler of this proxy."""

    Bound.proxy = proxy
    with serving(Bound) as proxy.endpoint:
        yield proxy
