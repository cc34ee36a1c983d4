"""Alerts: outputs about to expire, failed jobs, and targets that are not observed; each is sent to a notifier once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from glacier_jobs.alerts import formatting
from glacier_jobs.alerts.attention import Attention

#: ``stopped`` is one alert for all accounts and Regions: the snapshots have stopped.
Kind: TypeAlias = Literal["stopped", "not_observed", "expiring", "failed"]

#: Jobs of one kind that a message names; the others are counted, and listed in the report's ``alerts.parquet``.
MAX_NAMED = 20

#: How long a sent alert is remembered after it was an alert last: its job may be missing in a listing, and return.
REMEMBERED_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One job to notify of, or one outage: an account and Region, or all of them, are not observed.

    :param line: the text of the alert, in one line.
    :param vault_arn: the vault of the job; ``None`` for an outage.
    :param account_id: not observed; ``None`` for a job and for the kind ``stopped``, as ``region``.
    :param newest_at: when the newest observation before the outage began; ``None`` for a job.
    """

    kind: Kind
    line: str
    vault_arn: str | None = None
    job_id: str | None = None
    account_id: str | None = None
    region: str | None = None
    newest_at: datetime | None = None

    @property
    def key(self) -> str:
        """Identifies this alert, so that it is sent once: a job, or an outage by the newest observation before it."""
        newest_at = None if self.newest_at is None else self.newest_at.isoformat()
        values = (self.vault_arn, self.job_id, self.account_id, self.region, newest_at)
        return " ".join([self.kind, *(value for value in values if value is not None)])


def alerts_of(attention: Attention) -> list[Alert]:
    """Return the alerts for what needs attention: outages, then jobs, of each kind the most urgent first."""
    not_observed = [
        Alert(
            kind="not_observed",
            account_id=target.account_id,
            region=target.region,
            newest_at=target.newest_at,
            line=f"account {target.account_id}, Region {target.region}: {_last_observed(attention, target.newest_at)}",
        )
        for target in attention.not_observed
    ]
    stopped = []
    if attention.nobody_observes:
        newest_at = max(target.newest_at for target in attention.not_observed)
        line = f"all accounts and Regions: {_last_observed(attention, newest_at)}"
        stopped = [Alert(kind="stopped", newest_at=newest_at, line=line)]
    expiring = [
        _alert("expiring", row, f"{_time_left(row['hours_left'])}: {_name(row)}")
        for row in attention.expiring.to_pylist()
    ]
    failed = [
        _alert("failed", row, f"{_name(row)}: {_in_one_line(row['status_message']) or 'no reason given'}")
        for row in attention.failed.to_pylist()
    ]
    return stopped + not_observed + expiring + failed


def not_notified(alerts: Iterable[Alert], notified: Collection[str]) -> list[Alert]:
    """Return the alerts that were not sent yet.

    :param notified: the keys of those that were.
    """
    return [alert for alert in alerts if alert.key not in notified]


def remembered(notified: Mapping[str, datetime], alerts: Iterable[Alert], now: datetime) -> dict[str, datetime]:
    """Return the keys of the sent alerts, and when each was an alert last, for the next report.

    :param notified: the same, of the reports before.
    :param alerts: all alerts of this report, which have been sent by now.
    """
    kept = {key: at for key, at in notified.items() if now - at < REMEMBERED_FOR}
    return {**kept, **{alert.key: now for alert in alerts}}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a notifier is given: one line, and the whole text."""

    subject: str
    text: str


def message(alerts: Collection[Alert], *, dataset_uri: str, report: str) -> Message:
    """Return the message for some alerts.

    Each alert is named in the text, or counted next to the address of the file that lists it.

    :param alerts: at least one, of the report, the most urgent first.
    :param report: the address of the report's folder.
    """
    all_alerts = f"{report}/alerts.parquet"
    lines_of: dict[Kind, list[str]] = {"stopped": [], "not_observed": [], "expiring": [], "failed": []}
    for alert in alerts:
        lines_of[alert.kind].append(alert.line)
    stopped, not_observed, expiring, failed = lines_of.values()
    parts = [
        "snapshots have stopped" if stopped else "",
        f"{formatting.counted(len(not_observed), 'Region')} not observed" if not_observed and not stopped else "",
        f"{formatting.counted(len(expiring), 'output')} about to expire" if expiring else "",
        f"{formatting.counted(len(failed), 'job')} failed" if failed else "",
    ]
    subject = f"Glacier: {', '.join(filter(None, parts))}"
    lines = [subject]
    if outages := stopped + not_observed:
        lines += ["", "Not observed; check the runs of the DAG glacier_jobs_snapshot:", *_named(outages, all_alerts)]
    if expiring:
        lines += ["", "Download before Glacier drops them:", *_named(expiring, all_alerts)]
    if failed:
        lines += ["", "Failed; initiate these jobs again:", *_named(failed, all_alerts)]
    return Message(
        subject=subject, text="\n".join([*lines, "", f"Dataset: {dataset_uri}", f"Report: {report}/report.html"])
    )


def _named(lines: list[str], all_alerts: str) -> list[str]:
    named = [f"- {line}" for line in lines[:MAX_NAMED]]
    more = len(lines) - len(named)
    return [*named, f"- and {formatting.count(more)} more, listed in {all_alerts}"] if more else named


def _alert(kind: Kind, row: dict[str, Any], line: str) -> Alert:
    return Alert(kind=kind, vault_arn=row["vault_arn"], job_id=row["job_id"], line=line)


def _last_observed(attention: Attention, newest_at: datetime) -> str:
    age = formatting.duration((attention.now - newest_at) / timedelta(hours=1))
    return f"last observed {formatting.moment(newest_at)} UTC, {age} ago"


def _time_left(hours_left: float | None) -> str:
    if hours_left is None:
        return "expires at an unknown time"
    return "overdue" if hours_left <= 0 else f"{formatting.duration(hours_left)} left"


def _name(row: dict[str, Any]) -> str:
    description = f" ({_in_one_line(row['job_description'])})" if row["job_description"] else ""
    return f"vault {row['vault_name']} in {row['region']}, job {row['job_id']}{description}"


def _in_one_line(text: str | None) -> str:
    """Return a text that a user or AWS wrote without line breaks, which would look like lines of the message."""
    return " ".join((text or "").split())
