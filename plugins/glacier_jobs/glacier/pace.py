"""Limits how many requests a client makes in a second."""

from __future__ import annotations

import threading
import time

from glacier_jobs.glacier.deadlines import pause


class _Waited(threading.local):
    seconds = 0.0


class Pace:
    """Lets the threads of a client take turns, so that each second has at most so many requests, evenly spread."""

    def __init__(self, requests_per_second: float) -> None:
        self._interval = 1.0 / requests_per_second
        self._next_at = 0.0
        self._lock = threading.Lock()
        self._waited = _Waited()

    @property
    def waited_seconds(self) -> float:
        """How long this thread has waited for its turns so far."""
        return self._waited.seconds

    def wait(self) -> None:
        """Wait until the next request may be made.

        :raises Cancelled: the cancellation that applies to this thread was requested.
        """
        with self._lock:
            at = max(self._next_at, time.monotonic())
            self._next_at = at + self._interval
        if (seconds := at - time.monotonic()) > 0:
            pause(seconds)
            self._waited.seconds += seconds
