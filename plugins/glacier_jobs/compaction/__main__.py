"""The command line of compaction.

``python -m glacier_jobs.compaction <dataset_uri>`` compacts the days that are finalized.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timezone

from glacier_jobs.compaction.days import compact_closed_days
from glacier_jobs.dataset.storage import open_dataset
from glacier_jobs.errors import GlacierJobsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m glacier_jobs.compaction", description="Compact the days that are finalized."
    )
    parser.add_argument("dataset_uri")
    given = parser.parse_args(arguments)

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        days = compact_closed_days(open_dataset(given.dataset_uri), now=datetime.now(timezone.utc))
    except GlacierJobsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(days)} days compacted" + (f", {days[0]} to {days[-1]}" if days else ""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
