"""The end of a chart's vertical axis, chosen so that a few outliers do not flatten the other values."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: A value above the third quartile plus this many interquartile ranges is an outlier: Tukey's outer fence, from
#: "Exploratory Data Analysis" (1977).
_FENCE = 3.0

#: With fewer values, none counts as an outlier.
_MIN_VALUES = 5

#: The largest share of values that can be cut; one value can always be cut. Values that recur, such as those of a
#: weekly batch, are not outliers.
_MAX_SHARE = 0.1

#: The smallest cut value is at least this many times the largest value that is not cut.
_MIN_GAP = 2.0

#: Cut values that are closer than this share of the horizontal axis have one label, so that labels do not overlap.
_LABEL_WIDTH = 0.25


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Neighbouring values beyond the end of the axis, which share a label.

    :param positions: their positions among the values, ascending.
    :param most: the largest of them.
    """

    positions: tuple[int, ...]
    most: float


@dataclass(frozen=True, kw_only=True)
class AxisLimit:
    """The end of an axis, and the values beyond it.

    :param top: the largest value that is shown in full.
    :param cuts: ascending; at least one.
    """

    top: float
    cuts: tuple[Cut, ...]


def axis_limit(values: Sequence[float]) -> AxisLimit | None:
    """Return where the axis ends, or ``None`` where it shows all values in full.

    :param values: the height at each position of the horizontal axis. The quartiles are computed without heights of
        zero or less, which do not show what is usual.

    Example:
        >>> axis_limit([3, 4, 5, 4, 40])
        AxisLimit(top=5, cuts=(Cut(positions=(4,), most=40),))
    """
    heights = sorted((value for value in values if value > 0), reverse=True)
    if len(heights) < _MIN_VALUES:
        return None
    first, _, third = statistics.quantiles(heights, n=4, method="inclusive")
    fence = third + _FENCE * (third - first)
    for outliers in range(max(1, int(len(heights) * _MAX_SHARE)), 0, -1):
        smallest, top = heights[outliers - 1 : outliers + 1]
        if smallest > fence and smallest >= top * _MIN_GAP:
            beyond = [position for position, value in enumerate(values) if value > top]
            return AxisLimit(top=top, cuts=tuple(_cut(group, values) for group in _groups(beyond, len(values))))
    return None


def _groups(positions: Sequence[int], width: int) -> list[list[int]]:
    groups = [[positions[0]]]
    for position in positions[1:]:
        if position - groups[-1][-1] < width * _LABEL_WIDTH:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups


def _cut(positions: Sequence[int], values: Sequence[float]) -> Cut:
    return Cut(positions=tuple(positions), most=max(values[position] for position in positions))
