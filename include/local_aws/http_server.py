"""A small HTTP server for custom responses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open and does not log."""

    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        """Respond to a request with any method."""
        raise NotImplementedError

    def _respond(self) -> None:
        self.respond()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _respond  # noqa: N815 - http.server's names

    def answer(self, status: int, body: Any) -> None:
        """Send a JSON response."""
        data = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Do not log: pytest reports failures."""


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """Serve on a free port until the ``with`` block ends.

    :return: the URL of the server, without a trailing slash.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
