"""What needs attention in a dataset, for tests."""

from __future__ import annotations

from datetime import datetime

from glacier_jobs.alerts.attention import Attention
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports import Inquiry


def attention_of(dataset: Dataset, now: datetime) -> Attention:
    """Return what needs attention at a given time."""
    inquiry = Inquiry.into(dataset, now=now)
    return Attention(inquiry.ask, inquiry.tables.now, inquiry.tables.newest_by_target)
