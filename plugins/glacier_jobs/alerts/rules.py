"""Alerts: outputs that are about to expire and jobs that failed, each to be sent to a notifier once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from glacier_jobs.alerts import formatting
from glacier_jobs.alerts.attention import Attention

Kind: TypeAlias = Literal["expiring", "failed"]

#: Jobs of one kind that a message names; the others are counted, and listed in the report's ``alerts.parquet``.
MAX_NAMED = 20

#: How long a sent alert is remembered after it was an alert last: its job may be missing in a listing, and return.
REMEMBERED_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One job to notify of.

    :param line: the text of the alert, in one line.
    """

    kind: Kind
    vault_arn: str
    job_id: str
    line: str

    @property
    def key(self) -> str:
        """Identifies this alert, so that it is sent once."""
        return f"{self.kind} {self.vault_arn} {self.job_id}"


def alerts_of(attention: Attention) -> list[Alert]:
    """Return the alerts for what needs attention, the most urgent first."""
    expiring = [
        _alert("expiring", row, f"{_time_left(row['hours_left'])}: {_name(row)}")
        for row in attention.expiring.to_pylist()
    ]
    failed = [
        _alert("failed", row, f"{_name(row)}: {row['status_message'] or 'no reason given'}")
        for row in attention.failed.to_pylist()
    ]
    return expiring + failed


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
    expiring = [alert.line for alert in alerts if alert.kind == "expiring"]
    failed = [alert.line for alert in alerts if alert.kind == "failed"]
    parts = [
        f"{formatting.counted(len(expiring), 'output')} about to expire" if expiring else "",
        f"{formatting.counted(len(failed), 'job')} failed" if failed else "",
    ]
    subject = f"Glacier: {', '.join(filter(None, parts))}"
    lines = [subject]
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


def _time_left(hours_left: float | None) -> str:
    if hours_left is None:
        return "expires at an unknown time"
    return "overdue" if hours_left <= 0 else f"{formatting.duration(hours_left)} left"


def _name(row: dict[str, Any]) -> str:
    description = f" ({row['job_description']})" if row["job_description"] else ""
    return f"vault {row['vault_name']} in {row['region']}, job {row['job_id']}{description}"
