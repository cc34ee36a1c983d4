"""The data of the charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import pyarrow as pa

from glacier_jobs.alerts.attention import STALE_HOURS
from glacier_jobs.page.cache import CachedAnswers
from glacier_jobs.page.serialization import moment, rows
from glacier_jobs.reports.axis_limits import axis_limit
from glacier_jobs.reports.unobserved import unobserved

#: The periods of the charts.
STATUS_DAYS = 7
HISTORY_DAYS = 31

#: How many vaults, the largest by bytes, have a colour of their own; the others are combined. With more colours, some
#: would look the same to colour-blind people.
VAULTS_SHOWN = 5

#: Account id, Region and name.
_Vault: TypeAlias = tuple[str, str, str]


def pictures(answers: CachedAnswers) -> dict[str, Any]:
    """Return jobs by status over time, times without listings; retrieval times by tier; volume by vault and day."""
    since = answers.now - timedelta(days=HISTORY_DAYS)
    status_since = answers.now - timedelta(days=STATUS_DAYS)
    jobs_over_time = rows(answers.ask("jobs_over_time", since=status_since))
    gaps = unobserved(answers.ask("coverage", since=status_since), status_since, answers.now)
    volume = _volume(answers.ask("daily_volume", since=since))
    jobs = {row["hour"]: row["in_progress"] + row["succeeded"] + row["failed"] for row in jobs_over_time}
    size_in_bytes: Counter[str] = Counter()
    for row in volume["rows"]:
        size_in_bytes[row["day"]] += row["bytes"]
    return {
        "status_days": STATUS_DAYS,
        "history_days": HISTORY_DAYS,
        "jobs_over_time": jobs_over_time,
        "not_observed": {
            "hours": STALE_HOURS,
            "gaps": [{"from": moment(start), "to": moment(end)} for start, end in gaps],
        },
        "retrieval_times": rows(answers.ask("retrieval_times", since=since)),
        "volume": volume,
        # The axis of the retrieval times is logarithmic, so that no outlier flattens the other times.
        "limits": {"jobs_over_time": _limit(jobs), "volume": _limit(size_in_bytes)},
    }


def _limit(heights: Mapping[str, float]) -> dict[str, Any] | None:
    """Return where a vertical axis ends, and which moments or days are cut there; ``None`` if nothing is cut.

    :param heights: by moment or day, ascending.
    """
    places, limit = list(heights), axis_limit(list(heights.values()))
    if limit is None:
        return None
    return {
        "top": limit.top,
        "cuts": [{"at": [places[position] for position in cut.positions], "most": cut.most} for cut in limit.cuts],
    }


def _volume(daily: pa.Table) -> dict[str, Any]:
    """Sum up by day and vault; all vaults but the largest are combined into one without a name."""
    summed: defaultdict[tuple[str, _Vault], Counter[str]] = defaultdict(Counter)
    total: Counter[_Vault] = Counter()
    for row in daily.to_pylist():
        vault = (row["account_id"], row["region"], row["vault_name"])
        summed[row["day"].isoformat(), vault].update({"jobs": row["succeeded_jobs"], "bytes": row["bytes"]})
        total[vault] += row["bytes"]
    largest = [vault for vault, _ in total.most_common(VAULTS_SHOWN)]
    shown: defaultdict[tuple[str, int | None], Counter[str]] = defaultdict(Counter)
    for (day, vault), numbers in summed.items():
        shown[day, largest.index(vault) if vault in largest else None].update(numbers)
    return {
        "vaults": [dict(zip(("account_id", "region", "vault_name"), vault, strict=True)) for vault in largest],
        "others": len(total) - len(largest),
        "rows": [
            {"day": day, "vault": vault, **numbers}
            for (day, vault), numbers in sorted(
                shown.items(), key=lambda item: (item[0][0], -1 if item[0][1] is None else item[0][1])
            )
        ],
    }
