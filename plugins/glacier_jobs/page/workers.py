"""The threads in which the page's questions are answered: off the event loop, few, and not for ever."""

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

#: What is asked often shall not wait for what takes long: each goes its own way.
Lane: TypeAlias = Literal["quick", "long"]

#: So many questions of a lane are answered at a time; each takes all processors anyway.
AT_A_TIME = 2

#: So many more may wait; the next is turned away.
WAITING = 20

#: After this, a question is broken off, and whoever still waits is told so.
SECONDS = 60.0

#: What DuckDB may hold for a question before it spills to disk.
MEMORY = "512MiB"

_TOLD_CHARACTERS = 300

_under_way: Counter[Lane] = Counter()

log = logging.getLogger(__name__)


class Unreadable(Exception):
    """The dataset could not be read, or not be computed with."""


@cache
def _pool(lane: Lane) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_A_TIME, thread_name_prefix=f"glacier-jobs-page-{lane}")


async def answered(compute: Callable[[PageService], _T], *, lane: Lane = "quick") -> _T:
    """Compute an answer in a thread, and return it.

    :param compute: is called with the service of this process.

    :raises HTTPException: 404, 422, 502 or 503, with words for whoever looks at the page.
    """
    if _under_way[lane] >= AT_A_TIME + WAITING:
        raise HTTPException(503, "Too many questions at a time; try again shortly.", {"Retry-After": "5"})
    _under_way[lane] += 1
    future = asyncio.get_running_loop().run_in_executor(_pool(lane), _answer, compute)
    future.add_done_callback(partial(_one_less, lane))
    try:
        # A store that hangs keeps its thread, and nobody who asks.
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
        raise HTTPException(502, f"{error} Airflow's API server says more in its log.") from error


def _one_less(lane: Lane, future: asyncio.Future[Any]) -> None:
    _under_way[lane] -= 1
    if not future.cancelled():
        # Whoever waited is gone, and Python would warn of an error that nobody took.
        future.exception()


def _answer(compute: Callable[[PageService], _T]) -> _T:
    # Imported here and not at the top: this delays the first request, and not the start of every API server.
    import duckdb
    import pyarrow as pa

    from glacier_jobs.page.service import page_service
    from glacier_jobs.sql.engine import limits

    try:
        with limits(memory=MEMORY, seconds=SECONDS):
            return compute(page_service())
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        # The rest is a traceback, for the log.
        summary = str(error).partition("Detail:")[0].strip().partition("\n")[0]
        raise Unreadable(f"The dataset cannot be read: {summary[:_TOLD_CHARACTERS].rstrip('. ')}.") from error
