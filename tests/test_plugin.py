"""The plugin where Airflow has no pages of plugins; ``tests/page`` covers where it has."""

from __future__ import annotations

import pytest

import glacier_jobs_plugin


def test_no_page_is_served_where_the_ui_cannot_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its routes would be reachable, but Airflow 3.0's UI gives a page no sign-in."""
    monkeypatch.setattr(glacier_jobs_plugin, "HAS_EXTERNAL_VIEWS", False)

    assert glacier_jobs_plugin.GlacierJobsPlugin().fastapi_apps == []
