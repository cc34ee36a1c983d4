from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.page.app import application
from tests.hand_written import job, observe
from tests.page.conftest import ago

ROUTES = [
    "",
    "static/page.js",
    "static/page.css",
    "static/icon.svg",
    "static/nothing.js",
    "api/overview",
    "api/watch",
    "api/pictures",
    "api/jobs",
    "api/jobs.csv",
    "api/jobs.parquet",
    "api/job?vault_arn=a&job_id=b",
    "api/job",
    "docs",
    "docs/oauth2-redirect",
    "redoc",
    "openapi.json",
    "nothing/here",
]


@pytest.mark.parametrize("route", ROUTES)
def test_without_sign_in_every_route_returns_401(signed_out: TestClient, route: str) -> None:
    assert signed_out.get(route).status_code == 401


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_role_every_route_returns_403(signed_in_as: Callable[[str | None], TestClient], route: str) -> None:
    assert signed_in_as(None).get(route).status_code == 403


def test_the_list_of_routes_is_complete() -> None:
    paths = {getattr(route, "path", "") for route in application().routes}

    listed = {f"/{route.partition('?')[0]}" for route in ROUTES}
    for path in paths - {"/{path:path}"}:
        prefix = path.partition("{")[0]
        assert any(route.startswith(prefix) for route in listed), path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_without_sign_in_no_method_is_answered(signed_out: TestClient, method: str) -> None:
    assert signed_out.request(method, "api/nothing").status_code == 401


def test_a_viewer_sees_the_page_and_no_api_documentation(viewer: TestClient, dataset: Dataset) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})

    assert viewer.get("").status_code == 200
    assert viewer.get("static/page.js").status_code == 200
    assert viewer.get("api/overview").status_code == 200
    assert viewer.get("docs").status_code == 404
    assert viewer.get("openapi.json").status_code == 404


@pytest.mark.parametrize("route", ["", "static/page.js", "api/overview", "nothing"])
def test_the_headers_of_every_answer_forbid_foreign_content(viewer: TestClient, dataset: Dataset, route: str) -> None:
    headers = viewer.get(route).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] in ("no-store", "private, no-cache")


def test_a_refusal_has_the_same_headers(signed_out: TestClient) -> None:
    assert "default-src 'none'" in signed_out.get("").headers["Content-Security-Policy"]
