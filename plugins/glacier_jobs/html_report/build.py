"""One report: all questions asked at one moment, answered in Parquet and on one page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.html_report.render import Contents, render
from glacier_jobs.html_report.store import ReportFiles
from glacier_jobs.reports.questions import QUESTIONS, Inquiry
from glacier_jobs.sql.engine import shared_database

#: How far back a report looks where a question is about a period.
COVERAGE_DAYS = 31
HISTORY_DAYS = 90
PICTURE_DAYS = 31


def make_report(dataset: Dataset, dataset_uri: str, *, now: datetime) -> dict[str, Any]:
    """Ask all questions and publish the answers and the page.

    :param dataset_uri: what the page shall call the dataset.
    :param now: the moment of the report, an aware UTC datetime.
    :return: what ``latest.json`` says of it (:meth:`ReportFiles.latest`).
    """
    inquiry = Inquiry.into(dataset, now=now)
    since = {
        "coverage": COVERAGE_DAYS,
        "job_history": HISTORY_DAYS,
        "retrieval_times": PICTURE_DAYS,
        "daily_volume": PICTURE_DAYS,
    }
    with shared_database():
        answers = {
            question: inquiry.ask(
                question, **({"since": now - timedelta(days=since[question])} if question in since else {})
            )
            for question in QUESTIONS
        }
    page = render(
        Contents(
            dataset_uri=dataset_uri,
            made_at=now,
            newest_at=inquiry.tables.newest_at,
            answers=answers,
            coverage_days=COVERAGE_DAYS,
        )
    )
    return ReportFiles(dataset).publish(now, answers, page)
