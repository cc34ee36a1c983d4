"""The periods of a report."""

from __future__ import annotations

from collections.abc import Mapping

COVERAGE_DAYS = 31
HISTORY_DAYS = 90
CHART_DAYS = 31

#: Question -> the number of days that its answer in a report is about; all others have a period of their own, or none.
DAYS: Mapping[str, int] = {
    "coverage": COVERAGE_DAYS,
    "job_history": HISTORY_DAYS,
    "expired_outputs": HISTORY_DAYS,
    "waves": HISTORY_DAYS,
    "retrieval_times": CHART_DAYS,
    "retrieval_times_by_region": CHART_DAYS,
    "retrieval_times_by_vault": CHART_DAYS,
    "daily_volume": CHART_DAYS,
}
