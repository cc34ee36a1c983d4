"""The files of reports, and which report is the latest.

::

    <dataset>/reports/report=20261122T060000Z_1a2b3c/<question>.parquet     one answer each
    <dataset>/reports/report=20261122T060000Z_1a2b3c/alerts.parquet         the alerts, for the notifier
    <dataset>/reports/report=20261122T060000Z_1a2b3c/report.html            the whole in one page
    <dataset>/reports/latest.html                                           a copy of the newest page
    <dataset>/reports/latest.json                                           names the newest report and its answers
    <dataset>/reports/told.json                                             the sent alerts, and when each was one last

A report is never changed and never removed. ``latest.json`` is replaced in one step, on every store, once all files of
the report are published. So it always names a complete report.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glacier_jobs.alerts.rules import Alert
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.schema import UTC_MICROSECONDS, required

_ALERTS = "alerts"
_ALERT_ROWS = pa.schema(
    [
        required("kind", pa.string()),
        required("line", pa.string()),
        *(pa.field(name, pa.string()) for name in ("vault_arn", "job_id", "account_id", "region")),
        pa.field("newest_at", UTC_MICROSECONDS),
    ]
)


@dataclass(frozen=True)
class ReportFiles:
    """The reports of one dataset."""

    dataset: Dataset

    @property
    def root(self) -> str:
        """The folder of all reports."""
        return f"{self.dataset.root}/reports"

    def latest(self) -> dict[str, Any] | None:
        """Return the content of ``latest.json``, or ``None`` before the first report.

        :return: ``{"report", "made_at", "html", "answers": {question: {"path", "rows"}}}``; paths are relative to the
            folder of all reports, ``made_at`` is in ISO 8601.
        """
        return self._json("latest.json")

    def latest_made_at(self) -> datetime | None:
        """Return when the newest report was made, or ``None`` before the first."""
        latest = self.latest()
        return None if latest is None else datetime.fromisoformat(latest["made_at"])

    def publish(
        self, made_at: datetime, answers: Mapping[str, pa.Table], alerts: Sequence[Alert], page: str
    ) -> dict[str, Any]:
        """Publish a report, and make it the latest unless there is a newer one.

        :return: the content of ``latest.json`` for this report.
        """
        name = f"report={made_at.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"
        publisher = publisher_for(self.dataset.filesystem, self.dataset.root)
        folder = publisher.stage(name)
        try:
            tables = {**answers, _ALERTS: pa.Table.from_pylist([asdict(alert) for alert in alerts], schema=_ALERT_ROWS)}
            for table, rows in tables.items():
                staged = folder / f"{table}.part"
                pq.write_table(rows, staged, compression="zstd")
                publisher.publish(staged, f"{self.root}/{name}/{table}.parquet")
            self._stage_text(folder / "report.html.part", page)
            publisher.publish(folder / "report.html.part", f"{self.root}/{name}/report.html")
            report = {
                "report": name,
                "made_at": made_at.isoformat(),
                "html": f"{name}/report.html",
                "answers": {
                    question: {"path": f"{name}/{question}.parquet", "rows": answer.num_rows}
                    for question, answer in answers.items()
                },
            }
            newest = self.latest_made_at()
            if newest is None or newest <= made_at:
                self._stage_text(folder / "latest.html.part", page)
                publisher.replace(folder / "latest.html.part", f"{self.root}/latest.html")
                self._stage_text(folder / "latest.json.part", json.dumps(report, indent=1))
                publisher.replace(folder / "latest.json.part", f"{self.root}/latest.json")
        finally:
            publisher.discard(folder)
        return report

    def alerts(self, report: str) -> list[Alert]:
        """Return the alerts of a report, the most urgent first.

        :param report: its folder, as :meth:`latest` names it.
        """
        with self.dataset.filesystem.open(f"{self.root}/{report}/{_ALERTS}.parquet", "rb") as file:
            return [Alert(**row) for row in pq.read_table(file).to_pylist()]

    def notified(self) -> dict[str, datetime]:
        """Return the keys of the alerts that were sent, and when each was an alert last."""
        return {key: datetime.fromisoformat(at) for key, at in (self._json("told.json") or {}).items()}

    def store_notified(self, notified: Mapping[str, datetime]) -> None:
        """Store what :meth:`notified` returns, in place of what was stored before."""
        publisher = publisher_for(self.dataset.filesystem, self.dataset.root)
        folder = publisher.stage(f"notified-{secrets.token_hex(6)}", only_replaces=True)
        try:
            staged = folder / "told.json.part"
            self._stage_text(staged, json.dumps({key: at.isoformat() for key, at in notified.items()}, indent=1))
            publisher.replace(staged, f"{self.root}/told.json")
        finally:
            publisher.discard(folder)

    def _json(self, name: str) -> dict[str, Any] | None:
        self.dataset.filesystem.invalidate_cache()
        try:
            content = self.dataset.filesystem.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None
        found: dict[str, Any] = json.loads(content)
        return found

    @staticmethod
    def _stage_text(path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
