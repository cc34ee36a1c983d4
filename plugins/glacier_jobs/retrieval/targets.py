"""Where the output of a job is stored, as the downloader sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from glacier_jobs.errors import TargetDiffers
from glacier_jobs.retrieval.source import Fetched, JobSource
from glacier_jobs.retrieval.tree_hash import Node


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published output: the object's ETag and version, ``None`` for a file."""

    etag: str | None = None
    version_id: str | None = None


class Target(Protocol):
    """A place for one output. Parts are stored where nobody sees them, until the output is published as a whole."""

    def find(self, source: JobSource) -> Existing | None:
        """Return what is at the place already; ``None`` if nothing is."""

    def begin(self, source: JobSource) -> Mapping[Node, Fetched]:
        """Prepare to store parts, and return those that an earlier run has stored, as nodes.

        :raises TargetInUse: another process stores the same output at the same place.
        """

    def bytes_in_memory(self, source: JobSource) -> int:
        """Return how many bytes of each part under way are in memory."""

    def store(self, source: JobSource, number: int) -> Fetched:
        """Fetch a part of the output and store it. Called from several threads."""

    def publish(self, source: JobSource, sha256_tree_hash: str, *, replace: bool) -> Published | None:
        """Make the output visible, which is stored completely, and remove what only its storing needed.

        :return: ``None`` if it was not published, because something exists at the place, which was not changed.
        """

    def discard(self) -> None:
        """Remove what was stored, because it is wrong."""

    def forget(self, source: JobSource) -> None:
        """Remove what an earlier run left for an output that is at its place, unless another process uses it.

        What is at the place, and is stored otherwise than asked for, is named in the log.
        """

    def end(self) -> None:
        """Release what :meth:`begin` holds, and keep what was stored."""

    @property
    def checkpoint(self) -> str:
        """Where the state lies with which a later run continues."""


class Existing(Protocol):
    """What is at the place of an output."""

    @property
    def size_in_bytes(self) -> int:
        """The size."""

    def is_as_asked(self, sha256_tree_hash: str) -> bool:
        """Tell, without reading it, whether it is known to have this tree hash and to be stored as asked for."""

    def sha256_tree_hash(self) -> str:
        """Return its tree hash, 64 hexadecimal digits. Reads all of it, unless its metadata must do.

        :raises TargetNotReadable: its storage class prevents reading.
        """


class GoneUpload(Exception):
    """What was stored is gone, or was changed by another process; begin again with what is stored now."""


def check_equal(existing: Existing, source: JobSource, sha256_tree_hash: str, uri: str) -> None:
    """Check that what exists at the place of an output has the same content.

    :raises TargetDiffers: it has not.
    """
    found_size = existing.size_in_bytes
    found = existing.sha256_tree_hash() if found_size == source.size_in_bytes else None
    if found != sha256_tree_hash:
        raise differs(uri, found_size, found, source, sha256_tree_hash)


def differs(
    uri: str, found_size: int, found: str | None, source: JobSource, sha256_tree_hash: str | None
) -> TargetDiffers:
    """Return the error that names what was found at the place of an output, and what was expected."""
    hashed = f" and the tree hash {found}" if found else ""
    return TargetDiffers(
        f"{uri} exists with {found_size} bytes{hashed}; {source} has {source.size_in_bytes} bytes and the tree hash "
        f"{sha256_tree_hash}. Nothing was changed; use another destination, or replace=True"
    )
