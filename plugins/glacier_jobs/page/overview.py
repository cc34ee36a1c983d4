"""What needs attention, and the values of the filters: the top of the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from glacier_jobs.alerts.attention import GAP_DAYS, STALE_HOURS, URGENT_HOURS, Gap
from glacier_jobs.page.cache import CachedAnswers
from glacier_jobs.page.serialization import moment, row, rows

#: How many items of a kind are returned; the others are counted.
SHOWN = 25

#: How many vaults of a gap are named.
NAMED = 3


def overview(answers: CachedAnswers) -> dict[str, Any]:
    """Return what the newest listings show."""
    attention = answers.attention
    return {
        "newest_at": moment(answers.newest_at),
        "read_at": moment(answers.now),
        "stale_hours": STALE_HOURS,
        "choices": _choices(answers.counts),
        "expiring": {
            **_first(attention.outputs),
            "urgent": attention.expiring.num_rows,
            "urgent_hours": URGENT_HOURS,
            "at_unknown_time": attention.expiring_at_unknown_time,
        },
        "failed": _first(attention.failed),
        "slow": _first(attention.slow),
    }


def watch(answers: CachedAnswers) -> dict[str, Any]:
    """Return what was not listed, and whether anything at all needs attention."""
    attention = answers.attention
    return {
        "nothing": attention.nothing,
        "nobody_observes": attention.nobody_observes,
        "vaults": attention.vaults.num_rows,
        "not_observed": {
            "total": len(attention.not_observed),
            "rows": [row(asdict(target)) for target in attention.not_observed[:SHOWN]],
        },
        "unlisted": _first(attention.unlisted),
        "stale": {**_first(attention.stale), "stale_hours": STALE_HOURS},
        "gaps": {
            "total": len(attention.gaps),
            "rows": [_gap(gap) for gap in attention.gaps[:SHOWN]],
            "days": GAP_DAYS,
        },
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "from_hour": moment(gap.from_hour),
        "to_hour": moment(gap.to_hour),
        "gap_hours": gap.gap_hours,
        "vaults": len(gap.vaults),
        "names": [f"{vault['vault_name']}, {vault['region']}" for vault in gap.vaults[:NAMED]],
    }


def _first(table: pa.Table) -> dict[str, Any]:
    return {"total": table.num_rows, "rows": rows(table.slice(0, SHOWN))}


_FILTERS = {
    "account": "account_id",
    "region": "region",
    "vault": "vault_name",
    "status": "status_code",
    "action": "action",
    "tier": "tier",
}


def _choices(counts: pa.Table) -> dict[str, list[dict[str, Any]]]:
    """Return for each filter its values, each with the number of jobs that have it."""
    found = {}
    for name, column in _FILTERS.items():
        jobs: Counter[str] = Counter()
        for value, number in zip(counts[column].to_pylist(), counts["jobs"].to_pylist(), strict=True):
            jobs[value or ""] += number
        found[name] = [{"value": value, "jobs": number} for value, number in sorted(jobs.items())]
    return found
