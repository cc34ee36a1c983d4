from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from benchmarks.history_maker import make_dataset
from glacier_jobs import reports
from glacier_jobs.history import History, fold_closed_days
from tests.observations import local_dataset

UNTIL = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)


def test_the_benchmarks_dataset_has_the_form_of_a_real_one(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    assert make_dataset(tmp_path, until=UNTIL, hours=72, targets=2, jobs_an_hour=0.5) == 3 * 24 * 2
    now = UNTIL + timedelta(minutes=30)

    fold_closed_days(dataset, History.beside(dataset), now=now)

    assert len(dataset.observation_ids()) == 3 * 24 * 2
    assert reports.run("latest_vaults", dataset, now=now)["as_of"].unique().to_pylist() == [UNTIL]
    outcomes = set(reports.run("job_history", dataset, now=now)["outcome"].to_pylist())
    assert {"succeeded", "in_progress"} <= outcomes <= {"succeeded", "failed", "in_progress"}
    assert reports.run("coverage", dataset, now=now)["observed"].unique().to_pylist() == [True]
