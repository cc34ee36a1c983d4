"""The threads that compute the page's answers: few, outside of the event loop, and with a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from fastapi import HTTPException

from glacier_jobs.errors import FinalError, InvalidArgument, JobNotFound, TransientError

if TYPE_CHECKING:
    from glacier_jobs.page.service import PageService

_T = TypeVar("_T")

#: Quick and long requests have separate threads, so that frequent requests do not wait for those that take long.
Lane: TypeAlias = Literal["quick", "long"]

#: How many requests of a lane are computed at a time. More would gain nothing: each uses all processors.
AT_A_TIME = 2

#: How many more requests of a lane may wait; further ones are refused.
WAITING = 20

#: The time limit of a computation; after it, the computation is interrupted, and the request gets an error.
SECONDS = 60.0

#: How much memory DuckDB may use for an answer before it spills to disk.
MEMORY = "512MiB"

_MAX_DETAIL_CHARACTERS = 300

_running_or_waiting: Counter[Lane] = Counter()

log = logging.getLogger(__name__)


class Unreadable(Exception):
    """The dataset could not be read, or its files could not be processed."""


@cache
def _pool(lane: Lane) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_A_TIME, thread_name_prefix=f"glacier-jobs-page-{lane}")


async def answered(compute: Callable[[PageService], _T], *, lane: Lane = "quick") -> _T:
    """Compute an answer in a thread, and return it.

    :param compute: called with the service of this process.
    :raises HTTPException: 404, 422, 502 or 503, with a message for the user of the page.
    """
    if _running_or_waiting[lane] >= AT_A_TIME + WAITING:
        raise HTTPException(503, "Too many requests at a time; try again shortly.", {"Retry-After": "5"})
    _running_or_waiting[lane] += 1
    future = asyncio.get_running_loop().run_in_executor(_pool(lane), _answer, compute)
    future.add_done_callback(partial(_done, lane))
    try:
        # A store that does not respond blocks its thread, but not the request.
        return await asyncio.wait_for(asyncio.shield(future), SECONDS + 5.0)
    except asyncio.TimeoutError as error:
        raise HTTPException(503, "The dataset does not answer in time.", {"Retry-After": "30"}) from error
    except JobNotFound as error:
        raise HTTPException(404, str(error)) from error
    except InvalidArgument as error:
        raise HTTPException(422, str(error)) from error
    except TransientError as error:
        raise HTTPException(503, str(error), {"Retry-After": "30"}) from error
    except FinalError as error:
        raise HTTPException(502, str(error)) from error
    except Unreadable as error:
        log.warning("The page Glacier jobs: %s", error, exc_info=error)
        raise HTTPException(502, f"{error} See the log of Airflow's API server for details.") from error


def _done(lane: Lane, future: asyncio.Future[Any]) -> None:
    _running_or_waiting[lane] -= 1
    if not future.cancelled():
        # Retrieved here: if the request timed out, Python would warn of an exception that was never retrieved.
        future.exception()


def _answer(compute: Callable[[PageService], _T]) -> _T:
    # Imported here, so that the imports delay the first request and not the start of every API server.
    import duckdb
    import pyarrow as pa

    from glacier_jobs.page.service import SERVICE
    from glacier_jobs.sql.engine import limits

    try:
        with limits(memory=MEMORY, seconds=SECONDS):
            return compute(SERVICE)
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        # Only the first line: the rest is a traceback, for the log.
        summary = str(error).partition("Detail:")[0].strip().partition("\n")[0]
        raise Unreadable(f"The dataset cannot be read: {summary[:_MAX_DETAIL_CHARACTERS].rstrip('. ')}.") from error
