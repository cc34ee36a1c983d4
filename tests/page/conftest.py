"""The page without a running Airflow: its application, asked by somebody whom Airflow's own auth manager knows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeAlias

import pytest

with warnings.catch_warnings():
    # Airflow's own import of it, by way of svcs, warns of the HTTP client that it brings along.
    warnings.simplefilter("ignore")
    import starlette.testclient  # noqa: F401 - for the imports below

from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.testclient import TestClient

from glacier_jobs.compat import HAS_EXTERNAL_VIEWS
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.page import service
from glacier_jobs.page.app import application
from glacier_jobs.page.service import PageService
from tests.observations import local_dataset

#: Airflow 3.0 has no pages of plugins; ``tests/test_plugin.py`` covers that.
collect_ignore_glob = [] if HAS_EXTERNAL_VIEWS else ["test_*.py"]

Ask: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="session")
def airflow() -> FastAPI:
    """An application that mounts the page as Airflow's does, with Airflow's simple auth manager."""
    create_auth_manager()
    around = FastAPI()
    around.mount("/glacier_jobs", application())
    return around


@pytest.fixture
def signed_out(airflow: FastAPI) -> TestClient:
    """Somebody without any credentials."""
    return TestClient(airflow, base_url="http://127.0.0.1/glacier_jobs")


@pytest.fixture
def signed_in_as(airflow: FastAPI) -> Iterator[Callable[[str | None], TestClient]]:
    """Sign in as a user with a role of the simple auth manager, or with none."""
    overrides = application().dependency_overrides

    def sign_in(role: str | None) -> TestClient:
        overrides[get_user] = lambda: SimpleAuthManagerUser(username="somebody", role=role)
        return TestClient(airflow, base_url="http://127.0.0.1/glacier_jobs")

    yield sign_in
    overrides.pop(get_user, None)


@pytest.fixture
def viewer(signed_in_as: Callable[[str | None], TestClient]) -> TestClient:
    """Somebody who may look, and no more."""
    return signed_in_as("VIEWER")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """An empty dataset, which the Airflow Variable names."""
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", tmp_path.as_uri())
    monkeypatch.setattr(service, "SERVICE", PageService())
    return local_dataset(tmp_path)


@pytest.fixture
def ask(viewer: TestClient) -> Ask:
    """Ask the page's API, which must answer with success, and return the JSON of its answer."""

    def asked(path: str, **params: Any) -> Any:
        answer = viewer.get(f"api/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return asked


#: The present, to the second: the page has no other.
NOW = datetime.now(timezone.utc).replace(microsecond=0)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)
