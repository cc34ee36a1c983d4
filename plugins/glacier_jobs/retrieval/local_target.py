"""A local file as the place of an output.

Its bytes are staged in the folder ``.retrieving`` beside the destination, so on the same file system. A line of a
journal records each part whose bytes matched AWS's tree hash and are on the disk. The complete file is published by a
link, which replaces nothing. A lock on the journal excludes other processes; the system releases it when the process
ends. A later run reads the recorded parts again, and fetches those that have changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from threading import Lock
from typing import Any, Final

from glacier_jobs.dataset.publisher import check_local_store, sync_folder
from glacier_jobs.errors import (
    AccessDenied,
    GlacierJobsError,
    InvalidArgument,
    ServiceUnavailable,
    TargetInUse,
)
from glacier_jobs.retrieval.ranges import ByteRange
from glacier_jobs.retrieval.source import Fetched, JobSource
from glacier_jobs.retrieval.targets import Published
from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node, TreeHasher

FOLDER: Final = ".retrieving"

#: How often a folder is created that another process removes at the same time.
_LOCK_ATTEMPTS: Final = 20

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_SUCH_PLACE: Final = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}

log = getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _ExistingFile:
    path: Path
    size_in_bytes: int

    def is_as_asked(self, sha256_tree_hash: str) -> bool:
        """Return false: only its bytes say what a file is."""
        return False

    def sha256_tree_hash(self) -> str:
        hasher = TreeHasher()
        with _file_errors_raised(self.path, self.size_in_bytes), self.path.open("rb") as file:
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
        self._unrecorded: deque[dict[str, Any]] = deque()

    @property
    def checkpoint(self) -> str:
        """The folder of the staged bytes and their journal."""
        return str(self._staged)

    def bytes_in_memory(self, source: JobSource) -> int:
        """Return 1 MiB: each chunk is written at once."""
        return MEBIBYTE

    def find(self, source: JobSource) -> _ExistingFile | None:
        """Return the file at the path.

        :raises InvalidArgument: a folder, a link to nothing, or something else is at the path.
        """
        with _file_errors_raised(self._path, source.size_in_bytes):
            try:
                status = self._path.stat()
            except FileNotFoundError:
                if not self._path.is_symlink():
                    return None
                raise InvalidArgument(f"{self._path} is a link to nothing; use another destination") from None
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{self._path} exists and is not a file; use another destination")
        return _ExistingFile(path=self._path, size_in_bytes=status.st_size)

    def begin(self, source: JobSource) -> Mapping[Node, Fetched]:
        """Lock the journal, and return the parts that it records, and whose bytes have the recorded hashes.

        :raises ServiceUnavailable: the file system has no room for the rest of the output.
        :raises StoreNotSuitable: the file system has no hard links.
        """
        header = self._header(source)
        content = self._staged / "content"
        with _file_errors_raised(self._path, source.size_in_bytes):
            self._journal = _locked(self._staged / "journal", str(source))
            if (status := _status(content)) is not None and status.st_nlink > 1:
                # It was published, and may have been edited since.
                content.unlink()
            recorded = self._recorded(header, source)
            try:
                check_local_store(self._staged, self._path.parent, links=True)
                self._check_room(source, recorded)
            except GlacierJobsError:
                if not recorded:
                    self.discard()
                raise
            self._content = os.open(content, os.O_CREAT | os.O_RDWR, 0o666)
            os.ftruncate(self._content, source.size_in_bytes)
            return self._unchanged(recorded, source)

    def _check_room(self, source: JobSource, recorded: Mapping[Node, Fetched]) -> None:
        status = _status(self._staged / "content")
        on_disk = 0 if status is None else status.st_blocks * 512
        recorded_bytes = sum(source.parts.range_of(node).size for node in recorded)
        missing = source.size_in_bytes - max(recorded_bytes, on_disk)
        free = _free_bytes(self._staged)
        if free is not None and missing > free:
            raise ServiceUnavailable(
                f"{self._path} cannot be stored now: {missing} of the {source.size_in_bytes} bytes of the output are "
                f"missing, and {free} bytes are free on its file system; nothing was fetched. Make room, and run the "
                "task again"
            )

    def _unchanged(self, recorded: Mapping[Node, Fetched], source: JobSource) -> dict[Node, Fetched]:
        unchanged = {}
        for node, fetched in recorded.items():
            part = source.parts.range_of(node)
            if self._digest(part) == fetched.digest:
                unchanged[node] = fetched
            else:
                log.warning("%s: bytes %d to %d have changed; they are fetched again", source, part.start, part.end)
        return unchanged

    def _digest(self, part: ByteRange) -> bytes:
        hasher = TreeHasher()
        for position in range(part.start, part.end + 1, MEBIBYTE):
            hasher.update(os.pread(self._content, min(MEBIBYTE, part.end + 1 - position), position))
        return bytes.fromhex(hasher.hexdigest())

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
            status = _status(self._staged / "content")
            whole = status is not None and status.st_size == source.size_in_bytes
            lines = iter(file) if whole else iter(())
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
        with _file_errors_raised(self._path, source.size_in_bytes):
            fetched = source.fetch(source.parts.range(number), self._write)
            self._unrecorded.append({"part": number, "tree_hash": fetched.digest.hex(), "verified": fetched.verified})
            with self._recording:
                # With the parts that other threads have written meanwhile: each synchronization costs CPU time.
                entries = [self._unrecorded.popleft() for _ in range(len(self._unrecorded))]
                if entries:
                    os.fdatasync(self._content)
                    self._append(*entries)
        return fetched

    def _write(self, position: int, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._content, view, position)
            view, position = view[written:], position + written

    def _append(self, *entries: dict[str, Any]) -> None:
        os.lseek(self._journal, 0, os.SEEK_END)
        os.write(self._journal, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        os.fdatasync(self._journal)

    def publish(self, source: JobSource, sha256_tree_hash: str, *, replace: bool) -> Published | None:
        """Link the staged file to the path, or move it there."""
        content = self._staged / "content"
        with _file_errors_raised(self._path, source.size_in_bytes):
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
            with contextlib.suppress(TargetInUse), _file_errors_raised(self._path, source.size_in_bytes):
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
    :raises InvalidArgument: the folder cannot be created.
    """
    for attempt in range(1, _LOCK_ATTEMPTS + 1):
        try:
            journal.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(journal, os.O_CREAT | os.O_RDWR, 0o666)
        except FileNotFoundError as error:
            # Another process may have just removed the folder; or it can never be created, as in /proc.
            if attempt == _LOCK_ATTEMPTS:
                raise InvalidArgument(
                    f"the folder {journal.parent} cannot be created: {error}; use another destination"
                ) from error
            continue
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
    raise TargetInUse(f"other processes create and remove {journal.parent} again and again; try again later")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _free_bytes(path: Path) -> int | None:
    """Return how many bytes are free on the file system of a path; ``None`` if that is not known."""
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize if found.f_blocks else None
    return None


@contextlib.contextmanager
def _file_errors_raised(path: Path, size_in_bytes: int) -> Iterator[None]:
    """Raise the errors of a file system as those of this package; others stay, and Airflow retries them.

    :param size_in_bytes: the size of the output in the message.
    """
    try:
        yield
    except GlacierJobsError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            free = _free_bytes(path.parent)
            room = "" if free is None else f", and {free} bytes are free on its file system"
            raise ServiceUnavailable(
                f"{path} cannot be stored now: {error}. The output has {size_in_bytes} bytes{room}. Make room or check "
                "the disk, and run the task again: it continues"
            ) from error
        if error.errno in _DENIED:
            raise AccessDenied(f"{path} cannot be stored: {error}; let the worker write to the folder") from error
        if error.errno in _NO_SUCH_PLACE:
            raise InvalidArgument(f"{path} cannot be stored: {error}; use another destination") from error
        raise


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
