"""The command line of job history.

``python -m glacier_jobs.history fold <dataset_uri>`` aggregates the days that are finalized, and what later days show;
``python -m glacier_jobs.history rebuild <dataset_uri> <new_root_uri>`` aggregates all days again, under another root.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from glacier_jobs.dataset.storage import open_dataset
from glacier_jobs.errors import GlacierJobsError
from glacier_jobs.history.store import History, aggregate_open_days, fold_closed_days, rebuild


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m glacier_jobs.history", description="Aggregate job history.")
    commands = parser.add_subparsers(dest="command", required=True)
    folding = commands.add_parser("fold", help="aggregate the days that are finalized, and what later days show")
    folding.add_argument("dataset_uri")
    folding.add_argument("history_uri", nargs="?", help="another root than the dataset's")
    rebuilding = commands.add_parser("rebuild", help="aggregate all finalized days again, under a new root")
    rebuilding.add_argument("dataset_uri")
    rebuilding.add_argument("history_uri", help="the new root")
    given = parser.parse_args(arguments)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        dataset = open_dataset(given.dataset_uri)
        history = History.beside(open_dataset(given.history_uri, "history_uri") if given.history_uri else dataset)
        work = rebuild if given.command == "rebuild" else fold_closed_days
        try:
            days = work(dataset, history, now=datetime.now(timezone.utc))
        finally:
            if given.command == "fold":
                aggregate_open_days(dataset, history, now=datetime.now(timezone.utc))
    except GlacierJobsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(days)} days aggregated" + (f", {days[0]} to {days[-1]}" if days else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
