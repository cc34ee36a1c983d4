"""Jobs as files for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from glacier_jobs.page.selection import FileFormat

#: What people write freely; ids may begin with a minus, and stay as they are.
_FREE_TEXTS = ("job_description", "status_message")


def _write_parquet(jobs: pa.Table, path: Path) -> None:
    pq.write_table(jobs, path, compression="zstd")


def _write_csv(jobs: pa.Table, path: Path) -> None:
    for position, field in enumerate(jobs.schema):
        column = jobs.column(position)
        if pa.types.is_timestamp(field.type):
            # Without its time zone, which is UTC: not every machine has a time zone database.
            texts = pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
            jobs = jobs.set_column(position, field.name, pc.binary_join_element_wise(texts, "Z", ""))
        elif field.name in _FREE_TEXTS:
            jobs = jobs.set_column(position, field.name, pc.replace_substring_regex(column, r"\A([=+\-@\t\r])", r"'\1"))
    pyarrow.csv.write_csv(jobs, path)


#: Format -> how jobs are written to a file. Parquet holds them exactly as they are. CSV is quoted as RFC 4180
#: says, in UTF-8, with times in ISO 8601; a free text that a spreadsheet would take for a formula gets an apostrophe
#: in front.
WRITERS: Mapping[FileFormat, Callable[[pa.Table, Path], None]] = {"csv": _write_csv, "parquet": _write_parquet}
