"""Which parts of an output are stored, and by which ranges each part is requested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node

#: S3's maximum for a multipart upload.
MAX_PARTS: Final = 10_000

SMALLEST_PART_BYTES: Final = 8 * MEBIBYTE

#: The largest range of a request, and so the most that is requested again where a hash does not match.
LARGEST_PIECE_BYTES: Final = 64 * MEBIBYTE

#: The pieces of larger parts. Each stream has one in memory.
STREAMED_PIECE_BYTES: Final = 16 * MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """Bytes of an output: the first one, from 0 on, and how many there are."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The last byte."""
        return self.start + self.size - 1


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of an output, numbered from 0: all have the same size, a power of two of MiB, except the last one.

    Example::

        parts = Parts.of(40 * 1024**3)
        print(parts.count, parts.range(0))
    """

    size_in_bytes: int
    part_size_in_bytes: int

    @classmethod
    def of(cls, size_in_bytes: int) -> Parts:
        """Return the parts of an output of at least 1 byte: the smallest of 8 MiB or more that are at most 10,000."""
        part_size = SMALLEST_PART_BYTES
        while part_size * MAX_PARTS < size_in_bytes:
            part_size *= 2
        return cls(size_in_bytes=size_in_bytes, part_size_in_bytes=part_size)

    @property
    def count(self) -> int:
        """The number of parts."""
        return -(-self.size_in_bytes // self.part_size_in_bytes)

    @property
    def root(self) -> Node:
        """The node of the whole output in a tree whose leaves are the parts."""
        return Node(first=0, leaves=self.count)

    def range(self, number: int) -> ByteRange:
        """Return the bytes of a part."""
        return self.range_of(Node(first=number, leaves=1))

    def range_of(self, node: Node) -> ByteRange:
        """Return the bytes of consecutive parts."""
        start = node.first * self.part_size_in_bytes
        end = min(start + node.leaves * self.part_size_in_bytes, self.size_in_bytes)
        return ByteRange(start=start, size=end - start)


def pieces(part: ByteRange, *, offset: int, whole_size: int, largest: int) -> Iterator[ByteRange]:
    """Yield the ranges by which a part is requested: the largest that have a tree hash.

    :param part: a range of the output, as the ranges that are yielded.
    :param offset: where the output begins in its archive, a multiple of 1 MiB.
    :param whole_size: the size of the archive.
    :param largest: the largest size of a range, a power of two of MiB.
    """
    start, end = part.start, part.start + part.size
    while start < end:
        size = largest
        while not _is_node(start + offset, size, end + offset, whole_size):
            size //= 2
        size = min(size, end - start)
        yield ByteRange(start=start, size=size)
        start += size


def _is_node(start: int, size: int, end: int, whole_size: int) -> bool:
    """Tell whether the bytes from ``start`` on, at most ``size``, are a node of the archive's tree, and not beyond end.

    A node that is not complete is one at the end of the archive only.
    """
    if size <= MEBIBYTE:
        return True
    return start % size == 0 and (start + size <= end or (end == whole_size and end - start > size // 2))
