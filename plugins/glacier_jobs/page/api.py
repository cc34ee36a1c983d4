"""The routes of the page's data, in JSON or as files."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from glacier_jobs.page.selection import FileFormat, PageOfSelection, Selection
from glacier_jobs.page.workers import answered

router = APIRouter(prefix="/api")

_ArnOrId = Annotated[str, Query(max_length=1024)]


@router.get("/overview")
async def overview() -> JSONResponse:
    """Return what needs attention."""
    return JSONResponse(await answered(lambda service: service.overview()))


@router.get("/watch")
async def watch() -> JSONResponse:
    """Return the vaults and hours that were not listed."""
    return JSONResponse(await answered(lambda service: service.watch()))


@router.get("/pictures")
async def pictures() -> JSONResponse:
    """Return the data of the charts."""
    return JSONResponse(await answered(lambda service: service.pictures(), lane="long"))


@router.get("/jobs")
async def jobs(selection: Annotated[PageOfSelection, Query()]) -> JSONResponse:
    """Return one page of the jobs that match."""
    return JSONResponse(await answered(lambda service: service.jobs(selection)))


@router.get("/jobs.{file_format}")
async def download(file_format: FileFormat, selection: Annotated[Selection, Query()]) -> FileResponse:
    """Return all jobs that match, as a file."""
    path, name = await answered(lambda service: service.write_jobs(selection, file_format), lane="long")
    return FileResponse(path, filename=name, background=BackgroundTask(path.unlink, missing_ok=True))


@router.get("/job")
async def job(vault_arn: _ArnOrId, job_id: _ArnOrId, created_at: datetime | None = None) -> JSONResponse:
    """Return everything that is known about one job."""
    if created_at is not None and created_at.tzinfo is None:
        raise HTTPException(422, "created_at has no time zone")
    return JSONResponse(await answered(lambda service: service.job(vault_arn, job_id, created_at), lane="long"))
