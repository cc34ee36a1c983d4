"""The files of reports, and which report is the latest.

::

    <dataset>/reports/answers/<question>/report=20261122T060000Z_1a2b3c/<question>.parquet     one answer each
    <dataset>/reports/answers/reports/report=20261122T060000Z_1a2b3c/reports.parquet           the complete reports
    <dataset>/reports/report=20261122T060000Z_1a2b3c/alerts.parquet      the alerts, for the notifier
    <dataset>/reports/report=20261122T060000Z_1a2b3c/report.html         the whole in one page
    <dataset>/reports/latest.html                                        a copy of the newest page
    <dataset>/reports/latest.json                                        names the newest report and its answers
    <dataset>/reports/told.json                                          the sent alerts, and when each was one last

So the answers to each question are a table of their own, with a partition for each report. The table ``reports`` is
written last: a report without a row in it is not complete. A report is never changed and never removed. ``latest.json``
is replaced in one step, on every store, once all files of the report are published. So it always names a complete
report.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glacier_jobs.alerts.rules import Alert
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import Publisher, publisher_for
from glacier_jobs.dataset.schema import UTC_MICROSECONDS, required
from glacier_jobs.dataset.writer import repeating_columns

#: The commit marks of reports.
_REPORTS = "reports"
_REPORT_ROWS = pa.schema([required("made_at", UTC_MICROSECONDS)])

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

    @contextlib.contextmanager
    def draft(self, made_at: datetime) -> Iterator[Draft]:
        """Return a new report, of which nothing is visible until it is published.

        Example::

            with files.draft(made_at) as draft:
                draft.add("failures", reports.run("failures", files.dataset))
                latest = draft.publish([], "<p>one answer</p>")
        """
        name = f"report={made_at.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"
        publisher = publisher_for(self.dataset.filesystem, self.dataset.root)
        folder = publisher.stage(name)
        try:
            yield Draft(files=self, name=name, made_at=made_at, publisher=publisher, folder=folder)
        finally:
            publisher.discard(folder)

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
            staged.write_text(
                json.dumps({key: at.isoformat() for key, at in notified.items()}, indent=1), encoding="utf-8"
            )
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


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A report that is being made. Its answers are staged, and not held in memory."""

    files: ReportFiles
    name: str
    made_at: datetime
    publisher: Publisher
    folder: Path
    _rows: dict[str, int] = field(default_factory=dict, init=False)

    def add(self, question: str, answer: pa.Table) -> None:
        """Add the answer to a question."""
        dictionaries = repeating_columns(answer.schema)
        pq.write_table(answer, self._staged(question), compression="zstd", use_dictionary=dictionaries)
        self._rows[question] = answer.num_rows

    def publish(self, alerts: Sequence[Alert], page: str) -> dict[str, Any]:
        """Publish the report, and make it the latest unless there is a newer one.

        :return: the content of ``latest.json`` for this report.
        """
        answers = {question: f"answers/{question}/{self.name}/{question}.parquet" for question in self._rows}
        for question, path in answers.items():
            self._publish(self._staged(question), path)
        pq.write_table(
            pa.Table.from_pylist([asdict(alert) for alert in alerts], schema=_ALERT_ROWS), self._staged(_ALERTS)
        )
        self._publish(self._staged(_ALERTS), f"{self.name}/{_ALERTS}.parquet")
        self._publish(self._staged_text(page), f"{self.name}/report.html")
        pq.write_table(pa.Table.from_pylist([{"made_at": self.made_at}], schema=_REPORT_ROWS), self._staged(_REPORTS))
        self._publish(self._staged(_REPORTS), f"answers/{_REPORTS}/{self.name}/{_REPORTS}.parquet")
        report = {
            "report": self.name,
            "made_at": self.made_at.isoformat(),
            "html": f"{self.name}/report.html",
            "answers": {question: {"path": path, "rows": self._rows[question]} for question, path in answers.items()},
        }
        newest = self.files.latest_made_at()
        if newest is None or newest <= self.made_at:
            self._replace(self._staged_text(page), "latest.html")
            self._replace(self._staged_text(json.dumps(report, indent=1)), "latest.json")
        return report

    def _staged(self, name: str) -> Path:
        return self.folder / f"{name}.part"

    def _staged_text(self, text: str) -> Path:
        path = self._staged("text")
        # Another file than the one that was published, which may be a link to it.
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _publish(self, staged: Path, path: str) -> None:
        self.publisher.publish(staged, f"{self.files.root}/{path}")

    def _replace(self, staged: Path, path: str) -> None:
        self.publisher.replace(staged, f"{self.files.root}/{path}")
