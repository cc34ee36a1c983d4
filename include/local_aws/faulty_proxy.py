"""A proxy in front of the local AWS that makes chosen requests fail: faults that S3 itself does not offer on demand."""

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
    """What becomes of a request: it is late, or answered with an error of S3, or dropped."""

    delay_seconds: float = 0.0
    status: int | None = None
    code: str = "InternalError"
    dropped: bool = False


#: The fault of a request, by its method and its path with the query; ``None`` lets it through.
Rule = Callable[[str, str], Fault | None]


class Proxy:
    """Forwards all requests but those that its rule lets fail."""

    def __init__(self, upstream: str) -> None:
        self.endpoint = ""
        self.upstream = urlsplit(upstream)
        self.rule: Rule = lambda method, path: None


class _Forwarding(Handler):
    proxy: Proxy

    def respond(self) -> None:
        body = self._body()
        fault = self.proxy.rule(self.command, self.path) or Fault()
        time.sleep(fault.delay_seconds)
        if fault.dropped:
            self.close_connection = True
            return
        if fault.status is not None:
            error = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>on demand</Message></Error>"
            body = b"" if self.command == "HEAD" else error.encode()
            self._pass_on(fault.status, [("Content-Type", "application/xml")], body)
            return
        upstream = http.client.HTTPConnection(self.proxy.upstream.netloc)
        with contextlib.closing(upstream):
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            try:
                upstream.request(
                    self.command, self.path, body=body, headers={**headers, "Content-Length": str(len(body))}
                )
                answer = upstream.getresponse()
            except ConnectionError:
                # What is behind has been stopped.
                self.close_connection = True
                return
            self._pass_on(answer.status, answer.getheaders(), answer.read())

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _pass_on(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
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
    """Run a proxy to an endpoint for as long as the block lasts."""
    proxy = Proxy(upstream)

    class Bound(_Forwarding):
        """Of this proxy."""

    Bound.proxy = proxy
    with serving(Bound) as proxy.endpoint:
        yield proxy
