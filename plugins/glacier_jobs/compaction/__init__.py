"""Compaction: the raw files of a finalized day become one file for each table, with the same rows.

``python -m glacier_jobs.compaction`` compacts from the command line.
"""

from glacier_jobs.compaction.days import compact_closed_days

__all__ = ["compact_closed_days"]
