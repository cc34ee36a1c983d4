from __future__ import annotations

from datetime import datetime, timezone

import pyarrow as pa
import pytest

from glacier_jobs.dataset.schema import TABLES, table_from_rows


@pytest.mark.parametrize("table", TABLES)
def test_no_column_has_a_type_that_engines_read_differently(table: str) -> None:
    for field in TABLES[table]:
        types = [child.type for child in field.type] if pa.types.is_struct(field.type) else [field.type]
        for data_type in types:
            assert data_type in (pa.string(), pa.int64(), pa.bool_(), pa.timestamp("us", tz="UTC")), field.name


def test_a_row_that_lacks_a_required_value_is_refused() -> None:
    with pytest.raises(ValueError, match="observation_id"):
        table_from_rows([{"snapshot_at": datetime(2026, 11, 22, 6, tzinfo=timezone.utc)}], TABLES["observations"])
