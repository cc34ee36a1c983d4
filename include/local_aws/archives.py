"""What lies in an archive."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from local_aws import tree_hash
from local_aws.tree_hash import MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Content:
    """The bytes of an archive: a 1 MiB block repeated up to a size, or a block that is the whole content.

    Repeating a block makes gigabytes that cost a megabyte, and whose tree hash is nevertheless true.
    """

    block: bytes = field(repr=False)
    size_in_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """A content that is exactly these bytes."""
        return cls(block=data, size_in_bytes=len(data))

    @classmethod
    def made_up(cls, seed: str, size_in_bytes: int) -> "Content":
        """A content that follows from its seed."""
        pattern = hashlib.sha512(seed.encode()).digest()
        return cls(block=pattern * (MEBIBYTE // len(pattern)), size_in_bytes=size_in_bytes)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from ``start`` to ``end``, both included, in pieces of at most a block."""
        while start <= end:
            begin = start % len(self.block)
            piece = self.block[begin : begin + end - start + 1]
            yield piece
            start += len(piece)

    def tree_hash(self, start: int, end: int) -> str:
        """The tree hash of the bytes from ``start`` to ``end``, both included; ``start`` lies on a mebibyte."""
        if self.size_in_bytes <= len(self.block):
            return tree_hash.of_bytes(self.block[start : end + 1])
        whole, rest = divmod(end + 1 - start, MEBIBYTE)
        last = hashlib.sha256(self.block[:rest]).digest() if rest else None
        return tree_hash.of_repeated(self._block_digest, whole, last)

    @cached_property
    def _block_digest(self) -> bytes:
        return hashlib.sha256(self.block).digest()


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive of a vault."""

    archive_id: str
    description: str
    created_at: datetime
    content: Content

    @property
    def size_in_bytes(self) -> int:
        """The archive's size."""
        return self.content.size_in_bytes

    @cached_property
    def tree_hash(self) -> str:
        """The tree hash of the whole archive."""
        return self.content.tree_hash(0, self.size_in_bytes - 1)
