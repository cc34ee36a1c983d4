"""The tables of files from which the views of ``sql/views.sql`` are made."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from glacier_jobs.dataset.schema import INVENTORY_TABLES, TABLES
from glacier_jobs.history.files import VERSION_FOLDER
from glacier_jobs.history.fold import JOB_LIFECYCLES
from glacier_jobs.history.generations import JOBS_LATEST
from glacier_jobs.sql.engine import statement

#: In ``sql/views.sql``, before the name of each table and view.
_PREFIX = "glacier."


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """A table of Parquet files.

    :param name: the name of the table.
    :param comment: what its rows are, a sentence.
    :param schema: the columns of its files.
    :param folder: its folder below the root of the dataset.
    :param key: the key of its partitions, the folders in ``folder``.
    :param newest_only: whether only the file of the newest partition belongs to it. Then the key is no column.
    """

    name: str
    comment: str
    schema: pa.Schema
    folder: str
    key: str
    newest_only: bool = False


FILE_TABLES = (
    *(
        FileTable(name=name, comment=comment, schema=TABLES[name], folder=name, key="snapshot_date")
        for name, comment in {
            "jobs": "One row a job that a listing showed, also of snapshots without a commit mark.",
            "vaults": "One row a vault that was to be listed, also of snapshots without a commit mark.",
            "observations": "One row a snapshot: its commit mark.",
        }.items()
    ),
    *(
        FileTable(
            name=f"compacted_{name}",
            comment=f"The rows of {name}, of the days that are compacted.",
            schema=schema,
            folder=f"compacted/{name}",
            key="snapshot_date",
        )
        for name, schema in TABLES.items()
    ),
    FileTable(
        name="closed_jobs",
        comment="The jobs that were complete on a day. A job that a later listing showed again has more than one row.",
        schema=JOB_LIFECYCLES,
        folder=f"{VERSION_FOLDER}/job_history",
        key="closed_date",
    ),
    FileTable(
        name="latest_generation",
        comment="One row a job that is not closed, or was closed on the newest aggregated day or later.",
        schema=JOBS_LATEST,
        folder=f"{VERSION_FOLDER}/jobs_latest",
        key="as_of",
        newest_only=True,
    ),
    *(
        FileTable(name=name, comment=comment, schema=INVENTORY_TABLES[name], folder=name, key="inventory_date")
        for name, comment in {
            "archives": "One row an archive of an inventory, also of inventories without a commit mark.",
            "inventories": "One row an inventory: its commit mark. The rows of archives are those of rows_in.",
        }.items()
    ),
)


def view_statements(prefix: str) -> str:
    """Return the statements that create the views over the tables of files.

    :param prefix: what is put before the name of each table and view, with the period.
    """
    return statement("views").replace(_PREFIX, prefix)
