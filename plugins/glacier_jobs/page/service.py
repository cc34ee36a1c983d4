"""Answers to the page's requests. Imported by the first request, together with everything that takes long to import."""

from __future__ import annotations

import secrets
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import Variable

from glacier_jobs.dataset.storage import open_dataset
from glacier_jobs.errors import InvalidArgument, JobNotFound
from glacier_jobs.page import overview, pictures
from glacier_jobs.page.cache import CachedAnswers, DatasetCache
from glacier_jobs.page.downloads import WRITERS
from glacier_jobs.page.selection import FileFormat, PageOfSelection, Selection
from glacier_jobs.page.serialization import moment, rows

#: The Airflow Variable that says where the dataset is, as the snapshot DAG reads it.
DATASET_VARIABLE = "glacier_jobs_dataset_uri"

#: How long a job may have been seen before Glacier's clock says that it was created.
_CLOCKS_DIFFER = timedelta(hours=1)

#: When Amazon opened Glacier; no job is older, and earlier moments are not worth a look.
_FIRST_VAULTS = datetime(2012, 8, 21, tzinfo=timezone.utc)


class PageService:
    """Answers from the dataset that the Airflow Variable names. Safe to call from several threads."""

    def __init__(self) -> None:
        self._caches: dict[str, DatasetCache] = {}
        self._opening = threading.Lock()

    def overview(self) -> dict[str, Any]:
        """Return the state of the page, ``unset``, ``empty`` or ``ready``; where it is ready, what needs attention."""
        now = moment(datetime.now(timezone.utc))
        uri = _dataset_uri()
        if uri is None:
            return {"state": "unset", "now": now, "variable": DATASET_VARIABLE}
        answers = self._answers(uri)
        if answers.newest_at is None:
            return {"state": "empty", "now": now, "dataset_uri": uri}
        found = answers.once("overview", overview.overview)
        return {"state": "ready", "now": now, "dataset_uri": uri, "version": answers.version, **found}

    def watch(self) -> dict[str, Any]:
        """Return what was not listed."""
        return self._answers().once("watch", overview.watch)

    def pictures(self) -> dict[str, Any]:
        """Return the numbers behind the charts."""
        return self._answers().once("pictures", pictures.pictures)

    def jobs(self, selection: PageOfSelection) -> dict[str, Any]:
        """Return one page of the jobs that match; beyond the last page, the last."""
        answers = self._answers()
        arguments = selection.arguments()
        page, size = selection.page, selection.size
        found = answers.ask("found_jobs", **arguments, offset=(page - 1) * size, row_limit=size)
        if not found.num_rows and page > 1:
            first = answers.ask("found_jobs", **arguments, row_limit=1)
            page = max(1, -(-_matches(first) // size))
            found = answers.ask("found_jobs", **arguments, offset=(page - 1) * size, row_limit=size)
        return {
            "newest_at": moment(answers.newest_at),
            "total": _matches(found),
            "page": page,
            "size": size,
            "rows": rows(found.drop_columns("matches")),
        }

    def job(self, vault_arn: str, job_id: str, created_at: datetime | None) -> dict[str, Any]:
        """Return all that each listing said of one job, oldest first.

        :param created_at: when the job was created, as far as the page knows: nothing older is read.
        :raises JobNotFound: no listing since then showed the job.
        """
        since = {} if created_at is None else {"since": max(created_at, _FIRST_VAULTS) - _CLOCKS_DIFFER}
        observations = rows(self._answers().ask("job_observations", vault_arn=vault_arn, job_id=job_id, **since))
        if not observations:
            raise JobNotFound("no listing of that time shows this job")
        return {"observations": observations}

    def write_jobs(self, selection: Selection, file_format: FileFormat) -> tuple[Path, str]:
        """Write all jobs that match to a temporary file, which the caller must remove.

        :return: the file, and the name under which a browser saves it.
        """
        answers = self._answers()
        found = answers.ask("found_jobs", **selection.arguments()).drop_columns("matches")
        path = Path(tempfile.gettempdir(), f"glacier-jobs-{secrets.token_hex(16)}.{file_format}")
        path.touch(mode=0o600, exist_ok=False)
        try:
            WRITERS[file_format](found, path)
        except BaseException:
            path.unlink()
            raise
        as_of = answers.newest_at or datetime.now(timezone.utc)
        return path, f"glacier-jobs-{as_of:%Y%m%dT%H%MZ}.{file_format}"

    def _answers(self, uri: str | None = None) -> CachedAnswers:
        uri = uri or _dataset_uri()
        if uri is None:
            raise InvalidArgument(f"the Airflow Variable {DATASET_VARIABLE} does not say where the dataset is")
        with self._opening:
            if uri not in self._caches:
                # Only one is in use at a time; what was read of another need not be kept.
                self._caches.clear()
                self._caches[uri] = DatasetCache(open_dataset(uri))
            cache = self._caches[uri]
        return cache.answers()


#: The one service of this process.
SERVICE = PageService()


def _dataset_uri() -> str | None:
    uri: str | None = Variable.get(DATASET_VARIABLE, default=None)
    return uri or None


def _matches(found: Any) -> int:
    matches: int = found["matches"][0].as_py() if found.num_rows else 0
    return matches
