from __future__ import annotations

from benchmarks.open_days import AGGREGATE, ASKED, DIRECT, measure_all


def test_everything_is_measured_and_has_the_same_rows_from_partial_aggregates() -> None:
    figures = {each["work"]: each for each in measure_all(300)}

    assert list(figures) == [
        DIRECT,
        *(f"{work}, raw" for work in ASKED),
        AGGREGATE,
        *(f"{work}, aggregated" for work in ASKED),
    ]
    assert figures[DIRECT]["rows"] == figures["job_history, raw"]["rows"] > 200
    for work in ASKED:
        assert figures[f"{work}, aggregated"]["rows"] == figures[f"{work}, raw"]["rows"] > 0
    assert 0 < figures[AGGREGATE]["written"] < 10
