from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from xml.etree import ElementTree

import pytest

from glacier_jobs import wording
from glacier_jobs.charts import Series, Spread, spreads, stacked_areas, stacked_bars

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
DAYS = [date(2026, 11, 18) + timedelta(days=number) for number in range(3)]
HOSTILE = '</title><script>alert(1)</script>" onload="alert(2)'
SVG = "{http://www.w3.org/2000/svg}"


def parsed(markup: str) -> ElementTree.Element:
    plain = markup.encode().decode()
    return ElementTree.fromstring(plain.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314


def ticks(markup: str) -> list[str]:
    return [text.text or "" for text in parsed(markup).iter(f"{SVG}text")]


def test_areas_lie_on_top_of_one_another_up_to_the_sum() -> None:
    drawn = stacked_areas(
        "jobs",
        [NOON + timedelta(hours=hour) for hour in range(3)],
        [Series(name="a", style="s1", values=[0, 10, 20]), Series(name="b", style="s2", values=[0, 40, 80])],
        number=wording.count,
    )

    lower, upper = [area.get("points", "").split() for area in parsed(drawn).iter(f"{SVG}polygon")]
    assert upper[3:] == lower[2::-1]
    assert upper[2].split(",")[1] == "14.0", "a hundred is the top of the axis"
    assert [tick for tick in ticks(drawn) if "Nov" not in tick] == ["0", "25", "50", "75", "100"]


def test_bars_are_as_high_as_their_values_and_tell_them() -> None:
    drawn = stacked_bars(
        "volume", DAYS, [Series(name="photos", style="s1", values=[4096, 0, 2048])], number=wording.size, unit=1024
    )

    first, second = list(parsed(drawn).iter(f"{SVG}rect"))
    assert float(first.get("height", "")) == pytest.approx(2 * float(second.get("height", "")), abs=0.2)
    assert [rect.findtext(f"{SVG}title") for rect in (first, second)] == [
        "photos, 2026-11-18: 4 KiB",
        "photos, 2026-11-20: 2 KiB",
    ]
    assert ticks(drawn)[:5] == ["0 B", "1 KiB", "2 KiB", "3 KiB", "4 KiB"]


def test_a_spread_reaches_from_the_median_to_the_longest() -> None:
    drawn = spreads(
        "times", DAYS, [Spread(at=DAYS[1], p50=2, p90=3, most=4, title="half within 2 h")], number=wording.duration
    )

    root = parsed(drawn)
    (group,) = root.iter(f"{SVG}g")
    whisker, median = group.findall(f"{SVG}line")
    box = group.find(f"{SVG}rect")
    assert box is not None
    assert group.findtext(f"{SVG}title") == "half within 2 h"
    assert whisker.get("y1") == "14.0"
    assert whisker.get("y2") == median.get("y1")
    assert float(box.get("y", "")) + float(box.get("height", "")) == pytest.approx(float(median.get("y1", "")), abs=0.2)


def test_hostile_names_stay_text() -> None:
    for drawn in (
        stacked_bars(HOSTILE, DAYS, [Series(name=HOSTILE, style=HOSTILE, values=[1, 2, 3])], number=str),
        spreads(HOSTILE, DAYS, [Spread(at=DAYS[0], p50=1, p90=1, most=1, title=HOSTILE)], number=str),
        stacked_areas(HOSTILE, [NOON, NOON], [Series(name=HOSTILE, style="s1", values=[1, 2])], number=str),
    ):
        root = parsed(drawn)
        assert not list(root.iter(f"{SVG}script"))
        assert root.get("aria-label") == HOSTILE
        assert not any("onload" in name for element in root.iter() for name in element.attrib)


@pytest.mark.parametrize("most", [0, 1e-9, 1, 7, 99, 101, 1e15])
def test_any_value_has_a_place_on_the_picture(most: float) -> None:
    drawn = stacked_bars("any", DAYS, [Series(name="a", style="s1", values=[most, 0, 0])], number=str)

    heights = [float(rect.get("height", "")) for rect in parsed(drawn).iter(f"{SVG}rect")]
    assert all(0 < height <= 203 for height in heights)


def test_numbers_are_written_as_people_read_them() -> None:
    assert [wording.size(size) for size in (None, 0, 1023, 1536, 5 * 2**30)] == [
        "",
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5 GiB",
    ]
    assert [wording.duration(hours) for hours in (None, 0, 0.5, 1, 1.75, 47.5, 50, -0.25)] == [
        "", "0 min", "30 min", "1 h", "1 h 45 min", "47 h 30 min", "2 d 2 h", "-15 min",
    ]  # fmt: skip
    assert [wording.counted(number, "job") for number in (0, 1, 1234)] == ["0 jobs", "1 job", "1,234 jobs"]
