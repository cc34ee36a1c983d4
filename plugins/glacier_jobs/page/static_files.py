"""Serves the built files of the page, which the package includes; their sources are in ``include/page_frontend``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

router = APIRouter()


@dataclass(frozen=True, kw_only=True)
class _File:
    body: bytes
    media_type: str
    etag: str


@cache
def _included_files() -> dict[str, _File]:
    """Return file name -> file. Only these files are served; the file system is not searched for other names."""
    found = {}
    for resource in files("glacier_jobs.page").joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get("." + resource.name.rpartition(".")[2])
        if media_type is not None:
            body = resource.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            found[resource.name] = _File(body=body, media_type=media_type, etag=etag)
    return found


def _answer(name: str, request: Request) -> Response:
    file = _included_files().get(name)
    if file is None:
        raise HTTPException(404, "This file does not exist.")
    # Revalidated for each request, so that an upgrade is visible immediately; and not cached for other users.
    headers = {"ETag": file.etag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    if request.headers.get("If-None-Match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.get("/")
def index(request: Request) -> Response:
    """Return the page itself."""
    return _answer("index.html", request)


@router.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    """Return one of the files that the page loads."""
    return _answer(name, request)
