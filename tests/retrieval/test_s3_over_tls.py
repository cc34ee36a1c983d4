from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval import s3_target
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.s3_target import ObjectOptions
from glacier_jobs.retrieval.source import job_source
from local_aws.client import Control
from tests.conftest import Connect
from tests.glacier.test_deadlines import write_certificate
from tests.retrieval.outputs import MEBIBYTE, PART, distinct_bytes, ranges, upload

SIZE = PART + 5 * MEBIBYTE + 7


class Relay(socketserver.BaseRequestHandler):
    """Passes what arrives by TLS on to a server without TLS, and its answers back; counts trailers with a checksum."""

    upstream: tuple[str, int]
    context: ssl.SSLContext
    trailers = 0

    def handle(self) -> None:
        with (
            contextlib.suppress(OSError),
            self.context.wrap_socket(self.request, server_side=True) as client,
            socket.create_connection(self.upstream) as server,
        ):
            answers = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            answers.start()
            self._pass_on(client, server)
            answers.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(256 * 1024):
                type(self).trailers += content.lower().count(b"x-amz-trailer: x-amz-checksum-crc32")
                sink.sendall(content)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(endpoint: str, folder: Path) -> Iterator[tuple[str, type[Relay]]]:
    """Serve an endpoint by TLS, with the certificate ``tls.pem``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(folder / "tls.pem"))
    parts = urlsplit(endpoint)
    bound = type("Bound", (Relay,), {"upstream": (parts.hostname, parts.port), "context": context, "trailers": 0})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), bound) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.server_address[1]}", bound
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("streamed", [False, True])
def test_parts_are_sent_once_and_with_their_checksum_in_a_trailer(
    connect: Connect, local_aws: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    if streamed:
        monkeypatch.setattr(s3_target, "LARGEST_PIECE_BYTES", 4 * MEBIBYTE)
        monkeypatch.setattr(s3_target, "STREAMED_PIECE_BYTES", 4 * MEBIBYTE)
    archive = upload(local_aws, distinct_bytes(SIZE))
    job_id = archive.retrieve()
    s3: Any = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="restored")
    hook = GlacierJobsHook(aws_conn_id=connect())
    source = job_source(hook, "photos", job_id, "-")

    with relay(local_aws.endpoint, tmp_path) as (url, relayed):
        path_style = {"s3": {"addressing_style": "path"}}
        tls: dict[str, Any] = {"endpoint_url": url, "verify": str(tmp_path / "tls.pem"), "config_kwargs": path_style}
        uri = f"s3://{connect('tls', attempts=None, **tls)}@restored/photo.jpg"
        target = open_target(uri, dest_aws_conn_id=None, options=ObjectOptions(), max_requests=2)
        stored = store_output(source, target, uri, replace=False, max_ranges=2)

    assert s3.get_object(Bucket="restored", Key="photo.jpg")["Body"].read() == archive.content
    assert stored.verified
    # Both parts, and the checkpoint.
    assert relayed.trailers == 3
    requested = ranges(local_aws)
    assert len(requested) == len(set(requested)) == (1 + 2 + 2 if streamed else 1 + 2)
