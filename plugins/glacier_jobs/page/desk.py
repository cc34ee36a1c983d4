"""One reader for all who look at the page: what it read is kept until there are newer observations."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa

from glacier_jobs.dataset import Dataset
from glacier_jobs.reports import Inquiry

#: How long it is believed that nothing newer has come.
LOOKS_EVERY_SECONDS = 10.0

#: After this the present of the answers is moved on, though nothing newer has come.
KEEPS_SECONDS = 900.0

_T = TypeVar("_T")


class Sitting:
    """Answers that belong together: from the same observations, and as of the same moment.

    :param version: stands for the observations; in every process the same.
    """

    def __init__(self, inquiry: Inquiry, version: str) -> None:
        self._inquiry = inquiry
        self.version = version
        self._found: dict[str, Any] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Reads the jobs, before others can begin to do the same.
        self.counts: pa.Table = inquiry.ask("job_counts")

    @property
    def now(self) -> datetime:
        """The moment that counts as the present."""
        return self._inquiry.sources.now

    @property
    def newest_at(self) -> datetime | None:
        """When the newest committed observation began; ``None`` where there is none."""
        return self._inquiry.sources.newest_at

    def ask(self, name: str, **arguments: Any) -> pa.Table:
        """Answer a question of :mod:`glacier_jobs.reports`, anew each time."""
        return self._inquiry.ask(name, **arguments)

    def once(self, name: str, compute: Callable[[Sitting], _T]) -> _T:
        """Return what the first call computed, to all who ask for it."""
        with self._locks[name]:
            if name not in self._found:
                self._found[name] = compute(self)
            found: _T = self._found[name]
            return found


class Desk:
    """The reader of one dataset. Several threads may ask it at a time.

    :param clock: as ``time.monotonic``.
    """

    def __init__(self, dataset: Dataset, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._dataset = dataset
        self._clock = clock
        self._reading = threading.Lock()
        self._sitting: Sitting | None = None
        self._observation_ids: list[str] = []
        self._began = self._looked = 0.0

    def sitting(self) -> Sitting:
        """Return the answers of now; while somebody reads what is newer, those of just before.

        :raises OSError: the dataset cannot be read.
        """
        current = self._sitting
        if self._reading.acquire(blocking=current is None):
            try:
                self._sitting = current = self._up_to_date(self._sitting)
            finally:
                self._reading.release()
        assert current is not None  # noqa: S101 - else the lock was waited for
        return current

    def _up_to_date(self, sitting: Sitting | None) -> Sitting:
        now = self._clock()
        if sitting is not None and now - self._looked < LOOKS_EVERY_SECONDS:
            return sitting
        observation_ids = self._newest_observation_ids()
        if sitting is None or now - self._began >= KEEPS_SECONDS or observation_ids != self._observation_ids:
            version = hashlib.sha256("\n".join(observation_ids).encode()).hexdigest()[:16]
            sitting = Sitting(Inquiry.into(self._dataset), version)
            self._observation_ids, self._began = observation_ids, now
        self._looked = now
        return sitting

    def _newest_observation_ids(self) -> list[str]:
        # An observation may be published after one that began later, also after midnight.
        days = self._dataset.dates()[-2:]
        return self._dataset.observation_ids(since=days[0]) if days else []
