"""What needs attention, summed up by account and Region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from glacier_jobs.alerts.attention import Attention, Target


def by_target(latest_targets: pa.Table, attention: Attention) -> list[dict[str, Any]]:
    """Return a row for each account and Region: first those that need attention, then in the order of their names.

    :param latest_targets: the answer to the question.
    :return: rows with the columns of ``latest_targets``, of which ``as_of`` and ``age_hours`` are null and the counts
        are 0 without vaults; ``newest_at``, when the newest observation began; ``not_observed``, whether that is too
        long ago; and the number of ``expiring`` outputs, of ``failed_lately`` and ``slow`` jobs, of vaults
        ``not_listed``, and of ``gaps``. ``needs_attention`` says whether one of them is not 0.
    """
    found: dict[Target, dict[str, Any]] = {
        (row["account_id"], row["region"]): row for row in latest_targets.to_pylist()
    }
    without_vaults = {**dict.fromkeys(latest_targets.column_names), "vaults": 0, "in_progress": 0, "succeeded": 0,
                      "failed": 0}  # fmt: skip
    not_observed = {(target.account_id, target.region): target.newest_at for target in attention.not_observed}
    newest = {**attention.newest_by_target, **not_observed}
    counts = {
        "expiring": _counted(attention.expiring),
        "failed_lately": _counted(attention.failed),
        "slow": _counted(attention.slow),
        "not_listed": _counted(attention.unlisted) + _counted(attention.stale),
        "gaps": Counter(
            target
            for gap in attention.gaps
            for target in {(vault["account_id"], vault["region"]) for vault in gap.vaults}
        ),
    }
    targets = found.keys() | newest.keys() | {target for counted in counts.values() for target in counted}
    rows = []
    for account_id, region in sorted(targets):
        target = account_id, region
        numbers = {name: counted[target] for name, counted in counts.items()}
        rows.append(
            {
                **found.get(target, {**without_vaults, "account_id": account_id, "region": region}),
                **numbers,
                "newest_at": newest.get(target),
                "not_observed": target in not_observed,
                "needs_attention": target in not_observed or any(numbers.values()),
            }
        )
    return sorted(rows, key=lambda row: not row["needs_attention"])


def _counted(table: pa.Table) -> Counter[Target]:
    """Return the number of rows by account and Region."""
    columns: Iterable[list[str]] = (table[name].to_pylist() for name in ("account_id", "region"))
    return Counter(zip(*columns, strict=True))
