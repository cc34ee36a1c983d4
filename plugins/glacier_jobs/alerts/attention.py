"""What needs attention: the one rule that the page, the report and the alerts share.

Each kind is decided here, with its thresholds and periods. The page and the report only show it, and the alerts only
notify of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

#: An output with fewer hours left needs attention.
URGENT_HOURS = 6.0

#: A job that failed within this time needs attention. Glacier lists a failed job for at least as long.
FAILED_WITHIN = timedelta(hours=24)

#: A listing that is older needs attention. Observations are made every hour, so that at least one has failed by then.
STALE_HOURS = 3.0

#: Gaps that ended longer ago need no attention any more.
GAP_DAYS = 7

#: Account id and Region.
Target: TypeAlias = tuple[str, str]


class Ask(Protocol):
    """Answers a question of :mod:`glacier_jobs.reports`."""

    def __call__(self, name: str, **arguments: Any) -> pa.Table:
        """Return the answer."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Hours in which vaults were not listed, for longer than Glacier keeps a finished job.

    :param gap_hours: the longest time without a listing among the vaults.
    :param vaults: rows of the question ``coverage``, one for each vault that has this gap.
    """

    from_hour: datetime
    to_hour: datetime
    gap_hours: float
    vaults: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class UnobservedTarget:
    """An account and Region without a recent observation.

    :param newest_at: when its newest observation began.
    """

    account_id: str
    region: str
    newest_at: datetime
    age_hours: float


@dataclass(frozen=True)
class Attention:
    """What needs attention in a dataset, as of one moment; each kind is computed when it is first read.

    :param ask: answers the questions, all as of ``now``.
    :param now: the present, an aware UTC datetime.
    :param newest_by_target: when the newest observation of each account and Region began that was observed within
        :data:`GAP_DAYS`. Targets that were not, but have vaults, are known by these.

    Example::

        inquiry = Inquiry.into("s3://aws_archive@my-bucket/glacier")
        attention = Attention(inquiry.ask, inquiry.tables.now, inquiry.tables.newest_by_target)
        if not attention.nothing:
            print(attention.counts)
    """

    ask: Ask
    now: datetime
    newest_by_target: Mapping[Target, datetime]

    @cached_property
    def outputs(self) -> pa.Table:
        """All outputs that can or may still be downloaded: the answer to ``expiring_outputs``, in its order."""
        return self.ask("expiring_outputs")

    @cached_property
    def expiring(self) -> pa.Table:
        """Those of :attr:`outputs` that expire within :data:`URGENT_HOURS`, at an unknown time, or are overdue."""
        hours_left = self.outputs["hours_left"]
        return self.outputs.filter(pc.or_kleene(pc.is_null(hours_left), pc.less(hours_left, URGENT_HOURS)))

    @property
    def expiring_at_unknown_time(self) -> int:
        """How many of :attr:`expiring` have no completion date, from which their expiry would follow."""
        return int(self.expiring["hours_left"].null_count)

    @cached_property
    def failed(self) -> pa.Table:
        """The jobs that failed within :data:`FAILED_WITHIN`, newest first, with the columns of ``found_jobs``.

        A failed job without a completion date counts as long as it is listed. One in a vault that is gone does not
        count: it cannot be initiated again.
        """
        failed = self.ask("found_jobs", status_codes=["Failed"], sort="completion_date").drop_columns("matches")
        failed_at = failed["completion_date"]
        return failed.filter(pc.or_kleene(pc.is_null(failed_at), pc.greater_equal(failed_at, self.now - FAILED_WITHIN)))

    @cached_property
    def slow(self) -> pa.Table:
        """The jobs in progress for longer than typical: the answer to ``slower_than_typical``."""
        return self.ask("slower_than_typical")

    @cached_property
    def unlisted(self) -> pa.Table:
        """The vaults whose newest listing failed: the answer to ``unlisted_vaults``."""
        return self.ask("unlisted_vaults")

    @cached_property
    def vaults(self) -> pa.Table:
        """All vaults with their newest complete listing: the answer to ``latest_vaults``."""
        return self.ask("latest_vaults")

    @cached_property
    def not_observed(self) -> list[UnobservedTarget]:
        """The accounts and Regions whose newest observation is older than :data:`STALE_HOURS`, oldest first."""
        newest = dict(self.newest_by_target)
        for row in self.vaults.select(["account_id", "region", "as_of"]).to_pylist():
            target = row["account_id"], row["region"]
            newest[target] = max(newest.get(target, row["as_of"]), row["as_of"])
        targets = [
            UnobservedTarget(account_id=account_id, region=region, newest_at=at, age_hours=self._hours_since(at))
            for (account_id, region), at in newest.items()
        ]
        old = [target for target in targets if target.age_hours > STALE_HOURS]
        return sorted(old, key=lambda target: (target.newest_at, target.account_id, target.region))

    @property
    def nobody_observes(self) -> bool:
        """Whether all accounts and Regions lack a recent observation: then the snapshots have stopped."""
        observed = {*self.newest_by_target} - {(target.account_id, target.region) for target in self.not_observed}
        return bool(self.not_observed) and not observed

    @cached_property
    def stale(self) -> pa.Table:
        """The vaults that were listed too long ago, oldest first, with the columns of ``latest_vaults``.

        Vaults that are in :attr:`unlisted`, and those of targets in :attr:`not_observed`, are not repeated here.
        """
        explained = pc.is_in(self.vaults["vault_arn"], self.unlisted["vault_arn"])
        for target in self.not_observed:
            of_target = pc.and_(
                pc.equal(self.vaults["account_id"], target.account_id), pc.equal(self.vaults["region"], target.region)
            )
            explained = pc.or_(explained, of_target)
        old = pc.greater(self.vaults["age_hours"], STALE_HOURS)
        return self.vaults.filter(pc.and_not(old, explained)).sort_by("as_of")

    @cached_property
    def gaps(self) -> list[Gap]:
        """The gaps of the last :data:`GAP_DAYS`, newest first; what several vaults missed in the same hours is one."""
        coverage = self.ask("coverage", since=self.now - timedelta(days=GAP_DAYS))
        together: defaultdict[tuple[datetime, datetime], list[dict[str, Any]]] = defaultdict(list)
        for row in coverage.filter(coverage["beyond_retention"]).to_pylist():
            together[row["from_hour"], row["to_hour"]].append(row)
        return [
            Gap(
                from_hour=from_hour,
                to_hour=to_hour,
                gap_hours=max(row["gap_hours"] for row in rows),
                vaults=rows,
            )
            for (from_hour, to_hour), rows in sorted(together.items(), reverse=True)
        ]

    @property
    def counts(self) -> dict[str, int]:
        """How many items of each kind need attention."""
        return {
            "expiring": self.expiring.num_rows,
            "failed": self.failed.num_rows,
            "slow": self.slow.num_rows,
            "unlisted": self.unlisted.num_rows,
            "stale": self.stale.num_rows,
            "not_observed": len(self.not_observed),
            "gaps": len(self.gaps),
        }

    @property
    def nothing(self) -> bool:
        """Whether nothing needs attention."""
        return not any(self.counts.values())

    def _hours_since(self, moment: datetime) -> float:
        return (self.now - moment).total_seconds() / 3600
