from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import pytest

from local_aws.client import Control
from local_aws.wire import Handler
from tests.local_aws.conftest import signed_headers

GET_VAULTS = "GET /-/vaults HTTP/1.1\r\nHost: x\r\n" + "".join(
    f"{name}: {value}\r\n" for name, value in signed_headers().items()
)


@pytest.fixture
def connection(local_aws: Control) -> Iterator[BinaryIO]:
    """One connection to the local AWS, nothing but bytes."""
    address = urlsplit(local_aws.endpoint)
    made = socket.create_connection((address.hostname, address.port or 0), timeout=30)
    with made, made.makefile("rwb") as stream:
        yield cast(BinaryIO, stream)


def answer(stream: BinaryIO) -> tuple[int, bytes]:
    """The status and the body of the next answer."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, "the connection was closed"
        head += line
    length = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    return int(head.split(b" ")[1]), stream.read(int(length[1]))


def send(stream: BinaryIO, text: str) -> None:
    stream.write(text.encode())
    stream.flush()


def test_a_connection_is_kept_for_glacier_and_for_moto_alike(connection: BinaryIO) -> None:
    for _ in range(3):
        send(connection, GET_VAULTS + "\r\n")
        assert answer(connection) == (200, b'{"VaultList":[],"Marker":null}')
        send(connection, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = answer(connection)
        assert (status, b"ListAllMyBucketsResult" in body) == (200, True)


def test_requests_sent_ahead_are_answered_in_order(connection: BinaryIO, local_aws: Control) -> None:
    local_aws.add_vaults("v")
    send(
        connection,
        GET_VAULTS + "\r\n" + GET_VAULTS.replace("/vaults", "/vaults/nowhere") + "\r\n" + GET_VAULTS + "\r\n",
    )
    assert [answer(connection)[0] for _ in range(3)] == [200, 404, 200]


def test_the_connection_is_closed_if_the_client_asks_for_it(connection: BinaryIO) -> None:
    send(connection, GET_VAULTS + "Connection: close\r\n\r\n")
    assert answer(connection)[0] == 200
    assert connection.read() == b""


def test_what_is_not_http_ends_the_connection(connection: BinaryIO) -> None:
    send(connection, "hello\r\n\r\n")
    assert connection.read() == b""


def test_a_body_may_wait_for_the_word_to_go_on(connection: BinaryIO) -> None:
    head = GET_VAULTS.replace("GET /-/vaults", "PUT /-/vaults/v") + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    send(connection, head)
    assert connection.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert connection.readline() == b"\r\n"
    send(connection, "{}")
    assert answer(connection)[0] == 201


@pytest.mark.parametrize(
    "request_line",
    ["GET /-/vaults/v/unknown", "PATCH /-/vaults/v", "GET /-/vaults/v/jobs/j/outputs", "GET /-/policies/x"],
)
def test_an_operation_that_is_not_served_is_said_to_be_unknown(connection: BinaryIO, request_line: str) -> None:
    send(connection, GET_VAULTS.replace("GET /-/vaults", request_line) + "\r\n")
    status, body = answer(connection)
    assert (status, json.loads(body)["code"]) == (404, "UnknownOperationException")


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    assert Handler.disable_nagle_algorithm
