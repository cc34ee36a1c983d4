"""A finished file made visible in one step, where nothing was before."""

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

#: What a killed run left where it staged is swept away by a later one when it is older than this.
ABANDONED_AFTER_SECONDS = 2 * 24 * 60 * 60

#: How a staging folder is called where not everything is ours.
_STAGING_PREFIX = "glacier-jobs-staging-"

_BLOCK_BYTES = 4 * 1024 * 1024

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Where files are finished aside, and how they become visible."""

    def stage(self, name: str) -> Path:
        """Return a new local folder for files that nobody shall see yet."""

    def publish(self, staged: Path, path: str) -> None:
        """Make a finished file visible.

        :raises ObservationExists: the path is taken; what is there is not touched.
        """

    def replace(self, staged: Path, path: str) -> None:
        """Put a finished file where another may be: in one step, so that a reader finds the one or the other."""


def publisher_for(filesystem: AbstractFileSystem, root: str) -> Publisher:
    """Return the way to publish below ``root``.

    :raises StoreNotSuitable: the store has no way to create an object whole and only where none is.
    """
    if isinstance(filesystem, LocalFileSystem):
        return _LocalPublisher(Path(root))
    if (
        isinstance(filesystem, fsspec.asyn.AsyncFileSystem)
        and "mode" in inspect.signature(filesystem._put_file).parameters
    ):
        return _ObjectPublisher(filesystem)
    raise StoreNotSuitable(
        f"the store of {root!r} ({type(filesystem).__name__}) cannot create an object whole and only where none is; "
        "use a local path, S3, or another store whose fsspec file system offers put_file(mode='create')"
    )


class _LocalPublisher:
    """Stages below the root, on the same file system, and links without replacing."""

    def __init__(self, root: Path) -> None:
        self._staging = root / ".staging"

    def stage(self, name: str) -> Path:
        self._staging.mkdir(parents=True, exist_ok=True)
        _sweep(self._staging)
        folder = self._staging / name
        folder.mkdir()
        return folder

    def publish(self, staged: Path, path: str) -> None:
        target = self._ready(staged, path)
        try:
            # Not rename, which replaces; not open(…, "x"), which shows a file before it is whole.
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


def _sweep(place: Path, prefix: str = "") -> None:
    """Remove what is abandoned in a folder; what cannot be removed is left, and stops nobody."""
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for left in place.glob(f"{prefix}*"):
        try:
            status = left.lstat()
            if status.st_mtime >= oldest:
                continue
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(left)
            else:
                left.unlink()
        except FileNotFoundError:
            continue  # another run ended, or swept, at the same moment
        except OSError as error:
            log.warning("%s is abandoned and cannot be removed: %s", left, error)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _ObjectPublisher:
    """Stages in this machine's temporary folder and uploads on the condition that there is no such object."""

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        self._filesystem = filesystem

    def stage(self, name: str) -> Path:
        _sweep(Path(tempfile.gettempdir()), _STAGING_PREFIX)
        return Path(tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{name}-"))

    def publish(self, staged: Path, path: str) -> None:
        try:
            self._put(staged, path, mode="create")
        except FileExistsError as error:
            # An upload that arrived, whose answer was lost, is refused when the client sends it again.
            if not self._holds(path, staged):
                raise ObservationExists(f"{path} exists already; nothing was changed") from error

    def replace(self, staged: Path, path: str) -> None:
        self._put(staged, path)

    def _put(self, staged: Path, path: str, **how: str) -> None:
        try:
            self._filesystem.put_file(str(staged), path, **how)
        except OSError:
            raise
        except Exception as error:
            # A connection that breaks off comes through as the store's client has it, each with errors of its own.
            raise OSError(f"{path} could not be written: {error}") from error

    def _holds(self, path: str, staged: Path) -> bool:
        self._filesystem.invalidate_cache()
        if self._filesystem.size(path) != staged.stat().st_size:
            return False
        with self._filesystem.open(path, "rb") as published, staged.open("rb") as local:
            while block := local.read(_BLOCK_BYTES):
                if published.read(len(block)) != block:
                    return False
        return True
