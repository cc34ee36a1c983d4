"""One report: the answers to all questions as of one moment, the alerts, one HTML page, and ``jobs_latest``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from glacier_jobs.alerts.attention import Attention
from glacier_jobs.alerts.rules import alerts_of
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.html_report.periods import DAYS
from glacier_jobs.html_report.render import SHOWN, Contents, render
from glacier_jobs.html_report.store import ReportFiles
from glacier_jobs.reports.questions import QUESTIONS, Inquiry
from glacier_jobs.sql.engine import shared_database

#: Questions whose whole answers :class:`Attention` needs.
_ASKED_AGAIN = frozenset({"expiring_outputs", "slower_than_typical", "unlisted_vaults", "latest_vaults"})


def make_report(dataset: Dataset, dataset_uri: str, *, now: datetime | None = None) -> dict[str, Any]:
    """Publish the table ``jobs_latest``; answer all questions and publish the answers, the alerts and the page.

    :param dataset_uri: the name of the dataset on the page.
    :param now: the moment of the report, an aware datetime; ``None`` for the present.
    :return: the content of ``latest.json`` for this report (:meth:`ReportFiles.latest`).
    """
    inquiry = Inquiry.into(dataset, now=now)
    made_at = inquiry.tables.now
    with shared_database(), ReportFiles(dataset).draft(made_at) as draft:
        inquiry.tables.history.generations.publish(inquiry.tables.jobs_latest(), made_at=made_at)
        answers: dict[str, pa.Table] = {}

        def ask(name: str, **arguments: Any) -> pa.Table:
            """Return the answer that is in memory, if it is about the same period."""
            found = None if arguments or name in DAYS else answers.get(name)
            return inquiry.ask(name, **arguments) if found is None else found

        # What takes most memory first, while nothing else is in memory; and last what is kept.
        for question in sorted(QUESTIONS, key=lambda name: (name != "job_history", name in _ASKED_AGAIN)):
            since = {"since": made_at - timedelta(days=DAYS[question])} if question in DAYS else {}
            answer = inquiry.ask(question, **since)
            draft.add(question, answer)
            if question in SHOWN | _ASKED_AGAIN:
                answers[question] = answer
            del answer
            # Without this, Arrow keeps the memory of what was read.
            pa.default_memory_pool().release_unused()
        attention = Attention(ask, made_at, inquiry.tables.newest_by_target)
        page = render(
            Contents(
                dataset_uri=dataset_uri,
                made_at=made_at,
                newest_at=inquiry.tables.newest_at,
                answers=answers,
                attention=attention,
            )
        )
        return draft.publish(alerts_of(attention), page)
