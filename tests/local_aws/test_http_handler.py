from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import boto3
import pytest

from local_aws.client import Control
from local_aws.faulty_proxy import faulty_proxy
from local_aws.http_handler import Handler
from tests.local_aws.conftest import signed_headers

GET_VAULTS = "GET /-/vaults HTTP/1.1\r\nHost: x\r\n" + "".join(
    f"{name}: {value}\r\n" for name, value in signed_headers().items()
)


@pytest.fixture
def connection(local_aws: Control) -> Iterator[BinaryIO]:
    """A plain socket connection to the local AWS."""
    address = urlsplit(local_aws.endpoint)
    opened = socket.create_connection((address.hostname, address.port or 0), timeout=30)
    with opened, opened.makefile("rwb") as stream:
        yield cast(BinaryIO, stream)


def read_response(stream: BinaryIO) -> tuple[int, bytes]:
    """Return the status and the body of the next response."""
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


def test_a_connection_is_kept_alive_for_glacier_and_moto(connection: BinaryIO) -> None:
    for _ in range(3):
        send(connection, GET_VAULTS + "\r\n")
        assert read_response(connection) == (200, b'{"VaultList":[],"Marker":null}')
        send(connection, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body = read_response(connection)
        assert (status, b"ListAllMyBucketsResult" in body) == (200, True)


def test_pipelined_requests_get_responses_in_order(connection: BinaryIO, local_aws: Control) -> None:
    local_aws.add_vaults("v")
    send(
        connection,
        GET_VAULTS + "\r\n" + GET_VAULTS.replace("/vaults", "/vaults/nowhere") + "\r\n" + GET_VAULTS + "\r\n",
    )
    assert [read_response(connection)[0] for _ in range(3)] == [200, 404, 200]


def test_the_connection_is_closed_if_the_client_requests_it(connection: BinaryIO) -> None:
    send(connection, GET_VAULTS + "Connection: close\r\n\r\n")
    assert read_response(connection)[0] == 200
    assert connection.read() == b""


def test_invalid_http_closes_the_connection(connection: BinaryIO) -> None:
    send(connection, "hello\r\n\r\n")
    assert connection.read() == b""


def test_expect_100_continue_is_supported(connection: BinaryIO) -> None:
    head = GET_VAULTS.replace("GET /-/vaults", "PUT /-/vaults/v") + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    send(connection, head)
    assert connection.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert connection.readline() == b"\r\n"
    send(connection, "{}")
    assert read_response(connection)[0] == 201


@pytest.mark.parametrize("server", ["local AWS", "proxy"])
@pytest.mark.parametrize(("headers", "sent"), [("", "12345"), ("", ""), ("Expect: 100-continue\r\n", "")])
def test_a_body_that_ends_early_is_not_stored(local_aws: Control, server: str, headers: str, sent: str) -> None:
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="records")
    with faulty_proxy(local_aws.endpoint) as proxy:
        address = urlsplit(local_aws.endpoint if server == "local AWS" else proxy.endpoint)
        with socket.create_connection((address.hostname, address.port or 0), timeout=30) as connection:
            head = f"PUT /records/half HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: 10\r\n\r\n"
            connection.sendall(f"{head}{sent}".encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass

    assert "Contents" not in s3.list_objects_v2(Bucket="records")


@pytest.mark.parametrize(
    "request_line",
    ["GET /-/vaults/v/unknown", "PATCH /-/vaults/v", "GET /-/vaults/v/jobs/j/outputs", "GET /-/policies/x"],
)
def test_an_operation_that_is_not_implemented_is_unknown(connection: BinaryIO, request_line: str) -> None:
    send(connection, GET_VAULTS.replace("GET /-/vaults", request_line) + "\r\n")
    status, body = read_response(connection)
    assert (status, json.loads(body)["code"]) == (404, "UnknownOperationException")


def test_nagles_algorithm_is_disabled() -> None:
    assert Handler.disable_nagle_algorithm
