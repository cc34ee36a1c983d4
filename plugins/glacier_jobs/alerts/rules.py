"""What somebody must be told, once: outputs that are about to expire, and jobs that failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.alerts import formatting as wording

Kind: TypeAlias = Literal["expiring", "failed"]

#: An output with less time left than this is urgent: on the page, in the report, and for whoever is told.
URGENT_HOURS = 6.0

#: Jobs that one message names; of the others it says how many they are.
MAX_NAMED = 20

#: How long it is remembered that something was told: longer than a job can be news.
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One job that somebody must be told of.

    :param line: what there is to tell, in one line.
    """

    kind: Kind
    vault_arn: str
    job_id: str
    line: str

    @property
    def key(self) -> str:
        """Stands for this alert, so that it is told once."""
        return f"{self.kind} {self.vault_arn} {self.job_id}"


def alerts_of(expiring: pa.Table, failed: pa.Table) -> list[Alert]:
    """Return what there is to tell, what is most urgent first.

    :param expiring: the answer to ``expiring_outputs``; what has :data:`URGENT_HOURS` left or more is no news yet.
    :param failed: the answer to ``failures``.
    """
    urgent = expiring.filter(pc.field("hours_left") < URGENT_HOURS).to_pylist()
    told = [_alert("expiring", row, f"{_time_left(row['hours_left'])}: {_name(row)}") for row in urgent]
    for row in failed.to_pylist():
        told.append(_alert("failed", row, f"{_name(row)}: {row['status_message'] or 'no reason given'}"))
    return told


def untold(alerts: Iterable[Alert], told: Collection[str]) -> list[Alert]:
    """Return the alerts that were not told yet; ``told`` are their keys."""
    return [alert for alert in alerts if alert.key not in told]


def remembered(told: dict[str, datetime], new: Iterable[Alert], now: datetime) -> dict[str, datetime]:
    """Return key -> when it was told, with the new ones and without the old ones."""
    kept = {key: at for key, at in told.items() if now - at < REMEMBERED}
    return {**kept, **{alert.key: now for alert in new}}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a notifier is given: a line, and the whole."""

    subject: str
    text: str


def message(alerts: Collection[Alert], *, dataset_uri: str, report: str) -> Message:
    """Return what to tell.

    :param alerts: at least one.
    :param report: where the report is.
    """
    expiring = [alert.line for alert in alerts if alert.kind == "expiring"]
    failed = [alert.line for alert in alerts if alert.kind == "failed"]
    parts = [
        f"{wording.counted(len(expiring), 'output')} about to expire" if expiring else "",
        f"{wording.counted(len(failed), 'job')} failed" if failed else "",
    ]
    subject = f"Glacier: {', '.join(filter(None, parts))}"
    lines = [subject]
    if expiring:
        lines += ["", "Download before Glacier drops them:", *_listed(expiring)]
    if failed:
        lines += ["", "Failed; to be started again:", *_listed(failed)]
    return Message(subject=subject, text="\n".join([*lines, "", f"Dataset: {dataset_uri}", f"Report: {report}"]))


def _listed(lines: list[str]) -> list[str]:
    named = [f"- {line}" for line in lines[:MAX_NAMED]]
    return [*named, f"- and {wording.count(len(lines) - MAX_NAMED)} more"] if len(lines) > MAX_NAMED else named


def _alert(kind: Kind, row: dict[str, Any], line: str) -> Alert:
    return Alert(kind=kind, vault_arn=row["vault_arn"], job_id=row["job_id"], line=line)


def _time_left(hours_left: float) -> str:
    return "overdue" if hours_left < 0 else f"{wording.duration(hours_left)} left"


def _name(row: dict[str, Any]) -> str:
    description = f" ({row['job_description']})" if row["job_description"] else ""
    return f"vault {row['vault_name']} in {row['region']}, job {row['job_id']}{description}"
