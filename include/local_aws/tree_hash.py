"""Glacier's tree hash, and the ranges that have one.

Source: Amazon Glacier developer guide, "Computing checksums" and "Receiving checksums when downloading data".
"""

import hashlib
from collections.abc import Iterable

MEBIBYTE = 1024 * 1024


def of_chunks(chunks: Iterable[bytes]) -> str:
    """Return the hexadecimal tree hash of content in 1 MiB chunks; only the last may be shorter."""
    return of_digests([hashlib.sha256(chunk).digest() for chunk in chunks])


def of_digests(digests: list[bytes]) -> str:
    """Return the hexadecimal tree hash for the SHA-256 digests of 1 MiB chunks; no digests mean empty content."""
    level = digests or [hashlib.sha256(b"").digest()]
    while len(level) > 1:
        pairs = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0].hex()


def of_repeated(digest: bytes, count: int, last: bytes | None = None) -> str:
    """Return the hexadecimal tree hash for ``count`` times the same digest and then ``last``, as :func:`of_digests`.

    Needs one step per level of the tree, not one per chunk.
    """
    while count > 1 or (count == 1 and last is not None):
        if count % 2:
            last = digest if last is None else hashlib.sha256(digest + last).digest()
        digest = hashlib.sha256(digest + digest).digest()
        count //= 2
    only = digest if count else last
    return of_digests([] if only is None else [only])


def of_bytes(content: bytes) -> str:
    """Return the hexadecimal tree hash of content."""
    return of_chunks(content[i : i + MEBIBYTE] for i in range(0, len(content), MEBIBYTE))


def is_mebibyte_aligned(start: int, end: int, size: int) -> bool:
    """Return whether the inclusive range starts on a mebibyte, and ends on one or at the end of the content."""
    return start % MEBIBYTE == 0 and ((end + 1) % MEBIBYTE == 0 or end == size - 1)


def is_tree_hash_aligned(start: int, end: int, size: int) -> bool:
    """Return whether the inclusive range is one node of the tree of the whole content, and so has a tree hash."""
    if not is_mebibyte_aligned(start, end, size):
        return False
    first_chunk = start // MEBIBYTE
    chunks = end // MEBIBYTE - first_chunk + 1
    node_chunks = 1 << (chunks - 1).bit_length()
    return first_chunk % node_chunks == 0 and (chunks == node_chunks or end == size - 1)
