"""Are the rows of a day's compacted file those of its raw files? Observation by observation, and in every column.

The rows are read and compared with Arrow, and not with DuckDB, which has sorted them: what DuckDB might change is
noticed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.errors import CompactedDiffers

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
    :raises FileNotFoundError: a file does not exist.
    """
    path = dataset.compacted_path(table, day)
    contained = _observation_ids(dataset, table, path)
    if unknown := contained - set(all_ids):
        raise _difference(path, day, sorted(unknown))
    for observation_ids in _groups(dataset, raw_ids):
        raw = read_files(dataset.filesystem, [dataset.path(table, each) for each in observation_ids], TABLES[table])
        among = pc.field("observation_id").isin(pa.array(observation_ids, pa.string()))
        compacted = read_files(dataset.filesystem, [path], TABLES[table], where=among)
        if not _sorted(table, raw).equals(_sorted(table, compacted)):
            raise _difference(path, day, observation_ids)


def _observation_ids(dataset: Dataset, table: str, path: str) -> set[str]:
    found: set[str] = set()
    for batch in read_files(dataset.filesystem, [path], TABLES[table], columns=["observation_id"]):
        found.update(pc.unique(batch["observation_id"]).to_pylist())
    return found


def _groups(dataset: Dataset, observation_ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield the ids in groups whose rows can be held in memory."""
    counts = dataset.read("observations", observation_ids, columns=["observation_id", "jobs"]).read_all()
    group: list[str] = []
    rows = 0
    for observation_id, jobs in zip(counts["observation_id"].to_pylist(), counts["jobs"].to_pylist(), strict=True):
        if group and rows + jobs > _ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(observation_id)
        rows += jobs
    if group:
        yield group


def _sorted(table: str, rows: pa.RecordBatchReader) -> pa.Table:
    return rows.read_all().sort_by([(column, "ascending") for column in SORT_KEYS[table]])


def _difference(path: str, day: date, observation_ids: Sequence[str]) -> CompactedDiffers:
    named = observation_ids[0] if len(observation_ids) == 1 else f"{observation_ids[0]} to {observation_ids[-1]}"
    return CompactedDiffers(
        f"{path} differs from the raw files of {day} in the rows of {named}; nothing was changed, and no raw file of "
        "this day was tagged. Find out which of them are right before you delete any"
    )
