"""Pictures as inline SVG: numbers in, markup out, with nothing to fetch and no script.

Every text that goes in is escaped. Colours come from the page's style sheet, by the class of a series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from markupsafe import Markup

_WIDTH, _HEIGHT = 720.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 78.0, 8.0, 14.0, 34.0
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values of one kind, one for each place on the horizontal axis.

    :param name: as the legend shall call it.
    :param style: the class that the style sheet knows: ``s1`` to ``s6``, or the name of a status.
    """

    name: str
    style: str
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The percentiles of one place on the horizontal axis; ``title`` is what hovering tells."""

    at: date
    p50: float
    p90: float
    most: float
    title: str


def stacked_areas(
    label: str, moments: Sequence[datetime], series: Sequence[Series], *, number: Callable[[float], str]
) -> Markup:
    """Draw values over time, one on top of the other, in the order given from the bottom up.

    :param label: what the picture shows, for those who cannot see it.
    :param moments: evenly spaced, at least two.
    :param number: how a value is written.
    """
    tops = _stacked(series)
    scale = _Scale.up_to(max(max(tops[-1], default=0.0), 4.0))
    step = _PLOT_WIDTH / (len(moments) - 1)
    parts = [_grid(scale, number), _days_axis(moments, lambda index: _LEFT + index * step)]
    floor = [0.0] * len(moments)
    for each, top in zip(series, tops, strict=True):
        upper = [f"{_LEFT + index * step:.1f},{scale.y(value):.1f}" for index, value in enumerate(top)]
        lower = [f"{_LEFT + index * step:.1f},{scale.y(value):.1f}" for index, value in enumerate(floor)]
        newest = number(each.values[-1])
        parts.append(
            Markup('<polygon class="area {}" points="{}"><title>{}: {} at the end</title></polygon>').format(
                each.style, " ".join([*upper, *reversed(lower)]), each.name, newest
            )
        )
        parts.append(Markup('<polyline class="edge {}" points="{}"/>').format(each.style, " ".join(upper)))
        floor = top
    return _picture(label, parts)


def stacked_bars(
    label: str, days: Sequence[date], series: Sequence[Series], *, number: Callable[[float], str], unit: float = 1.0
) -> Markup:
    """Draw a bar for each day, in parts one on top of the other.

    :param label: what the picture shows, for those who cannot see it.
    :param days: consecutive, at least one.
    :param number: how a value is written.
    :param unit: the values at whose round multiples the axis is marked.
    """
    tops = _stacked(series)
    scale = _Scale.up_to(max(max(tops[-1], default=0.0), 1.0), unit=unit)
    slot = _PLOT_WIDTH / len(days)
    width = min(slot * 0.72, 48.0)
    parts = [_grid(scale, number), _days_axis(days, lambda index: _LEFT + (index + 0.5) * slot)]
    floor = [0.0] * len(days)
    for each, top in zip(series, tops, strict=True):
        for index, (low, high) in enumerate(zip(floor, top, strict=True)):
            if high > low:
                parts.append(
                    Markup(
                        '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                        "<title>{}, {}: {}</title></rect>"
                    ).format(
                        each.style,
                        _LEFT + (index + 0.5) * slot - width / 2,
                        scale.y(high),
                        width,
                        max(scale.y(low) - scale.y(high), 0.5),
                        each.name,
                        days[index],
                        number(each.values[index]),
                    )
                )
        floor = top
    return _picture(label, parts)


def spreads(
    label: str, days: Sequence[date], found: Sequence[Spread], *, number: Callable[[float], str], unit: float = 1.0
) -> Markup:
    """Draw for each day a box from the median to the 90th percentile, and a line up to the longest.

    :param label: what the picture shows, for those who cannot see it.
    :param days: consecutive, at least one.
    :param number: how a value is written.
    :param unit: the values at whose round multiples the axis is marked.
    """
    scale = _Scale.up_to(max((spread.most for spread in found), default=0.0) or 1.0, unit=unit)
    slot = _PLOT_WIDTH / len(days)
    width = min(slot * 0.6, 28.0)
    position = {day: _LEFT + (index + 0.5) * slot for index, day in enumerate(days)}
    parts = [_grid(scale, number), _days_axis(days, lambda index: _LEFT + (index + 0.5) * slot)]
    for spread in found:
        x, box = position[spread.at], max(scale.y(spread.p50) - scale.y(spread.p90), 3.0)
        parts.append(
            Markup(
                '<g class="spread"><title>{title}</title>'
                '<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{most:.1f}" y2="{median:.1f}"/>'
                '<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{box:.1f}"/>'
                '<line class="median" x1="{left:.1f}" x2="{right:.1f}" y1="{median:.1f}" y2="{median:.1f}"/></g>'
            ).format(
                title=spread.title,
                x=x,
                most=scale.y(spread.most),
                median=scale.y(spread.p50),
                left=x - width / 2,
                right=x + width / 2,
                top=scale.y(spread.p50) - box,
                width=width,
                box=box,
            )
        )
    return _picture(label, parts)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """The vertical axis: from nothing up to a round number."""

    top: float
    ticks: Sequence[float]

    @classmethod
    def up_to(cls, most: float, *, unit: float = 1.0) -> _Scale:
        # A size or a duration below nothing is AWS's mistake, which a picture cannot show and must not fail for.
        most = most if most > 0 else unit
        rough = most / unit / 4
        power = 10.0 ** math.floor(math.log10(rough))
        # A quarter of ten is no whole number.
        factors = (1, 2, 2.5, 5, 10) if power >= 10 else (1, 2, 5, 10)
        step = next(factor * power for factor in factors if factor * power >= rough) * unit
        count = math.ceil(most / step)
        return cls(top=count * step, ticks=[index * step for index in range(count + 1)])

    def y(self, value: float) -> float:
        return _TOP + _PLOT_HEIGHT * (1 - value / self.top)


def _stacked(series: Sequence[Series]) -> list[list[float]]:
    tops: list[list[float]] = []
    for each in series:
        below = tops[-1] if tops else [0.0] * len(each.values)
        tops.append([low + value for low, value in zip(below, each.values, strict=True)])
    return tops


def _grid(scale: _Scale, number: Callable[[float], str]) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(_LEFT, _WIDTH - _RIGHT, scale.y(tick), _LEFT - 8, scale.y(tick) + 4, number(tick))
        for tick in scale.ticks
    )


def _days_axis(places: Sequence[date], x: Callable[[int], float]) -> Markup:
    """Write a date below the first place of every so many days."""
    firsts = [
        (index, place)
        for index, place in enumerate(places)
        if not isinstance(place, datetime) or (place.hour == 0 and place.minute == 0)
    ]
    every = max(1, math.ceil(len(firsts) / 6))
    # Counted from the end: the newest day is the one to name.
    named = [each for count, each in enumerate(reversed(firsts)) if count % every == 0]
    return Markup("").join(
        Markup(
            '<line class="notch" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
            '<text class="tick" x="{0:.1f}" y="{3}" text-anchor="{4}">{5}</text>'
        ).format(
            x(index),
            _HEIGHT - _BOTTOM,
            _HEIGHT - _BOTTOM + 5,
            _HEIGHT - 8,
            "end" if x(index) > _WIDTH - 40 else "middle",
            f"{place:%b} {place.day}",
        )
        for index, place in named
    )


def _picture(label: str, parts: Iterable[Markup]) -> Markup:
    return Markup('<svg class="picture" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(parts)
    )
