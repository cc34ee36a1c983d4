"""Are the rows of a day's compacted file those of its raw files? Observation by observation, and in every column.

The rows are read and compared with Arrow, and not with DuckDB, which has sorted them: what DuckDB might change is
noticed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.dataset.schema import SCHEMA_VERSION, TABLES
from glacier_jobs.errors import CompactedDiffers, MalformedFile

#: Table name -> the columns by which a compacted file is sorted. Together, they identify a row.
SORT_KEYS: Mapping[str, Sequence[str]] = {
    "jobs": ["vault_arn", "job_id", "observation_id"],
    "vaults": ["vault_arn", "vault_name", "observation_id"],
    "observations": ["observation_id"],
}

#: The rows of the observations that are compared at once are held in memory: at most these, or one observation.
_ROWS_AT_ONCE = 100_000


def compare(dataset: Dataset, table: str, day: date, raw_ids: Sequence[str], all_ids: Collection[str]) -> None:
    """Compare a table's compacted file of a day with the raw files.

    :param raw_ids: the ids of the observations to compare. Their raw files exist.
    :param all_ids: the ids of all observations that the compacted file may contain.
    :raises CompactedDiffers: the rows are not the same; the message names the file and the observations.
    :raises MalformedFile: a raw file has columns, or a version of the schema, that this version does not know.
    :raises FileNotFoundError: a file does not exist.
    """
    path = dataset.compacted_path(table, day)
    contained = _observation_ids(dataset, table, path)
    if unknown := contained - set(all_ids):
        raise _difference(path, day, sorted(unknown))
    # Each observation has one row there, and may have none in the other tables.
    if table == "observations" and (lacking := set(all_ids) - contained):
        raise _difference(path, day, sorted(lacking))
    for observation_ids in _groups(dataset, raw_ids):
        paths = [dataset.path(table, each) for each in observation_ids]
        raw = read_files(dataset.filesystem, paths, TABLES[table], exact=True)
        among = pc.field("observation_id").isin(pa.array(observation_ids, pa.string()))
        compacted = read_files(dataset.filesystem, [path], TABLES[table], where=among)
        if not _sorted(table, raw).equals(_sorted(table, compacted)):
            raise _difference(path, day, observation_ids)


def _observation_ids(dataset: Dataset, table: str, path: str) -> set[str]:
    found: set[str] = set()
    for batch in read_files(dataset.filesystem, [path], TABLES[table], columns=["observation_id"]):
        found.update(pc.unique(batch["observation_id"]).to_pylist())
    return found


def known_marks(dataset: Dataset, observation_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the commit marks of observations: ``observation_id``, ``jobs`` and ``schema_version``, one row each.

    :raises MalformedFile: they are not one row each, or have a version of the schema that this version does not know.
    """
    columns = ["observation_id", "jobs", "schema_version"]
    marks: list[dict[str, Any]] = dataset.read("observations", observation_ids, columns=columns).read_all().to_pylist()
    if sorted(mark["observation_id"] for mark in marks) != sorted(observation_ids):
        raise MalformedFile(
            f"the commit marks of {len(observation_ids)} observations, from {min(observation_ids)} to "
            f"{max(observation_ids)}, have {len(marks)} rows, which do not name each of them once"
        )
    for mark in marks:
        if mark["schema_version"] != SCHEMA_VERSION:
            raise MalformedFile(
                f"{dataset.path('observations', mark['observation_id'])} has the schema version "
                f"{mark['schema_version']}; this version of the package compacts version {SCHEMA_VERSION}"
            )
    return marks


def _groups(dataset: Dataset, observation_ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield the ids in groups whose rows can be held in memory."""
    group: list[str] = []
    rows = 0
    for mark in known_marks(dataset, observation_ids) if observation_ids else []:
        if group and rows + mark["jobs"] > _ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(mark["observation_id"])
        rows += mark["jobs"]
    if group:
        yield group


def _sorted(table: str, rows: pa.RecordBatchReader) -> pa.Table:
    return rows.read_all().sort_by([(column, "ascending") for column in SORT_KEYS[table]])


def _difference(path: str, day: date, observation_ids: Sequence[str]) -> CompactedDiffers:
    named = observation_ids[0] if len(observation_ids) == 1 else f"{observation_ids[0]} to {observation_ids[-1]}"
    return CompactedDiffers(
        f"{path} differs from the raw files of {day} in the rows of {named}. Nothing was changed. An earlier run may "
        f"have tagged raw files of this day: remove the tags, so that they are not expired, and find out which files "
        "are right before you delete any"
    )
