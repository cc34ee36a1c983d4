"""The times in which nobody looked, for charts."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa

from glacier_jobs.alerts.attention import STALE_HOURS


def unobserved(coverage: pa.Table, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Return the starts and ends of times in which no vault was listed, for at least :data:`STALE_HOURS`.

    Hours count as in ``coverage``. The time before the first listing counts too.

    :param coverage: the answer to the question for the period from ``since`` to ``until``.
    :return: ascending.

    Example::

        since = inquiry.tables.now - timedelta(days=7)
        gaps = unobserved(inquiry.ask("coverage", since=since), since, inquiry.tables.now)
    """
    stretches = coverage.filter(coverage["observed"]).group_by(["from_hour", "to_hour"]).aggregate([])
    gaps, end = [], since.replace(minute=0, second=0, microsecond=0)
    for from_hour, to_hour in sorted(zip(*(column.to_pylist() for column in stretches.columns), strict=True)):
        gaps.append((end, from_hour))
        end = max(end, to_hour)
    gaps.append((end, until))
    return [(start, end) for start, end in gaps if end - start >= timedelta(hours=STALE_HOURS)]
