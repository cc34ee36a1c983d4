"""Archives and their content."""

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

    With a repeated block, gigabytes of content need 1 MiB of memory, and their tree hash is still correct.
    """

    block: bytes = field(repr=False)
    size_in_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """Return the content with exactly these bytes."""
        return cls(block=data, size_in_bytes=len(data))

    @classmethod
    def generated(cls, seed: str, size_in_bytes: int) -> "Content":
        """Return generated content; the same seed gives the same bytes."""
        pattern = hashlib.sha512(seed.encode()).digest()
        return cls(block=pattern * (MEBIBYTE // len(pattern)), size_in_bytes=size_in_bytes)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``end`` inclusive, in chunks of at most one block."""
        while start <= end:
            begin = start % len(self.block)
            chunk = self.block[begin : begin + end - start + 1]
            yield chunk
            start += len(chunk)

    def tree_hash(self, start: int, end: int) -> str:
        """Return the tree hash of the bytes from ``start`` (a multiple of 1 MiB) to ``end`` inclusive."""
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
        """The size of the archive."""
        return self.content.size_in_bytes

    @cached_property
    def tree_hash(self) -> str:
        """The tree hash of the whole archive."""
        return self.content.tree_hash(0, self.size_in_bytes - 1)
