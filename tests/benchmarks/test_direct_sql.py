from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from benchmarks.direct_sql import answer
from benchmarks.history_maker import make_dataset
from glacier_jobs import reports
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.reports import QUESTIONS
from tests.observations import local_dataset

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three days of two targets, two of them aggregated and compacted."""
    dataset = local_dataset(tmp_path_factory.mktemp("records"))
    until = NOW.replace(minute=0)
    make_dataset(Path(dataset.root), until=until, hours=57, targets=2, jobs_an_hour=2)
    assert len(fold_closed_days(dataset, History.beside(dataset), now=NOW)) == 2
    assert len(compact_closed_days(dataset, now=NOW)) == 2
    return dataset


@pytest.mark.parametrize("question", QUESTIONS)
def test_duckdb_alone_has_the_same_number_of_rows_and_the_same_columns(dataset: Dataset, question: str) -> None:
    expected = reports.run(question, dataset, now=NOW)

    found = answer(question, dataset.root, NOW)

    assert found.num_rows == expected.num_rows
    assert found.column_names == expected.column_names


def test_a_period_can_be_given(dataset: Dataset) -> None:
    since = NOW - timedelta(days=1)

    found = answer("coverage", dataset.root, NOW, since=since)

    assert found.to_pylist() == reports.run("coverage", dataset, now=NOW, since=since).to_pylist()
