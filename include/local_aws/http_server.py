"""A small HTTP server, for answers that no AWS gives on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open and says nothing of its own."""

    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        """Answer a request, whatever its method."""
        raise NotImplementedError

    def _respond(self) -> None:
        self.respond()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _respond  # noqa: N815 - http.server's names

    def answer(self, status: int, body: Any) -> None:
        """Answer with JSON."""
        written = json.dumps(body).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: pytest shows what matters."""


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """Serve on a free port for as long as the block lasts.

    :return: the server's URL, without a trailing slash.
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
