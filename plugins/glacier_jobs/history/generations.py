"""The table ``jobs_latest``: how each job of the last days was last seen. Each generation of it is a file.

::

    <root>/history/v2/jobs_latest/as_of=20261122T061500Z_1a2b3c/jobs_latest.parquet
    <root>/history/v2/jobs_latest_pointer/symlink.txt      the URI of the newest of these files

A generation has the jobs that are not closed, and those that were closed on the newest aggregated day or later. So with
the files of closed jobs, whether their newest day was seen or not, it has every job.

A generation is one file, which becomes visible when it is complete, and is never changed. ``symlink.txt`` is replaced
in one step, and always names a complete generation. Athena and Trino read its folder as a table, with Hive's
``SymlinkTextInputFormat``. A generation is deleted when a newer one is as old as
:data:`~glacier_jobs.history.files.KEPT_FOR`.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import pyarrow as pa
from fsspec import AbstractFileSystem

from glacier_jobs.dataset.publisher import Publisher, publisher_for
from glacier_jobs.dataset.schema import UTC_MICROSECONDS, required
from glacier_jobs.history.files import KEPT_FOR, VERSION_FOLDER, delete, write_rows
from glacier_jobs.history.fold import JOB_LIFECYCLES

#: The columns of ``jobs_latest``, as ``sql/history/jobs_latest.sql`` describes them. The partition is ``as_of``.
JOBS_LATEST = pa.schema(
    [
        *[JOB_LIFECYCLES.field(name) for name in ("account_id", "region", "vault_name", "vault_arn", "job_id")],
        JOB_LIFECYCLES.field("outcome"),
        required("outcome_as_of", UTC_MICROSECONDS),
        *[
            JOB_LIFECYCLES.field(name)
            for name in (
                "action",
                "tier",
                "job_description",
                "archive_id",
                "retrieval_byte_range",
                "creation_date",
                "completion_date",
            )
        ],
        pa.field("duration_seconds", pa.float64()),
        pa.field("bytes", pa.int64()),
        pa.field("expires_at", UTC_MICROSECONDS),
        *[
            JOB_LIFECYCLES.field(name)
            for name in (
                "status_code",
                "status_message",
                "first_seen_at",
                "first_failed_at",
                "last_seen_at",
                "last_observation_id",
                "observation_count",
            )
        ],
        required("made_at", UTC_MICROSECONDS),
    ]
)

_NAME = re.compile(r"as_of=((\d{8}T\d{6})Z_[0-9a-f]{6})")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Generations:
    """The generations of ``jobs_latest`` under one root.

    :param filesystem: the fsspec file system of the root.
    :param root: the path of the root in that file system, without a trailing slash.
    """

    filesystem: AbstractFileSystem
    root: str

    @property
    def folder(self) -> str:
        """The folder of all generations."""
        return f"{self.root}/{VERSION_FOLDER}/jobs_latest"

    @property
    def pointer(self) -> str:
        """The file that contains the URI of the newest generation; it may not exist."""
        return f"{self.root}/{VERSION_FOLDER}/jobs_latest_pointer/symlink.txt"

    def path(self, name: str) -> str:
        """Return the path of a generation's file."""
        return f"{self.folder}/as_of={name}/jobs_latest.parquet"

    def names(self) -> list[str]:
        """Return the names of all generations, oldest first."""
        self.filesystem.invalidate_cache()
        try:
            found = self.filesystem.ls(self.folder, detail=False)
        except FileNotFoundError:
            return []
        return sorted(match[1] for path in found if (match := _NAME.fullmatch(PurePosixPath(path).name)))

    def publish(self, rows: Iterable[pa.RecordBatch], *, made_at: datetime) -> str:
        """Write a generation, point to the newest one, and delete those that nobody can be reading.

        :param rows: rows of :data:`JOBS_LATEST`, sorted by vault and job.
        :param made_at: the present time, an aware UTC datetime.
        :return: the path of its file.
        """
        name = f"{made_at.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"
        publisher = publisher_for(self.filesystem, self.root)
        folder = publisher.stage(f"jobs-latest-{name}")
        try:
            staged = folder / "jobs_latest.part"
            write_rows(staged, JOBS_LATEST, rows)
            publisher.publish(staged, self.path(name))
            self._point_to_newest(publisher, folder)
        finally:
            publisher.discard(folder)
        if (newest := self.names()[-1]) > name:
            log.warning("%s is newer than that of this report, %s", self.path(newest), name)
        self._sweep(now=made_at)
        return self.path(name)

    def _point_to_newest(self, publisher: Publisher, folder: Path) -> None:
        pointed_to = None
        # Again, if another report has published one meanwhile: the last to replace the pointer knows the newest.
        while (newest := self.names()[-1]) != pointed_to:
            pointer = folder / "symlink.part"
            pointer.write_text(f"{self.filesystem.unstrip_protocol(self.path(newest))}\n", encoding="utf-8")
            publisher.replace(pointer, self.pointer)
            pointed_to = newest

    def _sweep(self, *, now: datetime) -> None:
        """Delete the generations for which a newer one was made so long ago that nobody can be reading them."""
        old = [name for name in self.names() if _made_at(name) <= now - KEPT_FOR]
        for name in old[:-1]:
            try:
                delete(self.filesystem, self.path(name))
            except Exception:
                log.warning("%s is not needed any more, but could not be deleted", self.path(name), exc_info=True)


def _made_at(name: str) -> datetime:
    return datetime.strptime(name.partition("_")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
