"""A local file as the place of an output.

Its bytes are staged in the folder ``.retrieving`` beside the destination, so on the same file system. A line of a
journal records each part whose bytes matched AWS's tree hash and are on the disk. The complete file is published by a
link, which replaces nothing. A lock on the journal excludes other processes; the system releases it when the process
ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from threading import Lock
from typing import Any, Final

from glacier_jobs.dataset.publisher import check_local_store, sync_folder
from glacier_jobs.errors import AccessDenied, InvalidArgument, StoreNotSuitable, TargetInUse
from glacier_jobs.retrieval.source import Fetched, JobSource
from glacier_jobs.retrieval.targets import Published
from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node, TreeHasher

FOLDER: Final = ".retrieving"

log = getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _ExistingFile:
    path: Path
    size_in_bytes: int

    def sha256_tree_hash(self) -> str:
        hasher = TreeHasher()
        with self.path.open("rb") as file:
            while block := file.read(MEBIBYTE):
                hasher.update(block)
        return hasher.hexdigest()


class LocalTarget:
    """A file that does not exist yet, or is to be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.parent / FOLDER
        self._staged = self._folder
        self._journal = -1
        self._content = -1
        self._recording = Lock()

    @property
    def checkpoint(self) -> str:
        """The folder of the staged bytes and their journal."""
        return str(self._staged)

    def bytes_in_memory(self, source: JobSource) -> int:
        """Return 1 MiB: each chunk is written at once."""
        return MEBIBYTE

    def find(self, source: JobSource) -> _ExistingFile | None:
        """Return the file at the path."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        if not self._path.is_file():
            raise InvalidArgument(f"{self._path} exists and is not a file; use another destination")
        return _ExistingFile(path=self._path, size_in_bytes=status.st_size)

    def begin(self, source: JobSource) -> Mapping[Node, Fetched]:
        """Lock the journal, and return the parts that it records."""
        header = self._header(source)
        try:
            self._journal = _locked(self._staged / "journal", str(source))
        except PermissionError as error:
            raise AccessDenied(f"{self._path} cannot be stored: {error}; let the worker write to the folder") from error
        try:
            check_local_store(self._staged, self._path.parent, links=True)
        except StoreNotSuitable:
            self.discard()
            raise
        recorded = self._recorded(header, source)
        self._content = os.open(self._staged / "content", os.O_CREAT | os.O_RDWR, 0o666)
        os.ftruncate(self._content, source.size_in_bytes)
        return recorded

    def _header(self, source: JobSource) -> dict[str, Any]:
        """Return the first line of the journal, whose hash names the folder."""
        header = {**source.identity, "path": str(self._path), "part_size": source.parts.part_size_in_bytes}
        self._staged = self._folder / hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:32]
        return header

    def _recorded(self, header: dict[str, Any], source: JobSource) -> dict[Node, Fetched]:
        """Return the recorded parts, and remove the rest of the journal from the first line on that is no record.

        That is a line which a loss of power has cut. Without the staged file, nothing is recorded.
        """
        recorded: dict[Node, Fetched] = {}
        valid_bytes = 0
        with os.fdopen(os.dup(self._journal), "rb") as file:
            lines = iter(file) if _size(self._staged / "content") == source.size_in_bytes else iter(())
            if (first := next(lines, b"")) and _entry(first) == header:
                valid_bytes = len(first)
                for line in lines:
                    entry = _entry(line)
                    if entry is None or not _is_part(entry, source):
                        break
                    fetched = Fetched(digest=bytes.fromhex(entry["tree_hash"]), verified=bool(entry["verified"]))
                    recorded[Node(first=entry["part"], leaves=1)] = fetched
                    valid_bytes += len(line)
        os.ftruncate(self._journal, valid_bytes)
        if not valid_bytes:
            self._append(header)
        return recorded

    def store(self, source: JobSource, number: int) -> Fetched:
        """Write the bytes of a part at their position, and record the part once they are on the disk."""
        fetched = source.fetch(source.parts.range(number), self._write)
        os.fdatasync(self._content)
        with self._recording:
            self._append({"part": number, "tree_hash": fetched.digest.hex(), "verified": fetched.verified})
        return fetched

    def _write(self, position: int, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._content, view, position)
            view, position = view[written:], position + written

    def _append(self, entry: dict[str, Any]) -> None:
        os.lseek(self._journal, 0, os.SEEK_END)
        os.write(self._journal, json.dumps(entry).encode() + b"\n")
        os.fdatasync(self._journal)

    def publish(self, source: JobSource, sha256_tree_hash: str, *, replace: bool) -> Published | None:
        """Link the staged file to the path, or move it there."""
        content = self._staged / "content"
        os.fsync(self._content)
        try:
            if replace:
                content.replace(self._path)
            else:
                os.link(content, self._path)
        except FileExistsError:
            return None
        sync_folder(self._path.parent)
        self.discard()
        return Published()

    def discard(self) -> None:
        """Remove the staged file and its journal. A failure is logged: the output is complete or not wanted."""
        try:
            # With the lock, so that no other process has opened the journal for its own use.
            shutil.rmtree(self._staged)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._staged, error)
        with contextlib.suppress(OSError):  # not empty, or removed by another process
            self._folder.rmdir()

    def forget(self, source: JobSource) -> None:
        """Remove the folder of an output that is at its path, unless another process uses it."""
        self._header(source)
        if self._staged.exists():
            with contextlib.suppress(TargetInUse):
                self._journal = _locked(self._staged / "journal", str(source))
                self.discard()
            self.end()

    def end(self) -> None:
        """Close the files, and release the lock."""
        for descriptor in (self._content, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._content = self._journal = -1


def _locked(journal: Path, name: str) -> int:
    """Open a journal, whose folder need not exist, and lock it.

    :raises TargetInUse: another process, or another thread of this one, has the lock.
    """
    while True:
        try:
            journal.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(journal, os.O_CREAT | os.O_RDWR, 0o666)
        except FileNotFoundError:
            continue  # the other process has just removed the folder
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have completed the output and removed the journal before it released the lock.
            if os.path.samestat(os.fstat(descriptor), journal.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise TargetInUse(
                f"another process stores {name} in {journal.parent} now; a later try finds its result, or continues"
            ) from error
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _entry(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _is_part(entry: dict[str, Any], source: JobSource) -> bool:
    part, tree_hash = entry.get("part"), entry.get("tree_hash")
    return (
        isinstance(part, int)
        and 0 <= part < source.parts.count
        and isinstance(tree_hash, str)
        and len(tree_hash) == 64
        and set(tree_hash) <= set("0123456789abcdef")
    )
