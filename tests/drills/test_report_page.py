"""The report in a real browser: its content, its requests, and its layout."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.html_report.build import make_report
from tests.drills.conftest import BROWSER_MILLISECONDS, Tab
from tests.drills.table import RecordDrill
from tests.observations import local_dataset
from tests.two_weeks import publish_two_weeks

pytestmark = pytest.mark.drill

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=timezone.utc)
HOSTILE = "<script>alert('x')</script> <img src=http://203.0.113.9/x.png onerror=alert(1)> '; drop table jobs; --"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a dataset with every kind of content, and of an empty dataset."""
    pages = {}
    for name in ("full", "empty"):
        dataset = local_dataset(tmp_path_factory.mktemp(name))
        if name == "full":
            publish_two_weeks(dataset, NOW, hostile=HOSTILE)
            fold_closed_days(dataset, History.beside(dataset), now=NOW)
        make_report(dataset, f"s3://records/{name}/{'long' * 20}", now=NOW)
        pages[name] = Path(dataset.root, "reports", "latest.html")
    return pages


class ReportTab(Tab):
    """A browser tab for reports."""

    def open(self, report: Path) -> Any:
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state("networkidle")
        return self.page


@pytest.fixture(params=[(1200, "screen"), (400, "screen"), (760, "print")], ids=["wide", "narrow", "printed"])
def reader(request: pytest.FixtureRequest, browser: Any) -> Iterator[ReportTab]:
    width, medium = request.param
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(BROWSER_MILLISECONDS)
    page.emulate_media(media=medium, color_scheme="light")
    yield ReportTab(page=page)
    page.close()


@pytest.mark.parametrize("name", ["full", "empty"])
def test_the_page_requests_no_other_file_and_logs_no_error(
    reader: ReportTab, reports: dict[str, Path], name: str, record_drill: RecordDrill
) -> None:
    reader.open(reports[name])

    assert reader.problems == []
    assert [url for url in reader.requests if not url.startswith("data:")] == [reports[name].as_uri()]
    record_drill("the report in a browser: wide, narrow and printed", "requests no other file, logs no error")


def test_what_needs_attention_comes_before_the_charts(
    reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill
) -> None:
    page = reader.open(reports["full"])

    headings = page.locator("h2").all_inner_texts()
    assert headings == [
        "Accounts and Regions",
        "Outputs to download",
        "Failed within 24 hours",
        "Slower than typical",
        "Vaults that are not listed",
        "Gaps in the record",
        "Vaults",
        "Progress by wave",
        "Expired outputs",
        "Retrieval times by account and Region",
        "Jobs over time",
        "Retrieval times by tier",
        "Volume by vault",
    ]
    pictures = page.locator("img.picture").all()
    assert len(pictures) >= 5
    assert all(picture.evaluate("image => image.naturalWidth > 0") for picture in pictures)
    sizes = [picture.bounding_box() for picture in pictures]
    assert all(size["width"] > 200 and size["height"] > 80 for size in sizes)
    record_drill("the report with every kind of content", "what needs attention comes before the charts")


def test_hostile_text_is_shown_as_text(reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill) -> None:
    page = reader.open(reports["full"])

    assert page.locator("#failed td", has_text="alert('x')").inner_text() == HOSTILE
    assert page.evaluate("document.scripts.length") == 0
    assert page.locator("img:not(.picture)").count() == 0
    record_drill("hostile text in the report", "shown as text; no script and no image")


def test_nothing_is_wider_than_the_window(
    reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill
) -> None:
    page = reader.open(reports["full"])

    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if reader.page.viewport_size["width"] == 400:
        scrolling = (
            "elements => elements.filter(each => each.scrollWidth > each.clientWidth).map(each => each.className)"
        )
        assert page.locator("section, .drawing, .scroll").evaluate_all(scrolling) == []
    record_drill("the report: wide, narrow and printed", "nothing is wider than the window, nothing scrolls sideways")


def test_no_text_of_a_chart_is_cut_off_or_overlaps(
    reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill
) -> None:
    page = reader.open(reports["full"])
    charts = [image.evaluate("image => image.currentSrc").partition(",")[2] for image in page.locator(".picture").all()]
    assert charts

    for chart in charts:
        page.set_content(base64.b64decode(chart).decode())
        assert page.locator("svg text").count() >= 4
        outside = page.evaluate(
            """() => [...document.querySelectorAll('svg text')].filter(text => {
                const box = text.getBoundingClientRect(), frame = text.ownerSVGElement.getBoundingClientRect();
                return box.left < frame.left || box.top < frame.top
                    || box.right > frame.right || box.bottom > frame.bottom;
            }).map(text => text.textContent)"""
        )
        assert outside == []
        overlapping = page.evaluate(
            """() => {
                const boxes = [...document.querySelectorAll('svg text')].map(text => text.getBoundingClientRect());
                return boxes.filter((a, i) => boxes.some((b, j) => j > i && a.left < b.right && b.left < a.right
                    && a.top < b.bottom && b.top < a.bottom)).length;
            }"""
        )
        assert overlapping == 0
    record_drill("the report's charts: wide, narrow and printed", "no text is cut off or overlaps")


def test_an_empty_dataset_says_what_to_do(
    reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill
) -> None:
    page = reader.open(reports["empty"])

    assert page.locator("h2").all_inner_texts() == ["No observation yet"]
    assert "glacier_jobs_snapshot" in page.locator(".note").inner_text()
    record_drill("the report of an empty dataset", "it says what to do")


def test_a_tile_links_to_what_it_counts(reader: ReportTab, reports: dict[str, Path], record_drill: RecordDrill) -> None:
    page = reader.open(reports["full"])

    anchors = page.locator(".tile a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert anchors
    assert all(page.locator(anchor).count() == 1 for anchor in anchors)
    record_drill("the report's tiles", "each links to what it counts")
