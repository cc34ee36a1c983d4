"""Lists many vaults in parallel threads, and writes their rows in the calling thread."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.glacier.deadlines import Cancellation, Cancelled
from glacier_jobs.snapshot.listing import Listing, Rows, VaultLister
from glacier_jobs.snapshot.vaults import Vault

_PROGRESS_SECONDS = 15.0

#: How long threads may take to end once they are cancelled. Only a thread that waits for a name server, a connection or
#: botocore's next attempt takes longer.
_LEAVE_SECONDS = 5.0

_Arrival: TypeAlias = Rows | Listing | Exception

log = logging.getLogger(__name__)


def list_concurrently(lister: VaultLister, vaults: Sequence[Vault], writer: ObservationWriter) -> list[Listing]:
    """List all vaults in threads, and write their rows as they arrive, in this thread.

    If this thread fails or is interrupted, for example by Airflow's ``execution_timeout``, the requests are ended, and
    the error is raised within :data:`_LEAVE_SECONDS`.

    :return: the listings, sorted by the names of the vaults.
    """
    max_requests = lister.hook.max_requests
    # Bounded, so that memory does not grow if the disk is slower than the network.
    arrivals: queue.Queue[_Arrival] = queue.Queue(max_requests)
    cancellation = Cancellation()
    waiting = deque(vaults)

    def put(arrival: _Arrival) -> None:
        while not cancellation.is_requested:
            try:
                return arrivals.put(arrival, timeout=1.0)
            except queue.Full:
                continue
        raise Cancelled

    def work() -> None:
        with cancellation.applied(), contextlib.suppress(Cancelled):
            while (vault := _next_vault(waiting)) is not None:
                try:
                    put(lister.list(vault, put))
                except Cancelled:
                    raise
                except Exception as error:
                    put(error)

    # Daemons: Python's exit waits for the threads of an executor, for example for one that waits for a name server.
    threads = [
        threading.Thread(target=work, name=f"list-jobs-{number}", daemon=True)
        for number in range(min(max_requests, len(vaults)))
    ]
    progress = _Progress(len(vaults))
    listings: list[Listing] = []
    try:
        for thread in threads:
            thread.start()
        while len(listings) < len(vaults):
            arrival = _next_arrival(arrivals, progress)
            if isinstance(arrival, Exception):
                raise arrival
            if isinstance(arrival, Listing):
                listings.append(arrival)
                progress.vaults += 1
            else:
                writer.write_jobs(arrival.batch)
                progress.pages += arrival.pages
                progress.jobs += arrival.batch.num_rows
            progress.log_periodically()
    finally:
        cancellation.cancel()
        _leave(threads)
    progress.log()
    return sorted(listings, key=lambda listing: listing.vault.name)


def _next_vault(waiting: deque[Vault]) -> Vault | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _leave(threads: Sequence[threading.Thread]) -> None:
    until = time.monotonic() + _LEAVE_SECONDS
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, until - time.monotonic()))
    if left := sum(thread.is_alive() for thread in threads):
        log.warning("%d requests did not end within %.0f s. Their results are ignored", left, _LEAVE_SECONDS)


def _next_arrival(arrivals: queue.Queue[_Arrival], progress: _Progress) -> _Arrival:
    while True:
        try:
            return arrivals.get(timeout=_PROGRESS_SECONDS)
        except queue.Empty:
            progress.log_periodically()


class _Progress:
    """The progress of the listing, for the task's log."""

    def __init__(self, all_vaults: int) -> None:
        self.vaults = self.jobs = self.pages = 0
        self._all_vaults = all_vaults
        self._began = self._logged_at = time.monotonic()

    def log_periodically(self) -> None:
        if time.monotonic() - self._logged_at >= _PROGRESS_SECONDS:
            self.log()

    def log(self) -> None:
        self._logged_at = time.monotonic()
        seconds = self._logged_at - self._began
        log.info(
            "Listed %d of %d vaults: %d jobs in %d pages, %.0f jobs a second",
            self.vaults,
            self._all_vaults,
            self.jobs,
            self.pages,
            self.jobs / seconds if seconds else 0,
        )
