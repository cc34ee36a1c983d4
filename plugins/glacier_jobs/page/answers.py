"""The answers to the page's requests. The first request imports this, and all that is heavy comes with it."""

from __future__ import annotations

import secrets
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import Variable

from glacier_jobs.errors import InvalidArgument, JobNotFound
from glacier_jobs.page import overview, pictures
from glacier_jobs.page.desk import Desk, Sitting
from glacier_jobs.page.downloads import WRITERS
from glacier_jobs.page.selection import PageOfSelection, Selection
from glacier_jobs.page.wire import moment, rows
from glacier_jobs.storage import open_dataset

#: The Airflow Variable that says where the dataset is, as the snapshot DAG reads it.
DATASET_VARIABLE = "glacier_jobs_dataset_uri"

#: How long a job may have been seen before Glacier's clock says that it was created.
_CLOCKS_DIFFER = timedelta(hours=1)

#: When Amazon opened Glacier; no job is older, and earlier moments are not worth a look.
_FIRST_VAULTS = datetime(2012, 8, 21, tzinfo=timezone.utc)

_desks: dict[str, Desk] = {}
_opening = threading.Lock()


def get_overview() -> dict[str, Any]:
    """Return the state of the page, ``unset``, ``empty`` or ``ready``; where it is ready, what needs attention."""
    now = moment(datetime.now(timezone.utc))
    uri = _dataset_uri()
    if uri is None:
        return {"state": "unset", "now": now, "variable": DATASET_VARIABLE}
    sitting = _sitting(uri)
    if sitting.newest_at is None:
        return {"state": "empty", "now": now, "dataset_uri": uri}
    found = sitting.once("overview", overview.overview)
    return {"state": "ready", "now": now, "dataset_uri": uri, "version": sitting.version, **found}


def get_watch() -> dict[str, Any]:
    """Return what was not listed."""
    return _sitting().once("watch", overview.watch)


def get_pictures() -> dict[str, Any]:
    """Return the numbers behind the pictures."""
    return _sitting().once("pictures", pictures.pictures)


def get_jobs(selection: PageOfSelection) -> dict[str, Any]:
    """Return one page of the jobs that match; beyond the last page, the last."""
    sitting = _sitting()
    arguments = selection.arguments()
    page, size = selection.page, selection.size
    found = sitting.ask("found_jobs", **arguments, offset=(page - 1) * size, row_limit=size)
    if not found.num_rows and page > 1:
        first = sitting.ask("found_jobs", **arguments, row_limit=1)
        page = max(1, -(-_matches(first) // size))
        found = sitting.ask("found_jobs", **arguments, offset=(page - 1) * size, row_limit=size)
    return {
        "newest_at": moment(sitting.newest_at),
        "total": _matches(found),
        "page": page,
        "size": size,
        "rows": rows(found.drop_columns("matches")),
    }


def get_job(vault_arn: str, job_id: str, created_at: datetime | None) -> dict[str, Any]:
    """Return all that each listing said of one job, oldest first.

    :param created_at: when the job was created, as far as the page knows: nothing older is read.
    :raises JobNotFound: no listing since then showed the job.
    """
    since = {} if created_at is None else {"since": max(created_at, _FIRST_VAULTS) - _CLOCKS_DIFFER}
    sights = rows(_sitting().ask("job_sights", vault_arn=vault_arn, job_id=job_id, **since))
    if not sights:
        raise JobNotFound("no listing of that time shows this job")
    return {"sights": sights}


def write_jobs(selection: Selection, file_format: str) -> tuple[Path, str]:
    """Write all jobs that match to a temporary file, which is the caller's to remove.

    :param file_format: ``csv`` or ``parquet``.
    :return: the file, and the name that somebody who saves it shall see.
    """
    sitting = _sitting()
    found = sitting.ask("found_jobs", **selection.arguments()).drop_columns("matches")
    path = Path(tempfile.gettempdir(), f"glacier-jobs-{secrets.token_hex(16)}.{file_format}")
    path.touch(mode=0o600, exist_ok=False)
    try:
        WRITERS[file_format](found, path)
    except BaseException:
        path.unlink()
        raise
    as_of = sitting.newest_at or datetime.now(timezone.utc)
    return path, f"glacier-jobs-{as_of:%Y%m%dT%H%MZ}.{file_format}"


def _dataset_uri() -> str | None:
    uri: str | None = Variable.get(DATASET_VARIABLE, default=None)
    return uri or None


def _sitting(uri: str | None = None) -> Sitting:
    uri = uri or _dataset_uri()
    if uri is None:
        raise InvalidArgument(f"the Airflow Variable {DATASET_VARIABLE} does not say where the dataset is")
    with _opening:
        if uri not in _desks:
            # Only one is in use at a time; what was read of another need not be kept.
            _desks.clear()
            _desks[uri] = Desk(open_dataset(uri))
        desk = _desks[uri]
    return desk.sitting()


def _matches(found: Any) -> int:
    matches: int = found["matches"][0].as_py() if found.num_rows else 0
    return matches
