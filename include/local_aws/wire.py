"""HTTP/1.1 on the socket: requests are read here, handed to whom they are for, and answered here.

Werkzeug's handler closes the connection after each answer and parses each request for a tenth of a millisecond and
more. This one keeps connections alive and reads Glacier's requests by hand, so that a listing is not slowed down by
its server; what is moto's goes through the same WSGI environment as under moto's own server.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import parse_headers
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler

from local_aws import signing
from local_aws.errors import AwsError
from local_aws.glacier import Answer, Glacier, Request

CONTROL_PATH = "/_local_aws/"
"""Nobody's but the control's: no bucket and no account begins with an underscore."""

_MAX_LINE = 65_536
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Handler(MotoRequestHandler):
    """One connection. Bound to its services by :func:`handler_for`."""

    glacier: Glacier
    obey: Callable[[str, Mapping[str, Any]], object]
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        line = self.rfile.readline(_MAX_LINE)
        self.requestline = line.decode("latin-1").rstrip("\r\n")
        words = self.requestline.split(" ")
        if len(words) != 3:
            # The client has closed the connection, or speaks something else than HTTP.
            self.close_connection = True
            return
        self.command, self.path, self.request_version = words
        head = []
        while (more := self.rfile.readline(_MAX_LINE)) not in (b"\r\n", b"\n", b""):
            head.append(more)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (each.decode("latin-1").partition(":") for each in head)
        }
        self.close_connection = headers.get("connection", "").lower() == "close" or self.request_version != "HTTP/1.1"
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            if self.path.startswith(CONTROL_PATH):
                answer = self._answer_control(self._read_body(headers))
            elif signing.is_for_glacier(headers.get("authorization"), self.path):
                body = self._read_body(headers)
                request = Request(method=self.command, target=self.path, headers=headers, body=body)
                answer = self.glacier.answer(request)
            else:
                self.headers = parse_headers(BytesIO(b"".join(head) + b"\r\n"))
                answer = self._answer_moto(headers)
        except Exception:
            # A failure of the local AWS itself: said aloud, with a code that no test takes for one of Glacier's.
            traceback.print_exc(file=sys.stderr)
            self.close_connection = True
            answer = _json(500, {"code": "LocalAwsFailure", "message": traceback.format_exc(limit=1), "type": "Server"})
        self._send(answer)

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        length = int(headers.get("content-length") or 0)
        return self.rfile.read(length) if length else b""

    def _answer_control(self, body: bytes) -> Answer:
        try:
            return _json(200, {"result": self.obey(self.path[len(CONTROL_PATH) :], json.loads(body or b"{}"))})
        except (AwsError, KeyError, TypeError, ValueError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _answer_moto(self, headers: Mapping[str, str]) -> Answer:
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

        pieces = self.server.app(environ, start_response)
        content = b"".join(pieces)
        if (close := getattr(pieces, "close", None)) is not None:
            close()
        status, answer_headers = started[-1]
        return Answer(status=int(status.split(" ", 1)[0]), headers=answer_headers, body=content)

    def _send(self, answer: Answer) -> None:
        if answer.dropped:
            self.close_connection = True
            return
        size = len(answer.body) if answer.stream is None else answer.stream_size_in_bytes
        head = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}"]
        head += [f"{name}: {value}" for name, value in answer.headers]
        says_length = any(name.lower() == "content-length" for name, _ in answer.headers)
        if not says_length and answer.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            head.append(f"Content-Length: {size}")
        if self.close_connection:
            head.append("Connection: close")
        sent = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
        if answer.truncated:
            body = answer.body if answer.stream is None else next(iter(answer.stream), b"")
            self.close_connection = True
            self.connection.sendall(sent + body[: size // 2])
        elif answer.stream is not None:
            self.connection.sendall(sent)
            for piece in answer.stream:
                self.connection.sendall(piece)
        else:
            self.connection.sendall(sent if self.command == "HEAD" else sent + answer.body)


def handler_for(glacier: Glacier, obey: Callable[[str, Mapping[str, Any]], object]) -> type[Handler]:
    """The handler that serves this Glacier, with this control."""
    return type("BoundHandler", (Handler,), {"glacier": glacier, "obey": staticmethod(obey)})


def _json(status: int, content: object) -> Answer:
    return Answer(status=status, headers=[("Content-Type", "application/json")], body=json.dumps(content).encode())
