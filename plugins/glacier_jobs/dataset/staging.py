"""Local folders for files that are not visible yet, and the removal of those that killed runs left.

A folder has the file ``owner`` while it is in use. Its content names the running system of the machine, and its owner
holds a lock on it, which the system releases when the process ends, however it ends. So on the same running system, a
lock that can be taken proves that nobody uses the folder. Any other folder may belong to another machine, and is
removed once it is old.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import time
from pathlib import Path

#: Staged files that a killed run left behind are removed by a later run once they are older than this, also if it is
#: not known whether anybody uses them.
ABANDONED_AFTER_SECONDS = 2 * 24 * 60 * 60

_OWNER = "owner"

#: Folder -> file descriptor of the lock, for the folders that this process uses.
_locks: dict[Path, int] = {}

log = logging.getLogger(__name__)


def make_folder(folder: Path) -> None:
    """Create a folder that does not exist, and lock it until :func:`discard_folder` or the end of this process."""
    folder.mkdir()
    lock_folder(folder)


def lock_folder(folder: Path) -> None:
    """Lock a folder that this process has just created."""
    if (system := _running_system()) is None:
        return
    new = folder / f"{_OWNER}.new"
    descriptor = os.open(new, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, system)
        # Only now: a file that is not locked yet must not look like that of a process that has ended.
        new.rename(folder / _OWNER)
    except OSError as error:
        os.close(descriptor)
        log.info("%s cannot be locked (%s); if this process is killed, it is removed after two days", folder, error)
    else:
        _locks[folder] = descriptor


def discard_folder(folder: Path) -> None:
    """Remove a folder that this process created. A failure to remove it is ignored; a later run removes it."""
    # First: NFS keeps a file that is still open under another name, and the folder with it.
    if (descriptor := _locks.pop(folder, None)) is not None:
        os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, prefix: str = "") -> None:
    """Remove abandoned files and folders from a folder. A failure to remove one is logged, and not raised."""
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    for path in parent.glob(f"{prefix}*"):
        try:
            status = path.lstat()
            is_folder = stat.S_ISDIR(status.st_mode)
            # Other users may create folders in a temporary folder. What is in theirs is not to be trusted.
            is_own = is_folder and status.st_uid == os.geteuid()
            if status.st_mtime >= oldest and not (is_own and _owner_has_ended(path)):
                continue
            if is_folder:
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # another run removed it at the same time
        except OSError as error:
            log.warning("%s is abandoned and cannot be removed: %s", path, error)


def _owner_has_ended(folder: Path) -> bool:
    """Tell whether it is certain that the process that uses a folder has ended."""
    if folder in _locks:
        # On NFS, a lock does not exclude the process that holds it, and is lost when this process closes the file.
        return False
    try:
        # Where a pipe or a link has the name, neither this call nor the next one waits or follows it.
        descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.read(descriptor, 1024) != _running_system():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _running_system() -> bytes | None:
    """Return what differs between two machines, and between two starts of one; ``None`` if the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip() or None
    return None
