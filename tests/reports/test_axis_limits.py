from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.reports.axis_limits import AxisLimit, Cut, axis_limit


def test_one_outlier_is_cut_at_the_largest_of_the_others() -> None:
    assert axis_limit([3, 4, 5, 4, 40]) == AxisLimit(top=5, cuts=(Cut(positions=(4,), most=40),))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([0, 0, 0, 0, 0, 0, 9], id="a single value that is not zero"),
        pytest.param([-1, -2, -3, -4, -5, -6, 9], id="values below zero"),
        pytest.param([4, 4, 4, 40], id="too few values to have outliers"),
        pytest.param([4, 4, 4, 4, 4, 4, 7], id="hardly larger than the others"),
        pytest.param([1, 2, 4, 8, 16, 32, 64], id="widely spread"),
        pytest.param([1, 1, 1, 1, 1, 1, 50] * 4, id="a weekly batch that recurs"),
        pytest.param([5, 5, 5, 5, 5], id="all the same"),
    ],
)
def test_an_axis_without_outliers_is_not_cut(values: Sequence[float]) -> None:
    assert axis_limit(values) is None


def test_days_without_volume_do_not_make_the_others_outliers() -> None:
    assert axis_limit([0] * 27 + [8, 10, 9, 11]) is None
    assert axis_limit([0] * 26 + [8, 10, 9, 11, 200]) == AxisLimit(top=11, cuts=(Cut(positions=(30,), most=200),))


def test_an_outlier_beside_a_weekly_batch_is_cut_and_the_batch_is_not() -> None:
    values = [1, 1, 1, 1, 1, 1, 50] * 4
    values[9] = 5000

    assert axis_limit(values) == AxisLimit(top=50, cuts=(Cut(positions=(9,), most=5000),))


def test_outliers_close_to_each_other_share_a_label_and_distant_ones_do_not() -> None:
    values = [5.0] * 40
    values[2], values[6], values[30] = 50, 70, 60

    limit = axis_limit(values)

    assert limit == AxisLimit(top=5, cuts=(Cut(positions=(2, 6), most=70), Cut(positions=(30,), most=60)))


@given(st.lists(st.floats(min_value=-1e18, max_value=1e18), max_size=60))
def test_every_value_is_either_shown_in_full_or_named_by_a_cut(values: list[float]) -> None:
    limit = axis_limit(values)

    if limit is not None:
        cut = [position for cut in limit.cuts for position in cut.positions]
        assert cut == [position for position, value in enumerate(values) if value > limit.top]
        assert max(cut.most for cut in limit.cuts) == max(values)
        assert 0 < limit.top <= max(values) / 2
