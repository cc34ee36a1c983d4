"""Archives and their content."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache

from local_aws import tree_hash
from local_aws.tree_hash import MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Content:
    """The bytes of an archive: a pattern repeated up to a size, or one that is the whole content.

    A repeated pattern fills blocks of 1 MiB. Gigabytes of content, and any number of archives, need little memory, and
    their tree hash is still correct.
    """

    pattern: bytes = field(repr=False)
    size_in_bytes: int

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """Return the content with exactly these bytes."""
        return cls(pattern=data, size_in_bytes=len(data))

    @classmethod
    def generated(cls, seed: str, size_in_bytes: int) -> "Content":
        """Return generated content; the same seed gives the same bytes."""
        return cls(pattern=hashlib.sha512(seed.encode()).digest(), size_in_bytes=size_in_bytes)

    @property
    def block(self) -> bytes:
        """The whole content, or 1 MiB that is repeated."""
        return self.pattern if self.size_in_bytes <= len(self.pattern) else _block(self.pattern)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to ``end`` inclusive, in chunks of at most one block."""
        block = self.block
        while start <= end:
            begin = start % len(block)
            chunk = block[begin : begin + end - start + 1]
            yield chunk
            start += len(chunk)

    def tree_hash(self, start: int, end: int) -> str:
        """Return the tree hash of the bytes from ``start`` (a multiple of 1 MiB) to ``end`` inclusive."""
        block = self.block
        if self.size_in_bytes <= len(block):
            return tree_hash.of_bytes(block[start : end + 1])
        whole, rest = divmod(end + 1 - start, MEBIBYTE)
        last = hashlib.sha256(block[:rest]).digest() if rest else None
        return tree_hash.of_repeated(self._block_digest, whole, last)

    @cached_property
    def _block_digest(self) -> bytes:
        return hashlib.sha256(self.block).digest()


@lru_cache(maxsize=16)
def _block(pattern: bytes) -> bytes:
    return pattern * (MEBIBYTE // len(pattern))


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
