"""What needs attention, and what there is to choose from: the top of the page."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.alerts.rules import URGENT_HOURS
from glacier_jobs.page.cache import CachedAnswers
from glacier_jobs.page.serialization import moment, rows

#: How many of a kind are listed one by one; of the others, only how many there are.
SHOWN = 25

#: How many vaults of an outage are named.
NAMED = 3

#: An hourly listing that is older than this was missed.
STALE_HOURS = 2.0

#: How far back gaps are looked for.
COVERAGE_DAYS = 7


def overview(answers: CachedAnswers) -> dict[str, Any]:
    """Return what the newest listings tell."""
    expiring = answers.ask("expiring_outputs")
    urgent = pc.sum(pc.less(expiring["hours_left"], URGENT_HOURS)).as_py() or 0
    failed = answers.ask("found_jobs", status_codes=["Failed"], sort="completion_date", row_limit=SHOWN)
    return {
        "newest_at": moment(answers.newest_at),
        "read_at": moment(answers.now),
        "choices": _choices(answers.counts),
        "expiring": {**_first(expiring), "urgent": urgent, "urgent_hours": URGENT_HOURS},
        "failed": {"total": _matches(failed), "rows": rows(failed)},
        "slow": _first(answers.ask("slower_than_typical")),
    }


def watch(answers: CachedAnswers) -> dict[str, Any]:
    """Return what was not listed: vaults whose listing failed, others listed long ago, and gaps in the past."""
    vaults, unlisted = answers.ask("latest_vaults"), answers.ask("unlisted_vaults")
    # A vault whose listing fails is old as well, and listed once.
    forgotten = pc.and_(
        pc.greater(vaults["age_hours"], STALE_HOURS), pc.invert(pc.is_in(vaults["vault_arn"], unlisted["vault_arn"]))
    )
    coverage = answers.ask("coverage", since=answers.now - timedelta(days=COVERAGE_DAYS))
    return {
        "vaults": vaults.num_rows,
        "oldest_as_of": moment(pc.min(vaults["as_of"]).as_py()),
        "unlisted": _first(unlisted),
        "stale": {**_first(vaults.filter(forgotten).sort_by("as_of")), "stale_hours": STALE_HOURS},
        "gaps": {**_gaps(coverage.filter(coverage["beyond_retention"])), "days": COVERAGE_DAYS},
    }


def _gaps(missed: pa.Table) -> dict[str, Any]:
    """Return the gaps, newest first; an outage of many vaults at once is one."""
    outages: defaultdict[tuple[datetime, datetime], list[dict[str, Any]]] = defaultdict(list)
    for gap in missed.to_pylist():
        outages[gap["from_hour"], gap["to_hour"]].append(gap)
    newest_first = sorted(outages.items(), reverse=True)
    return {
        "total": len(outages),
        "rows": [
            {
                "from_hour": moment(from_hour),
                "to_hour": moment(to_hour),
                "gap_hours": max(gap["gap_hours"] for gap in gaps),
                "vaults": len(gaps),
                "names": [f"{gap['vault_name']}, {gap['region']}" for gap in gaps[:NAMED]],
            }
            for (from_hour, to_hour), gaps in newest_first[:SHOWN]
        ],
    }


def _first(table: pa.Table) -> dict[str, Any]:
    return {"total": table.num_rows, "rows": rows(table.slice(0, SHOWN))}


def _matches(found: pa.Table) -> int:
    return found["matches"][0].as_py() if found.num_rows else 0


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
