"""The application that Airflow's API server mounts."""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI, HTTPException

from glacier_jobs.page import api, static_files
from glacier_jobs.page.security import SIGNED_IN_AND_PERMITTED, GuardingHeaders


@cache
def application() -> FastAPI:
    """Return the one application of this process."""
    app = FastAPI(
        title="Glacier jobs",
        dependencies=SIGNED_IN_AND_PERMITTED,
        # FastAPI serves these without authentication.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(GuardingHeaders)
    app.include_router(api.router)
    app.include_router(static_files.router)
    # So that unknown paths, too, require sign-in and permission.
    app.add_api_route("/{path:path}", _not_found, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    return app


def _not_found(path: str) -> None:
    raise HTTPException(404, "This address does not exist.")
