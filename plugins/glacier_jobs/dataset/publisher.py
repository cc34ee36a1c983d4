"""Publication of complete files: each becomes visible atomically, and only where no file exists."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import fsspec.asyn
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.dataset.staging import discard_folder, lock_folder, make_folder, remove_abandoned
from glacier_jobs.errors import ObservationExists, StoreNotSuitable

#: The prefix of staging folders in a folder that other programs use, too.
_STAGING_PREFIX = "glacier-jobs-staging-"

_BLOCK_BYTES = 4 * 1024 * 1024

#: Errors that say nothing about what a store can do.
_PASSING_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOENT}


class Publisher(Protocol):
    """Stages files, and makes complete files visible."""

    def stage(self, name: str, *, only_replaces: bool = False) -> Path:
        """Return a new local folder for files that are not visible yet. Removes what killed runs left.

        :param only_replaces: whether the files will be made visible with :meth:`replace` only, which more stores can.
        :raises StoreNotSuitable: a complete file cannot be made visible atomically and durably; nothing is left behind.
        """

    def discard(self, folder: Path) -> None:
        """Remove a folder that :meth:`stage` returned, with what is in it."""

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


def check_local_store(folder: Path, root: Path, *, links: bool) -> None:
    """Do what makes a local file visible, before hours are spent on what cannot be made visible.

    :param folder: an existing folder on the file system.
    :param root: the folder that error messages name.
    :param links: whether files will be made visible by hard links.
    :raises StoreNotSuitable: the file system cannot do it; nothing is left behind.
    """
    probe, linked = folder / "probe", folder / "probe.linked"
    probe.touch()
    try:
        if links:
            with _refusing(root, "create hard links"):
                os.link(probe, linked)
            linked.unlink()
        with _refusing(root, "make the names of new files durable (fsync of a folder)"):
            sync_folder(folder)
    finally:
        probe.unlink()


@contextlib.contextmanager
def _refusing(root: Path, ability: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _PASSING_ERRORS:
            raise
        raise StoreNotSuitable(
            f"the file system of {str(root)!r} cannot {ability}: {error.strerror or error}. Use one that can, such as "
            "ext4, XFS, Btrfs, ZFS or NFS (not FAT, many SMB shares, or a bucket that is mounted as a folder), or an "
            "S3 URI"
        ) from error


class _LocalPublisher:
    """Stages files below the root, on the same file system, and publishes them by hard links, which replace nothing."""

    def __init__(self, root: Path) -> None:
        self._staging = root / ".staging"

    def stage(self, name: str, *, only_replaces: bool = False) -> Path:
        self._staging.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._staging)
        folder = self._staging / name
        make_folder(folder)
        try:
            check_local_store(folder, self._staging.parent, links=not only_replaces)
        except BaseException:
            discard_folder(folder)
            with contextlib.suppress(OSError):
                self._staging.rmdir()
            raise
        return folder

    def discard(self, folder: Path) -> None:
        discard_folder(folder)

    def publish(self, staged: Path, path: str) -> None:
        _sync_content(staged)
        target = Path(path)
        if not target.parent.exists() and self._publish_with_folder(staged, target):
            return
        # If another process is the first to publish a file in this folder, the folder exists by now.
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not rename, which replaces a file; not open(…, "x"), which shows a file before it is complete.
            os.link(staged, target)
        except FileExistsError as error:
            raise ObservationExists(f"{path} exists already; nothing was changed") from error
        sync_folder(target.parent)

    @staticmethod
    def _publish_with_folder(staged: Path, target: Path) -> bool:
        """Make a file visible together with its folder, and return whether that was possible.

        DuckDB lists the folders of a table, and what is in each folder later, for each mention of the table in a query.
        So a folder must not be there without its file: one mention might not find a file that another one finds.
        """
        folder = staged.with_name(f"{staged.name}.folder")
        folder.mkdir()
        os.link(staged, folder / target.name)
        sync_folder(folder)
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        try:
            # This replaces an empty folder, and no other.
            folder.rename(target.parent)
        except OSError:
            discard_folder(folder)
            return False
        sync_folder(target.parent.parent)
        return True

    def replace(self, staged: Path, path: str) -> None:
        _sync_content(staged)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        sync_folder(target.parent)


def _sync_content(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names of the files in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _ObjectPublisher:
    """Stages files in the local temporary folder, and uploads them on the condition that no such object exists."""

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        self._filesystem = filesystem

    def stage(self, name: str, *, only_replaces: bool = False) -> Path:
        remove_abandoned(Path(tempfile.gettempdir()), _STAGING_PREFIX)
        folder = Path(tempfile.mkdtemp(prefix=f"{_STAGING_PREFIX}{name}-"))
        lock_folder(folder)
        return folder

    def discard(self, folder: Path) -> None:
        discard_folder(folder)

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
