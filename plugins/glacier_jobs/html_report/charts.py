"""Charts as SVG, drawn by Matplotlib: numbers in, SVG text out, without scripts or references to other files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from glacier_jobs.reports.axis_limits import AxisLimit

#: Inches: a chart that takes the whole width of the report, the same for a narrow window, and one of two beside each
#: other.
_WIDE, _NARROW, _HALF = (9.4, 3.0), (4.6, 3.0), (4.6, 2.0)
_BLUE, _SOFT, _LINE = "#2f6fb2", "#5c6773", "#dfe3e8"

#: The background of the report. Lines of this colour separate stacked values, for readers who cannot distinguish the
#: colours.
_BACKGROUND = "#ffffff"

#: The formats of tick labels for years, months, days, hours, minutes and seconds.
_DATES = ["%Y", "%b %Y", "%b %d", "%H:%M", "%H:%M", "%H:%M:%S"]

#: Glacier keeps a finished job for so long at least: between two listings further apart, jobs can be missing.
_RETENTION_DAYS = 1.0

#: A gap that is narrower than this share of the horizontal axis has no room for its label.
_GAP_LABEL_WIDTH = 0.03

_STYLE: dict[Any, Any] = {
    # Text is kept as text, in a font of the reader's system.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.edgecolor": _SOFT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _LINE,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "ytick.left": False,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values of one kind, one for each place on the horizontal axis.

    :param name: the label in the legend.
    :param colour: ``#rrggbb``.
    """

    name: str
    colour: str
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median, the 90th percentile and the longest of one day."""

    at: date
    p50: float
    p90: float
    most: float


def stacked_areas(
    moments: Sequence[datetime],
    series: Sequence[Series],
    *,
    number: Callable[[float], str],
    gaps: Sequence[tuple[datetime, datetime]] = (),
    limit: AxisLimit | None = None,
    narrow: bool = False,
) -> str:
    """Draw values over time, one on top of the other, in the order given from the bottom up.

    :param moments: ascending, at least two.
    :param number: formats a value.
    :param gaps: the starts and ends of times that are hatched and labelled "not observed". The hatched area hides the
        values of times longer than 24 hours, in which jobs can be missing.
    :param limit: the limit of the sums; values beyond it are cut and labelled.
    :param narrow: for a window of the width of a telephone.
    """
    with _drawing(_NARROW if narrow else _WIDE, number) as (axes, svg):
        axes.stackplot(date2num(moments), [each.values for each in series], colors=[each.colour for each in series])
        floor = [0.0] * len(moments)
        for each in series:
            floor = [low + value for low, value in zip(floor, each.values, strict=True)]
            axes.plot(date2num(moments), floor, color=_BACKGROUND, linewidth=0.8)
        axes.set_xlim(date2num(moments[0]), date2num(moments[-1]))
        _hatch(axes, [(date2num(start), date2num(end)) for start, end in gaps], over_values=True)
        _cut(axes, limit, date2num(moments), number)
    return svg.getvalue()


def stacked_bars(
    days: Sequence[date],
    series: Sequence[Series],
    *,
    number: Callable[[float], str],
    unit: float = 1.0,
    gaps: Sequence[tuple[date, date]] = (),
    limit: AxisLimit | None = None,
    narrow: bool = False,
) -> str:
    """Draw a bar for each day, in parts one on top of the other.

    :param days: at least one.
    :param number: formats a value.
    :param unit: the axis has ticks at round multiples of this value.
    :param gaps: the first days, and the days after the last, of times that are hatched and labelled "not observed".
    :param limit: the limit of the sums; values beyond it are cut and labelled.
    :param narrow: for a window of the width of a telephone.
    """
    with _drawing(_NARROW if narrow else _WIDE, number, unit) as (axes, svg):
        floor = [0.0] * len(days)
        for each in series:
            values = [value / unit for value in each.values]
            axes.bar(
                date2num(days),
                values,
                width=0.72,
                bottom=floor,
                color=each.colour,
                edgecolor=_BACKGROUND,
                linewidth=0.6,
            )
            floor = [low + value for low, value in zip(floor, values, strict=True)]
        _span(axes, days, gaps)
        _cut(axes, limit, date2num(days), number, unit)
    return svg.getvalue()


def spreads(
    days: Sequence[date],
    found: Sequence[Spread],
    *,
    number: Callable[[float], str],
    unit: float = 1.0,
    gaps: Sequence[tuple[date, date]] = (),
    limit: AxisLimit | None = None,
) -> str:
    """Draw for each day a box from the median to the 90th percentile, and a line up to the longest.

    :param days: the first and the last are the ends of the horizontal axis.
    :param number: formats a value.
    :param unit: the axis has ticks at round multiples of this value.
    :param gaps: the first days, and the days after the last, of times that are hatched and labelled "not observed".
    :param limit: the limit of the longest times; values beyond it are cut and labelled.
    """
    with _drawing(_HALF, number, unit) as (axes, svg):
        boxes = [
            {
                "med": each.p50 / unit,
                "q1": each.p50 / unit,
                "q3": each.p90 / unit,
                "whislo": each.p50 / unit,
                "whishi": each.most / unit,
            }
            for each in found
        ]
        axes.bxp(
            boxes,
            positions=date2num([each.at for each in found]),
            widths=0.6,
            manage_ticks=False,
            patch_artist=True,
            showfliers=False,
            showcaps=False,
            boxprops={"facecolor": _BLUE, "edgecolor": "none", "alpha": 0.4},
            medianprops={"color": _BLUE, "linewidth": 2},
            whiskerprops={"color": _BLUE},
        )
        _span(axes, days, gaps)
        _cut(axes, limit, date2num([each.at for each in found]), number, unit)
    return svg.getvalue()


def _span(axes: Axes, days: Sequence[date], gaps: Sequence[tuple[date, date]]) -> None:
    """Set the ends of an axis on which each day is centred at its date, and hatch days."""
    axes.set_xlim(date2num(days[0]) - 0.5, date2num(days[-1]) + 0.5)
    _hatch(axes, [(date2num(first) - 0.5, date2num(after) - 0.5) for first, after in gaps], over_values=False)


def _hatch(axes: Axes, spans: Sequence[tuple[float, float]], *, over_values: bool) -> None:
    """Hatch parts of the horizontal axis, and label those that are wide enough."""
    left, right = axes.get_xlim()
    for whole_start, whole_end in spans:
        start, end = max(whole_start, left), min(whole_end, right)
        if start >= end:
            continue
        hides = over_values and whole_end - whole_start > _RETENTION_DAYS
        axes.axvspan(
            start,
            end,
            facecolor=_BACKGROUND if hides else "none",
            edgecolor=_SOFT,
            hatch="////",
            linewidth=0.6,
            zorder=3 if over_values else 0,
        )
        if end - start >= (right - left) * _GAP_LABEL_WIDTH:
            axes.text(
                (start + end) / 2,
                0.5,
                "not observed",
                transform=axes.get_xaxis_transform(),
                rotation="vertical",
                ha="center",
                va="center",
                color=_SOFT,
                bbox={"facecolor": _BACKGROUND, "edgecolor": "none", "pad": 2},
                zorder=3 if over_values else 0,
            )


def _cut(
    axes: Axes, limit: AxisLimit | None, places: Sequence[float], number: Callable[[float], str], unit: float = 1.0
) -> None:
    """End the vertical axis at a limit. Mark cut values with a triangle, and the largest of them with its value."""
    if limit is None:
        return
    axes.set_ylim(top=limit.top / unit * 1.1)
    edge = axes.get_xaxis_transform()
    for cut in limit.cuts:
        at = [places[position] for position in cut.positions]
        axes.plot(
            at,
            [1.03] * len(at),
            transform=edge,
            linestyle="none",
            marker="^",
            markersize=6,
            color=_SOFT,
            markeredgecolor=_BACKGROUND,
            clip_on=False,
        )
        axes.annotate(
            number(cut.most) if len(at) == 1 else f"up to {number(cut.most)}",
            ((at[0] + at[-1]) / 2, 1.0),
            xycoords=edge,
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=_SOFT,
        )


@contextmanager
def _drawing(
    inches: tuple[float, float], number: Callable[[float], str], unit: float = 1.0
) -> Iterator[tuple[Axes, io.StringIO]]:
    """Yield the axes to draw on, and the buffer that contains the SVG afterwards."""
    svg = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        axes = figure.subplots()
        yield axes, svg
        locator = AutoDateLocator(minticks=2, maxticks=7 if inches == _WIDE else 5)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(
            ConciseDateFormatter(locator, formats=_DATES, zero_formats=_DATES, show_offset=False)
        )
        # A negative size or duration is an error of AWS. A chart cannot show it, and must not fail.
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1.0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value * unit)))
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(["Creator", "Date", "Format", "Type"])
        )
