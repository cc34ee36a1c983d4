"""The output of one job: what its description says, and its bytes, compared with AWS's tree hashes."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final

from glacier_jobs.errors import JobNotFound, JobOutputExpired, MalformedAnswer, ServiceUnavailable, TreeHashMismatch
from glacier_jobs.glacier.deadlines import pause
from glacier_jobs.glacier.outputs import check_has_output
from glacier_jobs.retrieval.ranges import LARGEST_PIECE_BYTES, ByteRange, Parts, pieces
from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node, of_digests

if TYPE_CHECKING:
    from glacier_jobs.glacier.hook import GlacierJobsHook
    from glacier_jobs.glacier.pagination import JobDescription

#: How often a range is requested whose bytes do not match AWS's tree hash.
PIECE_ATTEMPTS: Final = 4

_LONGEST_PAUSE_SECONDS = 15.0

_BYTE_RANGE = re.compile(r"(\d+)-(\d+)")

#: Takes bytes of an output, and their position in it. Bytes that did not match are followed by those in their place.
Sink = Callable[[int, bytes], None]

log = getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """The digest of some bytes as a node of the output's tree, and whether AWS's tree hashes matched all of them."""

    digest: bytes
    verified: bool


@dataclass(frozen=True, kw_only=True)
class JobSource:
    """The output of a succeeded job. All methods are safe to call from several threads.

    :param size_in_bytes: the size of the output, at least 1.
    :param offset: where the output begins in its archive; 0 for an inventory.
    :param whole_size: the size of the archive, or of the inventory.
    :param sha256_tree_hash: the tree hash of the output, 64 hexadecimal digits; ``None`` if AWS gives none.
    :param archive_id: ``None`` for an inventory.
    """

    hook: GlacierJobsHook
    vault_name: str
    account_id: str
    job: JobDescription
    size_in_bytes: int
    offset: int = 0
    whole_size: int = 0
    sha256_tree_hash: str | None = None
    archive_id: str | None = None
    _headers: dict[str, str | None] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return str(self.job["JobId"])

    def __str__(self) -> str:
        return f"the output of job {self.job_id} of vault {self.vault_name}"

    @cached_property
    def parts(self) -> Parts:
        """The parts in which the output is stored."""
        return Parts.of(self.size_in_bytes)

    @property
    def identity(self) -> dict[str, Any]:
        """What two outputs with equal bytes have in common, as JSON values: a new job for an archive continues."""
        common = {"vault_arn": self.job["VaultARN"], "size_in_bytes": self.size_in_bytes}
        if self.archive_id is None:
            return {**common, "job_id": self.job_id}
        return {**common, "archive_id": self.archive_id, "offset": self.offset, "tree_hash": self.sha256_tree_hash}

    def archive_description(self) -> str | None:
        """Return the description of the archive; ``None`` for an inventory, or an archive without one."""
        if self.archive_id is not None and not self._headers:
            self._open(ByteRange(start=0, size=1)).close()
        return self._headers.get("archive_description")

    def fetch(self, part: ByteRange, sink: Sink, largest: int = LARGEST_PIECE_BYTES) -> Fetched:
        """Request a part by one range or several, and pass its bytes to a sink.

        :param part: starts at a multiple of 1 MiB.
        :param largest: the largest size of a range.
        :raises TreeHashMismatch: the bytes of a range did not match, several times.
        :raises MalformedAnswer: AWS sent a range of an archive without a tree hash.
        :raises JobOutputExpired: the job has expired.
        :raises TransientError: AWS gave no usable answer after all attempts.
        """
        digests: list[bytes] = []
        verified = True
        for piece in self.pieces(part, largest):
            of_piece, matches = self.fetch_piece(piece, sink)
            digests += of_piece
            verified = verified and matches
        return Fetched(digest=of_digests(digests), verified=verified)

    def pieces(self, part: ByteRange, largest: int) -> list[ByteRange]:
        """Return the ranges by which a part is requested."""
        return list(pieces(part, offset=self.offset, whole_size=self.whole_size, largest=largest))

    def fetch_piece(self, piece: ByteRange, sink: Sink) -> tuple[list[bytes], bool]:
        """Request one range, and pass its bytes to a sink.

        Arguments and errors are those of :meth:`fetch`.

        :return: the SHA-256 digests of the piece's chunks of 1 MiB, and whether AWS's tree hash matches them: false for
            an inventory only.
        """
        mismatch = None
        failures = mismatches = 0
        while mismatches < PIECE_ATTEMPTS:
            output = self._open(piece)
            expected = output.sha256_tree_hash
            if expected is None and self.archive_id is not None:
                output.close()
                raise MalformedAnswer(
                    f"{self}, bytes {piece.start} to {piece.end}: the answer has no tree hash, which AWS sends with "
                    "each such range; nothing was published. Check whether a proxy between this machine and AWS "
                    "removes the header x-amz-sha256-tree-hash, and run the task again"
                )
            try:
                digests = []
                position = piece.start
                with output:
                    while chunk := output.read(MEBIBYTE):
                        digests.append(hashlib.sha256(chunk).digest())
                        sink(position, chunk)
                        position += len(chunk)
            except ServiceUnavailable as error:
                failures += 1
                if failures >= self.hook.retry_policy.attempts:
                    raise
                log.warning("%s It is requested again", error)
                # Not for secrets: threads that failed together shall not repeat together.
                pause(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.5 * 2**failures)))  # noqa: S311
                continue
            found = of_digests(digests).hex()
            if expected in (None, found):
                return digests, expected is not None
            mismatches += 1
            mismatch = (
                f"{self}, bytes {piece.start} to {piece.end}: the tree hash of the bytes is {found}, and AWS's is "
                f"{expected}"
            )
            log.warning("%s; the range is requested again", mismatch)
        raise TreeHashMismatch(
            f"{mismatch}, after {PIECE_ATTEMPTS} requests; nothing was published. Check the network and the proxies "
            "between this machine and AWS, and run the task again"
        )

    def tree_hash_of(self, node: Node) -> bytes | None:
        """Return AWS's tree hash of consecutive parts without their bytes; ``None`` if AWS gives none for them."""
        with self._open(self.parts.range_of(node)) as output:
            return bytes.fromhex(output.sha256_tree_hash) if output.sha256_tree_hash else None

    def _open(self, piece: ByteRange) -> Any:
        output = self.hook.open_job_output(self.vault_name, self.job_id, piece.start, piece.end, self.account_id)
        if (output.total_size_in_bytes, output.size_in_bytes) != (self.size_in_bytes, piece.size):
            output.close()
            raise MalformedAnswer(
                f"{self} has {output.total_size_in_bytes} bytes, of which {output.size_in_bytes} were sent; expected "
                f"{self.size_in_bytes} bytes by the job's description, of which {piece.size} were requested"
            )
        self._headers.setdefault("archive_description", output.archive_description)
        return output


def job_source(hook: GlacierJobsHook, vault_name: str, job_id: str, account_id: str) -> JobSource:
    """Return the output of a job, by the job's description.

    :raises InvalidArgument: an argument is not valid; no request was made.
    :raises JobOutputNotReady: the job is in progress.
    :raises JobFailed: the job failed.
    :raises JobOutputExpired: the vault has no such job, or the job has expired.
    :raises MalformedAnswer: the description lacks the size, or contradicts itself.

    Other errors are those of :meth:`glacier_jobs.glacier.hook.GlacierJobsHook.get_job`.
    """
    try:
        job = hook.get_job(vault_name, job_id, account_id)
    except JobNotFound as error:
        raise JobOutputExpired(
            f"{error}. Without the job, there is no output: initiate a new job, and wait for it"
        ) from error
    action = f"Store the output of job {job_id} of vault {vault_name}"
    check_has_output(job, action)
    if job.get("Action") != "ArchiveRetrieval":
        size = _size(job, "InventorySizeInBytes", action)
        return JobSource(
            hook=hook, vault_name=vault_name, account_id=account_id, job=job, size_in_bytes=size, whole_size=size
        )
    whole_size = _size(job, "ArchiveSizeInBytes", action)
    start, end = _range(job, whole_size, action)
    return JobSource(
        hook=hook,
        vault_name=vault_name,
        account_id=account_id,
        job=job,
        size_in_bytes=end - start + 1,
        offset=start,
        whole_size=whole_size,
        sha256_tree_hash=job.get("SHA256TreeHash"),
        archive_id=job.get("ArchiveId"),
    )


def _size(job: JobDescription, field_name: str, action: str) -> int:
    size = job.get(field_name)
    if isinstance(size, int) and size > 0:
        return size
    raise MalformedAnswer(f"{action}: the job's {field_name} is {size!r}; expected a number of bytes from 1 on")


def _range(job: JobDescription, whole_size: int, action: str) -> tuple[int, int]:
    text = job.get("RetrievalByteRange")
    if text is None:
        return 0, whole_size - 1
    found = _BYTE_RANGE.fullmatch(str(text))
    start, end = (int(found[1]), int(found[2])) if found else (0, -1)
    aligned = start % MEBIBYTE == 0 and ((end + 1) % MEBIBYTE == 0 or end + 1 == whole_size)
    if not 0 <= start <= end < whole_size or not aligned:
        raise MalformedAnswer(
            f"{action}: the job's RetrievalByteRange is {text!r}; expected a range of an archive of {whole_size} "
            "bytes that starts at a multiple of 1 MiB, and ends before one or with the archive"
        )
    return start, end
