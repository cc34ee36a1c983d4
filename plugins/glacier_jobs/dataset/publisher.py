"""Publication of complete files: each becomes visible atomically, and only where no file exists."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Protocol

import fsspec.asyn
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.errors import ObservationExists, StoreNotSuitable

#: Staged files that a killed run left behind are removed by a later run once they are older than this.
ABANDONED_AFTER_SECONDS = 2 * 24 * 60 * 60

#: The prefix of staging folders in a folder that other programs use, too.
_STAGING_PREFIX = "glacier-jobs-staging-"

_BLOCK_BYTES = 4 * 1024 * 1024

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Stages files, and makes complete files visible."""

    def stage(self, name: str) -> Path:
        """Return a new local folder for files that are not visible yet."""

    def publish(self, staged: Path, path: str) -> None:
        """Make a complete file visible.

        :raises ObservationExists: the path exists already; the file there is not changed.
        """

    def replace(self, staged: Path, path: str) -> None:
        """Make a complete file visible, in place of any other file: atomically, so that readers see either file."""


def publisher_for(filesystem: AbstractFileSystem, root: str) -> Publisher:
    """Return a publisher for files below ``root``.

    :raises StoreNotSuitable: the store cannot create an object atomically, and only where none exists.
    """
    if isinstance(filesystem, LocalFileSystem):
        return _LocalPublisher(Path(root))
    if (
        isinstance(filesystem, fsspec.asyn.AsyncFileSystem)
        and "mode" in inspect.signature(filesystem._put_file).parameters
    ):
        return _ObjectPublisher(filesystem)
    raise StoreNotSuitable(
        f"the store of {root!r} ({type(filesystem).__name__}) cannot create an object atomically, and only "
        "where none exists; use a local path, S3, or another store whose fsspec file system has put_file(mode='create')"
    )


class _LocalPublisher:
    """Stages files below the root, on the same file system, and publishes them by hard links, which replace nothing."""

    def __init__(self, root: Path) -> None:
        self._staging = root / ".staging"

    def stage(self, name: str) -> Path:
        self._staging.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self._staging)
        folder = self._staging / name
        folder.mkdir()
        return folder

    def publish(self, staged: Path, path: str) -> None:
        target = self._ready(staged, path)
        try:
            # Not rename, which replaces a file; not open(…, "x"), which shows a file before it is complete.
            os.link(staged, target)
        except FileExistsError as error:
            raise ObservationExists(f"{path} exists already; nothing was changed") from error
        _sync_folder(target.parent)

    def replace(self, staged: Path, path: str) -> None:
        target = self._ready(staged, path)
        staged.replace(target)
        _sync_folder(target.parent)

    @staticmethod
    def _ready(staged: Path, path: str) -> Path:
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _remove_abandoned(folder: Path, prefix: str = "") -> None:
    """Remove abandoned files and folders from a folder. A failure to remove one is logged, and not raised."""
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for path in folder.glob(f"{prefix}*"):
        try:
            status = path.lstat()
            if status.st_mtime >= oldest:
                continue
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # another run removed it at the same time
        except OSError as error:
            log.warning("%s is abandoned and cannot be removed: %s", path, error)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _ObjectPublisher:
    """Stages files in the local temporary folder, and uploads them on the condition that no such object exists."""

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        self._filesystem = filesystem

    def stage(self, name: str) -> Path:
        _remove_abandoned(Path(tempfile.gettempdir()), _STAGING_PREFIX)
        return Path(tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{name}-"))

    def publish(self, staged: Path, path: str) -> None:
        try:
            self._put(staged, path, mode="create")
        except FileExistsError as error:
            # If the answer to a successful upload is lost, the client's retry is refused.
            if not self._has_same_content(path, staged):
                raise ObservationExists(f"{path} exists already; nothing was changed") from error

    def replace(self, staged: Path, path: str) -> None:
        self._put(staged, path)

    def _put(self, staged: Path, path: str, **options: str) -> None:
        try:
            self._filesystem.put_file(str(staged), path, **options)
        except OSError:
            raise
        except Exception as error:
            # Each store's client raises errors of its own, for example for a dropped connection.
            raise OSError(f"{path} could not be written: {error}") from error

    def _has_same_content(self, path: str, staged: Path) -> bool:
        self._filesystem.invalidate_cache()
        if self._filesystem.size(path) != staged.stat().st_size:
            return False
        with self._filesystem.open(path, "rb") as published, staged.open("rb") as local:
            while block := local.read(_BLOCK_BYTES):
                if published.read(len(block)) != block:
                    return False
        return True
