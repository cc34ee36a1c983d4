"""The data of the charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any, TypeAlias

import pyarrow as pa

from glacier_jobs.page.cache import CachedAnswers
from glacier_jobs.page.serialization import rows

#: The periods of the charts.
STATUS_DAYS = 7
HISTORY_DAYS = 31

#: How many vaults, the largest by bytes, have a colour of their own; the others are combined.
VAULTS_SHOWN = 7

#: Account id, Region and name.
_Vault: TypeAlias = tuple[str, str, str]


def pictures(answers: CachedAnswers) -> dict[str, Any]:
    """Return jobs by status over time, retrieval times by tier, and volume by vault and day."""
    since = answers.now - timedelta(days=HISTORY_DAYS)
    return {
        "status_days": STATUS_DAYS,
        "history_days": HISTORY_DAYS,
        "jobs_over_time": rows(answers.ask("jobs_over_time", since=answers.now - timedelta(days=STATUS_DAYS))),
        "retrieval_times": rows(answers.ask("retrieval_times", since=since)),
        "volume": _volume(answers.ask("daily_volume", since=since)),
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
