"""Registers the page "Glacier jobs" with Airflow's UI."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from glacier_jobs.compat import HAS_EXTERNAL_VIEWS

#: Where Airflow mounts the page, without slashes.
_MOUNT = "glacier_jobs"


class GlacierJobsPlugin(AirflowPlugin):
    """The page "Glacier jobs" in Airflow's navigation; nothing where plugins cannot have a page."""

    name = "glacier_jobs"
    # Without a leading slash, so that the links also work below a base path.
    external_views = [  # noqa: RUF012 - as Airflow declares it
        {
            "name": "Glacier jobs",
            "href": f"{_MOUNT}/",
            "url_route": "glacier-jobs",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{_MOUNT}/static/icon.svg",
            "icon_dark_mode": f"{_MOUNT}/static/icon-dark.svg",
        }
    ]

    # A property, so that only the API server imports the application; every task loads this class.
    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it only
        """The application behind the page."""
        if not HAS_EXTERNAL_VIEWS:
            return []
        from glacier_jobs.page.app import application

        return [{"app": application(), "url_prefix": f"/{_MOUNT}", "name": "Glacier jobs"}]
