from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from xml.etree import ElementTree

import pytest

from glacier_jobs.alerts import formatting
from glacier_jobs.html_report.charts import Series, Spread, spreads, stacked_areas, stacked_bars
from glacier_jobs.reports.axis_limits import axis_limit

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
DAYS = [date(2026, 11, 18) + timedelta(days=number) for number in range(3)]
RED, BLUE = "#ff0000", "#0000ff"
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own drawing


def shapes(svg: str, style: str) -> list[list[float]]:
    """Return the y coordinates of the points of each line or shape with a style."""
    return [[y for _, y in points] for points in outlines(svg, style)]


def columns(svg: str, style: str) -> list[list[float]]:
    """Return the x coordinates of the points of each line or shape with a style."""
    return [[x for x, _ in points] for points in outlines(svg, style)]


def outlines(svg: str, style: str) -> list[list[tuple[float, float]]]:
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")  # noqa: S314 - our own drawing
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path.get("d", ""))]
        for path in paths
        if style in path.get("style", "")
    ]


def height(points: list[float]) -> float:
    return max(points) - min(points)


def test_areas_lie_on_top_of_one_another_up_to_the_sum() -> None:
    hours = [NOON + timedelta(hours=hour) for hour in range(3)]
    values = {RED: [0, 10, 20], BLUE: [0, 40, 80]}

    svg = stacked_areas(
        hours, [Series(name=colour, colour=colour, values=values[colour]) for colour in values], number=formatting.count
    )

    (lower,), (upper,) = shapes(svg, f"fill: {RED}"), shapes(svg, f"fill: {BLUE}")
    assert max(upper) == max(lower) > min(lower) > min(upper)
    assert height(upper) == pytest.approx(5 * height(lower))
    assert [text for text in texts(svg) if ":" not in text] == ["0", "25", "50", "75", "100"]
    assert [text for text in texts(svg) if ":" in text] == ["12:00", "13:00", "14:00"]


def test_bars_are_as_high_as_their_values() -> None:
    svg = stacked_bars(DAYS, [Series(name="a", colour=RED, values=[4096, 0, 2048])], number=formatting.size, unit=1024)

    first, none, third = shapes(svg, f"fill: {RED}")
    assert height(first) == pytest.approx(2 * height(third))
    assert height(none) == 0
    assert texts(svg) == ["Nov 18", "Nov 19", "Nov 20", "0 B", "1 KiB", "2 KiB", "3 KiB", "4 KiB"]


def test_a_spread_reaches_from_the_median_to_the_longest() -> None:
    svg = spreads(DAYS, [Spread(at=DAYS[1], p50=2, p90=3, most=4)], number=formatting.duration)

    (box,) = shapes(svg, "opacity: 0.4")
    lines = shapes(svg, "fill: none; stroke: #2f6fb2")
    median = next(line for line in lines if height(line) == 0)
    assert set(median) == {max(box)}
    assert min(min(line) for line in lines) == pytest.approx(min(box) - height(box))


class TestOutliers:
    """A value beyond the limit of an axis is cut, and the value is written above it."""

    VALUES = (4.0, 5.0, 3.0, 4.0, 5.0, 90.0)
    DAYS = tuple(date(2026, 11, 18) + timedelta(days=number) for number in range(6))

    def test_a_bar_is_cut_and_the_others_keep_their_height(self) -> None:
        series = [Series(name="a", colour=RED, values=self.VALUES)]

        cut = stacked_bars(self.DAYS, series, number=formatting.count, limit=axis_limit(self.VALUES))

        assert "90" in texts(cut)
        assert max(int(text) for text in texts(cut) if text.isdigit() and text != "90") <= 6
        heights = [height(points) for points in shapes(cut, f"fill: {RED}")]
        usual = stacked_bars(self.DAYS[:5], [Series(name="a", colour=RED, values=self.VALUES[:5])], number=str)
        tallest = max(height(points) for points in shapes(usual, f"fill: {RED}"))
        assert max(heights[:5]) > 0.8 * tallest
        assert heights[5] > max(heights[:5])

    def test_a_spread_is_cut(self) -> None:
        found = [
            Spread(at=at, p50=most / 2, p90=most / 1.5, most=most)
            for at, most in zip(self.DAYS, self.VALUES, strict=True)
        ]

        cut = spreads(self.DAYS, found, number=formatting.duration, limit=axis_limit(self.VALUES))

        assert "3 d 18 h" in texts(cut)
        assert "6 h" not in texts(cut)

    def test_areas_are_cut_and_neighbours_share_a_label(self) -> None:
        values = [5.0] * 30 + [60, 70, 65] + [5.0] * 30
        hours = [NOON + timedelta(hours=hour) for hour in range(len(values))]

        cut = stacked_areas(
            hours, [Series(name="a", colour=RED, values=values)], number=formatting.count, limit=axis_limit(values)
        )

        assert [text for text in texts(cut) if "70" in text] == ["up to 70"]

    def test_without_a_limit_nothing_is_cut(self) -> None:
        svg = stacked_bars(self.DAYS, [Series(name="a", colour=RED, values=self.VALUES)], number=formatting.count)

        assert "up to" not in svg
        assert "80" in texts(svg)


class TestGaps:
    """Times without observations are hatched, so that they do not look like times without jobs."""

    HOURS = tuple(NOON + timedelta(hours=hour) for hour in range(101))

    def test_areas_are_hidden_in_a_gap_and_only_there(self) -> None:
        series = [Series(name="a", colour=RED, values=[10.0] * 101)]

        svg = stacked_areas(self.HOURS, series, number=str, gaps=[(self.HOURS[20], self.HOURS[60])])

        [area, *_], [gap] = columns(svg, f"fill: {RED}"), columns(svg, "fill: url(#")
        width = max(area) - min(area)
        assert [(min(gap) - min(area)) / width, (max(gap) - min(area)) / width] == pytest.approx([0.2, 0.6])
        assert svg.index("fill: url(#") > svg.index(f"fill: {RED}")
        assert "fill: #ffffff" in svg
        assert texts(svg).count("not observed") == 1

    def test_a_short_gap_is_hatched_without_a_label(self) -> None:
        series = [Series(name="a", colour=RED, values=[10.0] * 101)]

        svg = stacked_areas(self.HOURS, series, number=str, gaps=[(self.HOURS[20], self.HOURS[22])])

        assert len(columns(svg, "fill: url(#")) == 1
        assert "not observed" not in texts(svg)

    @pytest.mark.parametrize(("hours", "hidden"), [(24, False), (25, True)])
    def test_values_are_hidden_only_where_jobs_can_be_missing(self, hours: int, hidden: bool) -> None:
        series = [Series(name="a", colour=RED, values=[10.0] * 101)]

        svg = stacked_areas(self.HOURS, series, number=str, gaps=[(self.HOURS[20], self.HOURS[20 + hours])])

        [pattern] = re.findall("<pattern.*?</pattern>", svg, re.DOTALL)
        assert ('fill="#ffffff"' in pattern) is hidden

    @pytest.mark.parametrize("chart", ["bars", "spreads"])
    def test_days_are_hatched_from_the_first_to_the_last(self, chart: str) -> None:
        days = [date(2026, 11, 10) + timedelta(days=number) for number in range(10)]
        gaps = [(days[2], days[5])]

        if chart == "bars":
            svg = stacked_bars(days, [Series(name="a", colour=RED, values=[1.0] * 10)], number=str, gaps=gaps)
        else:
            svg = spreads(days, [Spread(at=day, p50=1, p90=2, most=3) for day in days], number=str, gaps=gaps)

        [gap] = columns(svg, "fill: url(#")
        axis = [place for points in columns(svg, "stroke: #dfe3e8") for place in points]
        width = max(axis) - min(axis)
        assert [(min(gap) - min(axis)) / width, (max(gap) - min(axis)) / width] == pytest.approx([0.2, 0.5])
        assert texts(svg).count("not observed") == 1

    def test_without_gaps_nothing_is_hatched(self) -> None:
        assert "url(#h" not in stacked_areas(self.HOURS, [Series(name="a", colour=RED, values=[1] * 101)], number=str)


@pytest.mark.parametrize("most", [-5.0, 0, 1e-9, 1, 7, 99, 101, 1e15])
def test_a_chart_can_be_drawn_with_any_value(most: float) -> None:
    bars = stacked_bars(DAYS, [Series(name="a", colour=RED, values=[most, 0, 0])], number=str)
    boxes = spreads(DAYS, [Spread(at=DAYS[0], p50=most / 4, p90=most / 2, most=most)], number=str)
    areas = stacked_areas(
        [NOON, NOON + timedelta(hours=1)], [Series(name="a", colour=RED, values=[0, most])], number=str
    )

    for svg in (bars, boxes, areas):
        assert "0.0" in texts(svg)


def test_numbers_are_formatted_for_people() -> None:
    assert [formatting.size(size) for size in (None, 0, 1023, 1536, 5 * 2**30)] == [
        "",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5 GiB",
    ]
    assert [formatting.duration(hours) for hours in (None, 0, 0.5, 1, 1.75, 47.5, 50, -0.25)] == [
        "", "0 min", "30 min", "1 h", "1 h 45 min", "47 h 30 min", "2 d 2 h", "-15 min",
    ]  # fmt: skip
    assert [formatting.share(part) for part in (0, 0.005, 0.29, 0.99999, 1)] == ["0 %", "0 %", "29 %", "99 %", "100 %"]
    assert [formatting.counted(number, "job") for number in (0, 1, 1234)] == ["0 jobs", "1 job", "1,234 jobs"]
