"""Questions about datasets that a test writes down."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs import reports
from glacier_jobs.dataset.layout import Dataset
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty dataset."""
    return local_dataset(tmp_path)


def ask(dataset: Dataset, name: str, *columns: str, **params: Any) -> list[Any]:
    """Run a question, and return the answer's rows as tuples of the given columns."""
    rows = reports.run(name, dataset, **params).to_pylist()
    return [tuple(row[column] for column in columns) for row in rows]
