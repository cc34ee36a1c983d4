"""The report in a real browser: what it shows, what it asks for, and whether anything runs out of its place."""

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
from tests.drills.table import Told
from tests.observations import local_dataset
from tests.report_story import tell_story

pytestmark = pytest.mark.drill

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=timezone.utc)
HOSTILE = "<script>alert('x')</script> <img src=http://203.0.113.9/x.png onerror=alert(1)> '; drop table jobs; --"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of a dataset with something of everything, of one in which all is well, and of an empty one."""
    pages = {}
    for name in ("story", "empty"):
        dataset = local_dataset(tmp_path_factory.mktemp(name))
        if name == "story":
            tell_story(dataset, NOW, hostile=HOSTILE)
            fold_closed_days(dataset, History.beside(dataset), now=NOW)
        make_report(dataset, f"s3://records/{name}", now=NOW)
        pages[name] = Path(dataset.root, "reports", "latest.html")
    return pages


class Reader(Tab):
    """A tab for reports."""

    def open(self, report: Path) -> Any:
        self.page.goto(report.as_uri())
        self.page.wait_for_load_state("networkidle")
        return self.page


@pytest.fixture(params=[(1200, "screen"), (390, "screen"), (760, "print")], ids=["wide", "narrow", "printed"])
def reader(request: pytest.FixtureRequest, browser: Any) -> Iterator[Reader]:
    width, medium = request.param
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(BROWSER_MILLISECONDS)
    page.emulate_media(media=medium, color_scheme="light")
    yield Reader(page=page)
    page.close()


@pytest.mark.parametrize("name", ["story", "empty"])
def test_the_page_needs_nothing_else_and_complains_of_nothing(
    reader: Reader, reports: dict[str, Path], name: str, told: Told
) -> None:
    reader.open(reports[name])

    assert reader.complaints == []
    assert [url for url in reader.requests if not url.startswith("data:")] == [reports[name].as_uri()]
    told("the report in a browser: wide, narrow and printed", "asks for nothing else, complains of nothing")


def test_what_needs_attention_comes_first_and_then_the_pictures(
    reader: Reader, reports: dict[str, Path], told: Told
) -> None:
    page = reader.open(reports["story"])

    headings = page.locator("h2").all_inner_texts()
    assert headings == [
        "Outputs to download",
        "Failed within 24 hours",
        "Slower than typical",
        "Vaults that are not listed",
        "Gaps in the record",
        "Vaults",
        "Jobs over time",
        "Retrieval times by tier",
        "Volume by vault",
    ]
    pictures = page.locator("img.picture").all()
    assert len(pictures) >= 5
    assert all(picture.evaluate("image => image.naturalWidth > 0") for picture in pictures)
    sizes = [picture.bounding_box() for picture in pictures]
    assert all(size["width"] > 200 and size["height"] > 80 for size in sizes)
    told("the report with something of everything", "what needs attention first, then the pictures")


def test_hostile_text_is_shown_as_text(reader: Reader, reports: dict[str, Path], told: Told) -> None:
    page = reader.open(reports["story"])

    assert page.locator("#failed td", has_text="alert('x')").inner_text() == HOSTILE
    assert page.evaluate("document.scripts.length") == 0
    assert page.locator("img:not(.picture)").count() == 0
    told("hostile text in the report", "shown as text; no script, no image")


def test_nothing_runs_out_of_its_place(reader: Reader, reports: dict[str, Path], told: Told) -> None:
    page = reader.open(reports["story"])

    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    told("the report: wide, narrow and printed", "nothing runs out")


def test_every_text_of_a_picture_can_be_read(reader: Reader, reports: dict[str, Path], told: Told) -> None:
    page = reader.open(reports["story"])
    drawings = [image.get_attribute("src").partition(",")[2] for image in page.locator("img.picture").all()]
    assert drawings

    for drawing in drawings:
        page.set_content(base64.b64decode(drawing).decode())
        assert page.locator("svg text").count() >= 4
        outside = page.evaluate(
            """() => [...document.querySelectorAll('svg text')].filter(text => {
                const box = text.getBBox(), frame = text.ownerSVGElement.viewBox.baseVal;
                return box.x < 0 || box.y < 0 || box.x + box.width > frame.width || box.y + box.height > frame.height;
            }).map(text => text.textContent)"""
        )
        assert outside == []
        overlapping = page.evaluate(
            """() => {
                const boxes = [...document.querySelectorAll('svg text')].map(text => text.getBBox());
                return boxes.filter((a, i) => boxes.some((b, j) => j > i && a.x < b.x + b.width && b.x < a.x + a.width
                    && a.y < b.y + b.height && b.y < a.y + a.height)).length;
            }"""
        )
        assert overlapping == 0
    told("the report's pictures: wide, narrow and printed", "no text runs out or overlaps")


def test_an_empty_dataset_says_what_to_do(reader: Reader, reports: dict[str, Path], told: Told) -> None:
    page = reader.open(reports["empty"])

    assert page.locator("h2").all_inner_texts() == ["No observation yet"]
    assert "glacier_jobs_snapshot" in page.locator(".note").inner_text()
    told("the report on an empty dataset", "says what to do")


def test_a_tile_leads_to_what_it_counts(reader: Reader, reports: dict[str, Path], told: Told) -> None:
    page = reader.open(reports["story"])

    anchors = page.locator(".tile a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert anchors
    assert all(page.locator(anchor).count() == 1 for anchor in anchors)
    told("the report's tiles", "each leads to what it counts")
