"""Job history: finalized days, aggregated once into files that are never changed.

``python -m glacier_jobs.history`` aggregates from the command line.
"""

from glacier_jobs.history.store import History, aggregate_open_days, fold_closed_days, rebuild

__all__ = ["History", "aggregate_open_days", "fold_closed_days", "rebuild"]
