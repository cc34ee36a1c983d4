"""Writes jobs to files for download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from glacier_jobs.page.selection import FileFormat

#: The columns with free text. Ids may begin with a minus, and are not changed.
_FREE_TEXTS = ("job_description", "status_message")


def _write_parquet(jobs: pa.Table, path: Path) -> None:
    pq.write_table(jobs, path, compression="zstd")


def _write_csv(jobs: pa.Table, path: Path) -> None:
    for position, field in enumerate(jobs.schema):
        column = jobs.column(position)
        if pa.types.is_timestamp(field.type):
            # Formatted without the time zone, which is UTC: not every machine has a time zone database.
            texts = pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
            jobs = jobs.set_column(position, field.name, pc.binary_join_element_wise(texts, "Z", ""))
        elif field.name in _FREE_TEXTS:
            jobs = jobs.set_column(position, field.name, pc.replace_substring_regex(column, r"\A([=+\-@\t\r])", r"'\1"))
    pyarrow.csv.write_csv(jobs, path)


#: Format -> function that writes jobs to a file. Parquet holds the exact values. CSV is quoted by RFC 4180, in UTF-8,
#: with times in ISO 8601; a free text that a spreadsheet would interpret as a formula is prefixed with an apostrophe.
WRITERS: Mapping[FileFormat, Callable[[pa.Table, Path], None]] = {"csv": _write_csv, "parquet": _write_parquet}
