"""The HTTP/1.1 request handler: passes requests to Glacier, to the control or to moto.

Werkzeug's handler closes the connection after each response and needs 0.1 ms or more to parse a request. This handler
keeps connections alive and parses Glacier's requests itself, so that the server does not slow down listings. Requests
to moto use the same WSGI environment as in moto's own server.
"""

import json
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.client import parse_headers
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler

from local_aws import signing
from local_aws.errors import AwsError
from local_aws.glacier import Glacier, Request, Response

CONTROL_PATH = "/_local_aws/"
"""The path of the control. No bucket name and no account ID starts with an underscore."""

_MAX_LINE = 65_536

#: moto is not safe to use from several threads.
_MOTO = threading.Lock()

_PART_OF_UPLOAD = re.compile(r"[?&]partNumber=\d+.*[?&]uploadId=|[?&]uploadId=.*[?&]partNumber=\d+")
_NO_SUCH_UPLOAD = b"<Error><Code>NoSuchUpload</Code><Message>The specified upload does not exist.</Message></Error>"

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _IncompleteBody(Exception):
    """The client ended the connection before it had sent the whole body. AWS does nothing then."""


class Handler(MotoRequestHandler):
    """Handles one connection. :func:`handler_for` binds it to its services."""

    glacier: Glacier
    execute: Callable[[str, Mapping[str, Any]], object]
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Read a request and send the response."""
        line = self.rfile.readline(_MAX_LINE)
        self.requestline = line.decode("latin-1").rstrip("\r\n")
        words = self.requestline.split(" ")
        if len(words) != 3:
            # The client has closed the connection, or does not speak HTTP.
            self.close_connection = True
            return
        self.command, self.path, self.request_version = words
        head = []
        while (header_line := self.rfile.readline(_MAX_LINE)) not in (b"\r\n", b"\n", b""):
            head.append(header_line)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (each.decode("latin-1").partition(":") for each in head)
        }
        self.close_connection = headers.get("connection", "").lower() == "close" or self.request_version != "HTTP/1.1"
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if self.path.startswith(CONTROL_PATH):
                response = self._control_response(self._read_body(headers))
            elif signing.is_for_glacier(headers.get("authorization"), self.path):
                body = self._read_body(headers)
                request = Request(method=self.command, target=self.path, headers=headers, body=body)
                response = self.glacier.handle(request)
            else:
                self.headers = parse_headers(BytesIO(b"".join(head) + b"\r\n"))
                response = self._moto_response(headers)
        except (_IncompleteBody, ConnectionError):
            self.close_connection = True
            return
        except Exception:
            # A bug in the local AWS: print it, and return a code that Glacier does not have.
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            response = _json(
                500, {"code": "LocalAwsFailure", "message": traceback.format_exc(limit=1), "type": "Server"}
            )
        self._send(response)

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        length = int(headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise _IncompleteBody
        return body

    def _control_response(self, body: bytes) -> Response:
        try:
            return _json(200, {"result": self.execute(self.path[len(CONTROL_PATH) :], json.loads(body or b"{}"))})
        except (AwsError, KeyError, TypeError, ValueError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _moto_response(self, headers: Mapping[str, str]) -> Response:
        environ = self.make_environ()
        if environ.pop("wsgi.input_terminated", False):
            body = environ["wsgi.input"].read()
            environ.pop("HTTP_TRANSFER_ENCODING")
        else:
            body = self._read_body(headers)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, response_headers: list[tuple[str, str]], _: object = None
        ) -> Callable[..., None]:
            started.append((status, response_headers))
            return lambda _: None

        try:
            with _MOTO:
                chunks = self.server.app(environ, start_response)
                content = b"".join(chunks)
                if (close := getattr(chunks, "close", None)) is not None:
                    close()
        except KeyError:
            if self.command != "PUT" or not _PART_OF_UPLOAD.search(self.path):
                raise
            # moto fails on a part of an upload that was completed or aborted.
            return Response(status=404, headers=[("Content-Type", "application/xml")], body=_NO_SUCH_UPLOAD)
        status, moto_headers = started[-1]
        return Response(status=int(status.split(" ", 1)[0]), headers=moto_headers, body=content)

    def _send(self, response: Response) -> None:
        if response.dropped:
            self.close_connection = True
            return
        size = len(response.body) if response.stream is None else response.stream_size_in_bytes
        head = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        has_length = any(name.lower() == "content-length" for name, _ in response.headers)
        if not has_length and response.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            head.append(f"Content-Length: {size}")
        if self.close_connection:
            head.append("Connection: close")
        sent = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if response.truncated:
            body = response.body if response.stream is None else next(iter(response.stream), b"")
            self.close_connection = True
            self.connection.sendall(sent + body[: size // 2])
        elif response.stream is not None:
            self.connection.sendall(sent)
            self._send_stream(response.stream, response.cut_after_bytes)
        else:
            self.connection.sendall(sent if self.command == "HEAD" else sent + response.body)

    def _send_stream(self, stream: Iterable[bytes], cut_after_bytes: int | None) -> None:
        if cut_after_bytes is None:
            for chunk in stream:
                self.connection.sendall(chunk)
            return
        self.close_connection = True
        for chunk in stream:
            self.connection.sendall(chunk[:cut_after_bytes])
            cut_after_bytes -= min(len(chunk), cut_after_bytes)
            if not cut_after_bytes:
                return


def handler_for(glacier: Glacier, execute: Callable[[str, Mapping[str, Any]], object]) -> type[Handler]:
    """Return a handler class bound to this Glacier and this control."""
    return type("BoundHandler", (Handler,), {"glacier": glacier, "execute": staticmethod(execute)})


def _json(status: int, content: object) -> Response:
    return Response(status=status, headers=[("Content-Type", "application/json")], body=json.dumps(content).encode())
