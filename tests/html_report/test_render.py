from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.html_report.build import make_report
from tests.hand_written import job, observe
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"; drop table jobs; -- {{ 7 * 7 }}"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path)


def page_of(dataset: Dataset, now: datetime = NOON, uri: str = "s3://records") -> str:
    make_report(dataset, uri, now=now)
    return Path(dataset.root, "reports", "latest.html").read_text()


class Elements(HTMLParser):
    """Collects the elements of a page as (tag, attributes), and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_no_element_of_the_page_refers_to_another_url(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})

    for tag, attributes in Elements(page_of(dataset)).found:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "action"}:
                assert value is not None
                assert value.startswith(("#", "data:"))
    assert not re.search(r"@import|url\(", page_of(dataset))


def test_hostile_text_is_shown_as_text(dataset: Dataset) -> None:
    fields: dict[str, Any] = {"JobDescription": HOSTILE, "StatusMessage": HOSTILE, "Tier": HOSTILE, "Action": HOSTILE}
    jobs = [
        job(f"{HOSTILE} 1", "Failed", created=NOON - timedelta(hours=1), completed=NOON, **fields),
        job(f"{HOSTILE} 2", "Succeeded", created=NOON - timedelta(hours=2), completed=NOON - timedelta(hours=1),
            ArchiveSizeInBytes=5, **fields),
        job(f"{HOSTILE} 3", created=NOON - timedelta(hours=30), **fields),
    ]  # fmt: skip
    observe(dataset, NOON, {"photos": jobs})

    page = page_of(dataset, uri=f"s3://{HOSTILE}")

    elements = Elements(page)
    assert not [tag for tag, _ in elements.found if tag == "script"]
    images = [attributes for tag, attributes in elements.found if tag == "img"]
    assert images
    for image in images:
        assert image.keys() == {"class", "alt", "src"}
        chart = base64.b64decode((image["src"] or "").removeprefix("data:image/svg+xml;base64,"))
        assert b"script" not in chart
        ElementTree.fromstring(chart)  # noqa: S314 - our own chart
    assert elements.text.count(HOSTILE) > 8


def test_the_page_says_when_nothing_needs_attention(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", created=NOON - timedelta(hours=1))]})

    assert "Nothing needs attention." in page_of(dataset)


def test_the_report_is_made_despite_a_negative_size_or_duration(dataset: Dataset) -> None:
    negative = {"CompletionDate": "2026-11-18T09:00:00.000Z", "StatusCode": "Succeeded", "ArchiveSizeInBytes": -740591}
    observe(dataset, NOON, {"photos": [{**job("a", created=NOON - timedelta(hours=1)), **negative}]})

    assert "Volume by vault" in page_of(dataset)


def test_the_page_says_that_snapshots_have_stopped(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", created=NOON - timedelta(hours=1))]})

    page = page_of(dataset, NOON + timedelta(hours=10))

    assert "Snapshots have stopped" in page
    assert "Nothing needs attention." not in page


def test_a_gap_that_many_vaults_share_is_one_gap(dataset: Dataset) -> None:
    for hours in (0, 30):
        observe(dataset, NOON + timedelta(hours=hours), {f"vault-{number:02}": [] for number in range(14)})

    page = page_of(dataset, NOON + timedelta(hours=30.1))

    assert "<strong>1</strong>gap in the record" in page
    assert "vault-09, and 4 more" in page


def test_a_long_table_says_how_many_rows_it_leaves_out(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job(f"{number:03}", "Failed", completed=NOON) for number in range(230)]})

    page = page_of(dataset)

    assert "<summary>190 more</summary>" in page
    assert "and 30 more, in <code>latest_jobs.parquet</code>" in page


def test_the_first_rows_are_the_outputs_that_can_still_be_downloaded(dataset: Dataset) -> None:
    overdue = [job(f"{number:03}", "Succeeded", completed=NOON - timedelta(hours=25)) for number in range(230)]
    observe(dataset, NOON, {"photos": [*overdue, job("saveable", "Succeeded", completed=NOON - timedelta(hours=2))]})

    page = page_of(dataset)

    assert re.findall(r'<td data-label="left"><span class="badge \w+">(.+?)</span>', page)[:2] == ["22 h", "overdue"]
    assert "and 31 more, in <code>expiring_outputs.parquet</code>" in page


@pytest.mark.parametrize("outlier", [True, False])
def test_a_chart_with_an_outlier_says_that_it_is_cut(dataset: Dataset, outlier: bool) -> None:
    for days in range(7, 0, -1):
        size = 10**12 if outlier and days == 4 else 10**9
        completed = NOON - timedelta(days=days)
        done = job(f"{days}", "Succeeded", created=completed - timedelta(hours=4), completed=completed)
        observe(dataset, completed + timedelta(hours=1), {"photos": [{**done, "ArchiveSizeInBytes": size}]})

    page = page_of(dataset)

    charts = [base64.b64decode(found).decode() for found in re.findall(r"svg\+xml;base64,([^\"]+)", page)]
    assert len(charts) == 5  # two of them also for a narrow window
    assert ("A triangle marks a value beyond the end of the axis." in page) == outlier
    assert any("931 GiB" in chart for chart in charts) == outlier


def test_the_page_shows_waves_expired_outputs_and_times_by_region(dataset: Dataset) -> None:
    completed = NOON - timedelta(hours=30)
    described = {"JobDescription": "<b>move</b>, wave 7: file 12", "ArchiveSizeInBytes": 2**30, "Tier": "Bulk"}
    done = job("done", "Succeeded", created=completed - timedelta(hours=2), completed=completed, **described)
    broken = job("broken", "Failed", created=completed - timedelta(hours=2), completed=completed, **described)
    observe(dataset, completed, {"photos": [done, broken, job("a", created=completed)]})
    observe(dataset, NOON, {"photos": [job("a", created=completed)]})

    def cells(section: str) -> list[str]:
        found = page_of(dataset).partition(f'<section id="{section}"')[2].partition("</section>")[0]
        return [re.sub("<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", found, re.DOTALL)]

    escaped = "&lt;b&gt;move&lt;/b&gt;, wave 7"
    assert cells("waves") == [
        escaped, "2026-11-17 04:00", "2", "1 (50 %)", "0", "1", "0", "2 GiB",
        "no wave", "2026-11-17 06:00", "1", "0 (0 %)", "1", "0", "0", "0 B",
    ]  # fmt: skip
    assert cells("expired") == [
        "2026-11-18 06:00", "photos us-east-1", f"{escaped}: file 12", "Bulk", "1 GiB", "done",
    ]  # fmt: skip
    assert cells("times") == ["123456789012", "us-east-1", "Bulk", "archives", "1", *["2 h"] * 4]


class TestTimesWithoutObservations:
    """Charts show when nobody looked."""

    def page(self, dataset: Dataset, missed_days: int) -> str:
        """Return the report on a week in which a job completed each day, with an outage that ended a day ago."""
        outage = (NOON - timedelta(days=1 + missed_days), NOON - timedelta(days=1))
        for hours in range(7 * 24, -1, -1):
            at = NOON - timedelta(hours=hours)
            ended = at.replace(hour=2)
            done = job(f"{at:%d}", "Succeeded", created=ended - timedelta(hours=1), completed=ended,
                       ArchiveSizeInBytes=10**9)  # fmt: skip
            if not outage[0] < at < outage[1]:
                observe(dataset, at, {"photos": [done] if at > ended else [], "films": []})
        return page_of(dataset)

    def charts(self, page: str) -> list[str]:
        found = re.findall(r"svg\+xml;base64,([^\"]+)", page)
        return [base64.b64decode(chart).decode() for chart in found]

    def test_an_outage_is_hatched_and_named_in_each_chart(self, dataset: Dataset) -> None:
        page = self.page(dataset, missed_days=3)

        charts = self.charts(page)
        assert len(charts) == 5  # two of them also for a narrow window
        assert all(">not observed<" in chart and "url(#h" in chart for chart in charts)
        assert page.count('<li class="hatched">not observed</li>') == 3
        assert page.count("Hatched: no vault was listed for more than 3 h.") == 3
        # The chart of jobs by hour begins a week before the first observation.
        assert "not observed for 9 d 23 h" in page

    def test_an_outage_that_ends_within_three_hours_is_none(self, dataset: Dataset) -> None:
        for hours in range(14 * 24, -1, -3):
            at = NOON - timedelta(hours=hours)
            observe(dataset, at, {"photos": [job("a", created=NOON - timedelta(days=20))]})

        page = page_of(dataset)

        assert len(self.charts(page)) == 2
        assert "not observed" not in page.replace("Regions not observed", "")
        assert all("not observed" not in chart for chart in self.charts(page))
