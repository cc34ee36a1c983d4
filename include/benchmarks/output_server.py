"""``python -m benchmarks.output_server``: a Glacier with one job of any size, and an S3 that discards what it is sent.

Prints its endpoint. Each request begins with a delay, and each connection has a rate. The bytes of the output repeat
one block of 1 MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import time
from http.server import ThreadingHTTPServer

from local_aws import tree_hash
from local_aws.http_server import Handler
from local_aws.tree_hash import MEBIBYTE

_BLOCK = hashlib.sha512(b"block").digest() * (MEBIBYTE // 64)
_DIGEST = hashlib.sha256(_BLOCK).digest()
_PIECE_BYTES = 256 * 1024


class Server(Handler):
    """The bound class has the settings."""

    size_in_bytes = 0
    latency_seconds = 0.0
    bytes_per_second = 0.0

    def respond(self) -> None:
        """Answer a request."""
        time.sleep(self.latency_seconds)
        if self.path.endswith("/output"):
            self._output()
        elif "/vaults/" in self.path:
            self.answer(200, self._job())
        else:
            self._s3()

    def _job(self) -> dict[str, object]:
        whole = _hash(0, self.size_in_bytes - 1)
        return {
            "JobId": "job",
            "VaultARN": "arn:aws:glacier:us-east-1:123456789012:vaults/photos",
            "Action": "ArchiveRetrieval",
            "ArchiveId": "archive",
            "ArchiveSizeInBytes": self.size_in_bytes,
            "ArchiveSHA256TreeHash": whole,
            "Completed": True,
            "RetrievalByteRange": f"0-{self.size_in_bytes - 1}",
            "SHA256TreeHash": whole,
            "StatusCode": "Succeeded",
        }

    def _output(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(found[1]), int(found[2])) if found else (0, self.size_in_bytes - 1)
        self.send_response_only(206 if found else 200)
        self.send_header("Content-Length", str(end - start + 1))
        if found:
            self.send_header("Content-Range", f"bytes {start}-{end}/{self.size_in_bytes}")
        if tree_hash.is_tree_hash_aligned(start, end, self.size_in_bytes):
            self.send_header("x-amz-sha256-tree-hash", _hash(start, end))
        self.end_headers()
        began, sent = time.monotonic(), 0
        view = memoryview(_BLOCK)
        with contextlib.suppress(ConnectionError):
            while start + sent <= end:
                position = (start + sent) % MEBIBYTE
                piece = view[position : position + min(_PIECE_BYTES, end - start - sent + 1)]
                self.wfile.write(piece)
                sent += len(piece)
                self._keep_the_rate(began, sent)

    def _s3(self) -> None:
        began, received = time.monotonic(), 0
        left = int(self.headers.get("Content-Length") or 0)
        while left and (content := self.rfile.read(min(left, _PIECE_BYTES))):
            left -= len(content)
            received += len(content)
            self._keep_the_rate(began, received)
        found = {"HEAD": 404, "GET": 404, "DELETE": 204}.get(self.command, 200)
        body = b""
        if self.command == "GET":
            body = b"<Error><Code>NoSuchKey</Code></Error>"
        elif self.command == "POST":
            name = "InitiateMultipartUploadResult" if "uploads" in self.path else "CompleteMultipartUploadResult"
            body = f"<{name}><UploadId>upload</UploadId><ETag>etag</ETag></{name}>".encode()
        self.send_response_only(found)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _keep_the_rate(self, began: float, size: int) -> None:
        if self.bytes_per_second:
            time.sleep(max(0.0, began + size / self.bytes_per_second - time.monotonic()))


def _hash(start: int, end: int) -> str:
    whole, rest = divmod(end + 1 - start, MEBIBYTE)
    return tree_hash.of_repeated(_DIGEST, whole, hashlib.sha256(_BLOCK[:rest]).digest() if rest else None)


def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.output_server", description=__doc__)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--mb-per-second", type=float, default=0.0, help="of each connection; 0 for no limit")
    options = parser.parse_args()
    settings = {
        "size_in_bytes": int(options.gib * 1024 * MEBIBYTE),
        "latency_seconds": options.latency_ms / 1000,
        "bytes_per_second": options.mb_per_second * 1_000_000,
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Server,), settings)) as server:
        server.daemon_threads = True
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
