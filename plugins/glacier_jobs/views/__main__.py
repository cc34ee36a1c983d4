"""The command line of the views for other programs.

``python -m glacier_jobs.views athena <dataset_uri>`` prints the statements that create tables and views in Athena;
``python -m glacier_jobs.views duckdb <dataset_uri> <file>`` creates views in a DuckDB file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from glacier_jobs.dataset.storage import open_dataset
from glacier_jobs.errors import GlacierJobsError
from glacier_jobs.views.athena import athena_statements
from glacier_jobs.views.duckdb_file import create_views


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m glacier_jobs.views", description="Create views of a dataset.")
    commands = parser.add_subparsers(dest="command", required=True)
    athena = commands.add_parser("athena", help="print the statements that create tables and views in Amazon Athena")
    athena.add_argument("dataset_uri", help="s3://bucket/path; nothing is opened")
    athena.add_argument("--database", default="glacier", help="the database of the tables and views (%(default)s)")
    in_duckdb = commands.add_parser("duckdb", help="create views in a DuckDB file, or replace them")
    in_duckdb.add_argument("dataset_uri", help="file:///absolute/path")
    in_duckdb.add_argument("file", type=Path, help="the DuckDB file; it need not exist")
    given = parser.parse_args(arguments)

    try:
        if given.command == "athena":
            print(athena_statements(given.dataset_uri, given.database))
            return 0
        views = create_views(open_dataset(given.dataset_uri), given.file)
    except GlacierJobsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.file}: {', '.join(views)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
