from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.conftest import ROOT

STATIC = ROOT / "plugins" / "glacier_jobs" / "page" / "static"
SOURCES = ROOT / "include" / "page_frontend"

#: What a browser loads for the page, in kB of 1,000 bytes; include/docs/page.md gives the exact sizes.
MAX_KB = 160
MAX_KB_COMPRESSED = 60


def test_a_name_of_no_included_file_is_not_found(viewer: TestClient) -> None:
    for name in ("..%2f__init__.py", "%2e%2e%2fapp.py", "page.js%00", "%2fetc%2fpasswd"):
        assert viewer.get(f"static/{name}").status_code == 404


def test_the_files_have_media_types_that_a_browser_accepts(viewer: TestClient) -> None:
    types = {
        name: viewer.get(name).headers["Content-Type"].partition(";")[0]
        for name in ("", "static/page.js", "static/page.css", "static/icon.svg", "static/LICENSES.txt")
    }

    assert list(types.values()) == ["text/html", "text/javascript", "text/css", "image/svg+xml", "text/plain"]


def test_a_file_that_did_not_change_is_not_sent_again(viewer: TestClient) -> None:
    first = viewer.get("static/page.js")

    again = viewer.get("static/page.js", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_the_page_is_small() -> None:
    loaded = [file.read_bytes() for file in STATIC.iterdir() if file.name != "LICENSES.txt"]

    assert sum(map(len, loaded)) < MAX_KB * 1000
    assert sum(len(gzip.compress(body)) for body in loaded) < MAX_KB_COMPRESSED * 1000


@pytest.mark.parametrize("file", sorted(STATIC.iterdir()), ids=lambda file: file.name)
def test_no_file_names_another_server(file: Path) -> None:
    # XML's namespaces look like addresses, and are never requested.
    namespaces = re.compile(r"https?://www\.w3\.org/[\w/]+")

    if file.name != "LICENSES.txt":
        assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}", namespaces.sub("", file.read_text()))


def test_the_page_loads_its_files_by_relative_links() -> None:
    links = re.findall(r'(?:src|href)="([^"]*)"', (STATIC / "index.html").read_text())

    assert links
    assert not [link for link in links if link.startswith("/") or ":" in link]


def test_no_script_of_the_page_touches_a_token() -> None:
    tables = "".join(file.read_text() for file in (SOURCES / "src").glob("*.ts*"))

    assert not re.search(r"document\.cookie|Authorization|_token|access_token|jwt", tables, re.IGNORECASE)
    assert not re.search(
        r"innerHTML|dangerouslySetInnerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", tables
    )


def test_the_lock_file_fixes_every_package_and_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert all("integrity" in package for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def test_the_licenses_of_all_bundled_packages_are_included() -> None:
    shipped = (STATIC / "LICENSES.txt").read_text()
    manifest = json.loads((SOURCES / "package.json").read_text())

    for name in manifest["dependencies"]:
        assert re.search(rf"^{re.escape(name)} \d", shipped, re.MULTILINE)
