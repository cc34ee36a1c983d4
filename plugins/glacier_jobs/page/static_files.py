"""The built files of the page, as the package ships them: ``include/page_frontend`` holds their tables."""

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
def _shipped() -> dict[str, _File]:
    """Return all files by their names; a name that is not among them is not looked for anywhere."""
    found = {}
    for resource in files("glacier_jobs.page").joinpath("static").iterdir():
        media_type = _MEDIA_TYPES.get("." + resource.name.rpartition(".")[2])
        if media_type is not None:
            body = resource.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            found[resource.name] = _File(body=body, media_type=media_type, etag=etag)
    return found


def _answer(name: str, request: Request) -> Response:
    file = _shipped().get(name)
    if file is None:
        raise HTTPException(404, "There is no such file.")
    # Asked again each time, so that an upgrade is seen at once; and not kept for whoever signs in next.
    headers = {"ETag": file.etag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
    if request.headers.get("If-None-Match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.get("/")
def index(request: Request) -> Response:
    """Answer the page itself."""
    return _answer("index.html", request)


@router.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    """Answer one of the files that the page asks for."""
    return _answer(name, request)
