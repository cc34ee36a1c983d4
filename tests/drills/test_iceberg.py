"""Add compacted days to an Apache Iceberg table, as the page about BI tools says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from tests.drills.table import RecordDrill
from tests.observations import local_dataset, publish
from tests.test_docs import BI_TOOLS, between, python_blocks

pytestmark = [pytest.mark.drill, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MOMENT = datetime(2026, 11, 22, 4, 45, 0, 123456, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def test_the_example_for_iceberg_adds_each_compacted_day_once(tmp_path: Path, record_drill: RecordDrill) -> None:
    dataset = local_dataset(tmp_path / "records")
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    [example] = python_blocks(between(BI_TOOLS, "compacted days for Iceberg", "end of compacted days for Iceberg"))

    def rows() -> tuple[list[str], int]:
        names: dict[str, Any] = {"root": str(tmp_path / "records"), "warehouse": str(warehouse)}
        exec(example, names)  # noqa: S102 - the example of our page
        table = names["table"]
        return sorted(table.scan().to_arrow()["job_id"].to_pylist()), len(table.history())

    publish(dataset, MOMENT, jobs=["a", "b"])
    crashed = publish(dataset, MOMENT, jobs=["never"])
    Path(dataset.path("observations", crashed.observation_id)).unlink()
    publish(dataset, MOMENT + DAY, jobs=[])
    publish(dataset, MOMENT + 2 * DAY, jobs=["c"])
    compact_closed_days(dataset, now=closes_at(MOMENT.date() + DAY) + SETTLES_AFTER)
    assert rows() == (["a", "b"], 1)
    assert rows() == (["a", "b"], 1)
    compact_closed_days(dataset, now=closes_at(MOMENT.date() + 2 * DAY) + SETTLES_AFTER)
    assert rows() == (["a", "b", "c"], 2)
    record_drill("Add compacted days to an Iceberg table", "each committed row once, also when it is repeated")
