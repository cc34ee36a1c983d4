"""Glacier's SHA-256 tree hash, also combined from the hashes of parts.

The SHA-256 digests of chunks of 1 MiB, of which the last may be shorter, are the leaves of a binary tree. The digest
of each other node is that of its children's digests, one after the other. The left child of a node has the largest
power of two of leaves that is smaller than the node's number of leaves. So 2^k leaves at a multiple of 2^k are a node.

Source: Amazon Glacier developer guide, "Computing Checksums".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, order=True)
class Node:
    """A node of a tree, by its leaves: the number of the first one, from 0 on, and how many there are."""

    first: int
    leaves: int

    def children(self) -> tuple[Node, Node]:
        """Return the left and the right child of a node of at least 2 leaves."""
        left = 1 << (self.leaves - 1).bit_length() - 1
        return Node(first=self.first, leaves=left), Node(first=self.first + left, leaves=self.leaves - left)


def of_digests(digests: Sequence[bytes]) -> bytes:
    """Return the tree hash of the SHA-256 digests of at least one chunk of 1 MiB."""
    level = list(digests)
    while len(level) > 1:
        pairs = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def combined(digests: Mapping[Node, bytes], node: Node) -> bytes:
    """Return the digest of a node from digests of nodes that together cover it.

    :raises KeyError: a leaf that no node covers.
    """
    if (digest := digests.get(node)) is not None:
        return digest
    if node.leaves == 1:
        raise KeyError(node)
    left, right = node.children()
    return hashlib.sha256(combined(digests, left) + combined(digests, right)).digest()


def cover(leaves: Collection[int], node: Node) -> Iterator[Node]:
    """Yield the fewest nodes that together have exactly these leaves of a node.

    :param leaves: the numbers of leaves, which may lie outside the node.
    """
    inside = [leaf for leaf in leaves if node.first <= leaf < node.first + node.leaves]
    if len(inside) == node.leaves:
        yield node
    elif inside:
        for child in node.children():
            yield from cover(inside, child)


@dataclass
class TreeHasher:
    """Computes the tree hash of bytes of any number with little memory.

    Example::

        hasher = TreeHasher()
        hasher.update(b"content")
        print(hasher.hexdigest())
    """

    _rest: bytearray = field(default_factory=bytearray)
    _nodes: list[tuple[int, bytes]] = field(default_factory=list)
    """Perfect nodes, each with its number of leaves, which decreases from one to the next."""

    def update(self, content: bytes) -> None:
        """Append bytes."""
        view = memoryview(content)
        if self._rest:
            taken = MEBIBYTE - len(self._rest)
            self._rest += view[:taken]
            view = view[taken:]
            if len(self._rest) < MEBIBYTE:
                return
            self._add(hashlib.sha256(self._rest).digest())
            self._rest.clear()
        whole = len(view) - len(view) % MEBIBYTE
        for start in range(0, whole, MEBIBYTE):
            self._add(hashlib.sha256(view[start : start + MEBIBYTE]).digest())
        self._rest += view[whole:]

    def _add(self, digest: bytes) -> None:
        leaves = 1
        while self._nodes and self._nodes[-1][0] == leaves:
            _, left = self._nodes.pop()
            digest = hashlib.sha256(left + digest).digest()
            leaves *= 2
        self._nodes.append((leaves, digest))

    def hexdigest(self) -> str:
        """Return the tree hash of all bytes so far, 64 hexadecimal digits; no bytes count as one empty chunk."""
        digests = [digest for _, digest in self._nodes]
        if self._rest or not digests:
            digests.append(hashlib.sha256(self._rest).digest())
        last = digests.pop()
        while digests:
            last = hashlib.sha256(digests.pop() + last).digest()
        return last.hex()
