"""Stores the output of a job at a target: several parts at once, each verified, and then the whole."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from logging import getLogger
from typing import Final, Literal

from glacier_jobs.arguments import shown
from glacier_jobs.errors import (
    GlacierJobsError,
    InvalidArgument,
    JobOutputExpired,
    ServiceUnavailable,
    TreeHashMismatch,
)
from glacier_jobs.glacier.deadlines import Cancellation
from glacier_jobs.glacier.expiry import expires_at
from glacier_jobs.retrieval.source import Fetched, JobSource
from glacier_jobs.retrieval.targets import Existing, GoneUpload, Published, Target, check_equal, differs
from glacier_jobs.retrieval.tree_hash import Node, combined

#: The memory for parts under way: with parts of 64 MiB, 2 are under way at once.
_PARTS_BYTES: Final = 160 * 1024 * 1024

#: How often the parts that are stored are asked for, because an upload is gone or was changed.
_UPLOADS: Final = 3

_PROGRESS_SECONDS = 60.0

log = getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An output that is at its destination.

    :param sha256_tree_hash: the tree hash of the output, computed from its bytes.
    :param verified: whether AWS's tree hashes matched all bytes; false for an inventory, for which AWS gives none.
    :param result: ``stored``, or ``found`` if an equal file or object was there.
    """

    size_in_bytes: int
    sha256_tree_hash: str
    verified: bool
    result: Literal["stored", "found"]
    published: Published


def check_max_ranges(max_ranges: object) -> int:
    """Return the maximum number of ranges that are requested at once, checked.

    :raises InvalidArgument: names what was found and what was expected.
    """
    if isinstance(max_ranges, int) and not isinstance(max_ranges, bool) and max_ranges >= 1:
        return max_ranges
    raise InvalidArgument(f"max_ranges is {shown(max_ranges)}; expected a whole number of at least 1")


def store_output(source: JobSource, target: Target, uri: str, *, replace: bool, max_ranges: int) -> Stored:
    """Store the output of a job at a target.

    :param uri: the target in messages.
    :param replace: whether to replace what exists at the target. An object whose metadata say that it is this output,
        as it is to be stored, counts as the result all the same: a retry after the last request fetches nothing.
    :param max_ranges: how many ranges are requested at once, at most.
    :raises TreeHashMismatch: the bytes are not those that AWS's tree hash describes.
    :raises TargetDiffers: something else exists at the target, and ``replace`` is false.
    :raises TargetNotReadable: something exists at the target that cannot be read.
    :raises TargetInUse: another process stores the same output at the same place.
    :raises JobOutputExpired: the job has expired; what was stored stays.
    """
    for _ in range(_UPLOADS):
        if (existing := target.find(source)) is not None and _is_result(existing, source, uri, replace=replace):
            target.forget(source)
            return _stored(source, str(source.sha256_tree_hash), verified=True, published=None)
        try:
            return _stored_once(source, target, uri, replace=replace, max_ranges=max_ranges)
        except GoneUpload as gone:
            log.warning("%s; %s is stored with what is left of it", gone, source)
    raise ServiceUnavailable(f"{uri}: the upload of {source} was gone {_UPLOADS} times; try again later")


def _is_result(existing: Existing, source: JobSource, uri: str, *, replace: bool) -> bool:
    """Tell whether what exists is the output, as far as that is known before the output is fetched.

    :raises TargetDiffers: it is not, and may not be replaced.
    """
    expected, equal_size = source.sha256_tree_hash, existing.size_in_bytes == source.size_in_bytes
    if replace:
        return expected is not None and equal_size and existing.is_as_asked(expected)
    if not equal_size:
        raise differs(uri, existing.size_in_bytes, None, source, expected)
    if expected is not None:
        check_equal(existing, source, expected, uri)
    return expected is not None


def _stored(source: JobSource, sha256_tree_hash: str, *, verified: bool, published: Published | None) -> Stored:
    return Stored(
        size_in_bytes=source.size_in_bytes,
        sha256_tree_hash=sha256_tree_hash,
        verified=verified,
        result="found" if published is None else "stored",
        published=published or Published(),
    )


def _stored_once(source: JobSource, target: Target, uri: str, *, replace: bool, max_ranges: int) -> Stored:
    try:
        nodes = dict(target.begin(source))
        _fetch_missing(source, target, nodes, max_ranges)
        found = combined({node: fetched.digest for node, fetched in nodes.items()}, source.parts.root).hex()
        if source.sha256_tree_hash not in (None, found):
            # Each part matched, and the whole does not: to continue with them would fail for ever.
            target.discard()
            raise TreeHashMismatch(
                f"{source}: the tree hash of all bytes is {found}, and the job's is {source.sha256_tree_hash}; nothing "
                f"was published at {uri}, and what was stored was removed. Run the task again"
            )
        verified = source.sha256_tree_hash is not None or all(fetched.verified for fetched in nodes.values())
        if (published := target.publish(source, found, replace=replace)) is not None:
            return _stored(source, found, verified=verified, published=published)
        if (existing := target.find(source)) is None:
            raise GoneUpload(f"{uri} existed when {source} was to be published, and does not any more")
        check_equal(existing, source, found, uri)
        target.discard()
        return _stored(source, found, verified=verified, published=None)
    finally:
        target.end()


def _fetch_missing(source: JobSource, target: Target, nodes: dict[Node, Fetched], max_ranges: int) -> None:
    """Store the parts that no node covers, and add their nodes."""
    parts = source.parts
    covered = {number for node in nodes for number in range(node.first, node.first + node.leaves)}
    missing = iter(number for number in range(parts.count) if number not in covered)
    stored_bytes = sum(parts.range_of(node).size for node in nodes)
    if covered:
        log.info("%s: %d of %d parts were stored before", source, len(covered), parts.count)
    threads = max(1, min(max_ranges, parts.count, _PARTS_BYTES // target.bytes_in_memory(source)))
    cancellation = Cancellation()
    shown_at = time.monotonic()

    def store(number: int) -> Fetched:
        with cancellation.applied():
            return target.store(source, number)

    with ThreadPoolExecutor(threads, thread_name_prefix="job-output") as pool:
        under_way: dict[Future[Fetched], int] = {}
        try:
            while True:
                while len(under_way) < threads and (number := next(missing, None)) is not None:
                    under_way[pool.submit(copy_context().run, store, number)] = number
                if not under_way:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    node = Node(first=under_way.pop(future), leaves=1)
                    nodes[node] = future.result()
                    stored_bytes += parts.range_of(node).size
                if time.monotonic() - shown_at >= _PROGRESS_SECONDS:
                    shown_at = time.monotonic()
                    log.info("%s: %d of %d bytes are stored", source, stored_bytes, source.size_in_bytes)
        except JobOutputExpired as error:
            raise _expired(source, target, stored_bytes, error) from error
        finally:
            # Also at a time-out of the task: leaving the pool waits for its threads.
            cancellation.cancel()


def _expired(source: JobSource, target: Target, stored_bytes: int, error: GlacierJobsError) -> JobOutputExpired:
    until = expires_at(source.job)
    kept = f"; it was kept until {until.isoformat()} at least" if until else ""
    again = "for the same archive and range, wait for it, and run this task with its id: it continues"
    if source.archive_id is None:
        again = "wait for it, and run this task with its id"
    stored = "Nothing is stored. Initiate a new job"
    if stored_bytes:
        stored = (
            f"{stored_bytes} of {source.size_in_bytes} bytes are stored, and their checkpoint stays at "
            f"{target.checkpoint}. Initiate a new job"
        )
    return JobOutputExpired(f"{source} expired while it was downloaded{kept}. {stored} {again} ({error})")
