"""A cache of what the page reads from a dataset, kept until there are newer observations."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa

from glacier_jobs.alerts.attention import Attention
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports.questions import Inquiry

#: How often the dataset is checked for newer observations.
CHECK_INTERVAL_SECONDS = 10.0

#: After this, answers are computed again as of the present, though there is no newer observation.
MAX_AGE_SECONDS = 900.0

_T = TypeVar("_T")


class CachedAnswers:
    """Answers from the same observations, as of the same moment.

    :param version: identifies the observations; the same in every process.
    """

    def __init__(self, inquiry: Inquiry, version: str) -> None:
        self._inquiry = inquiry
        self.version = version
        self._found: dict[str, Any] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        #: What needs attention.
        self.attention = Attention(inquiry.ask, inquiry.tables.now, inquiry.tables.newest_by_target)
        # Reads the jobs once, before other threads can begin to.
        self.counts: pa.Table = inquiry.ask("job_counts")

    @property
    def now(self) -> datetime:
        """The moment that all answers take as the present."""
        return self._inquiry.tables.now

    @property
    def newest_at(self) -> datetime | None:
        """When the newest committed observation began; ``None`` where there is none."""
        return self._inquiry.tables.newest_at

    def ask(self, name: str, **arguments: Any) -> pa.Table:
        """Answer a question of :mod:`glacier_jobs.reports`; not cached."""
        return self._inquiry.ask(name, **arguments)

    def once(self, name: str, compute: Callable[[CachedAnswers], _T]) -> _T:
        """Return what the first call computed."""
        with self._locks[name]:
            if name not in self._found:
                self._found[name] = compute(self)
            found: _T = self._found[name]
            return found


class DatasetCache:
    """The cache of one dataset. Safe to call from several threads.

    :param clock: as ``time.monotonic``.
    """

    def __init__(self, dataset: Dataset, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._dataset = dataset
        self._clock = clock
        self._reading = threading.Lock()
        self._answers: CachedAnswers | None = None
        self._observation_ids: list[str] = []
        self._created_at = self._checked_at = 0.0

    def answers(self) -> CachedAnswers:
        """Return the current answers; while another thread reads newer observations, those of before.

        :raises OSError: the dataset cannot be read.
        """
        current = self._answers
        if self._reading.acquire(blocking=current is None):
            try:
                self._answers = current = self._up_to_date(self._answers)
            finally:
                self._reading.release()
        assert current is not None  # noqa: S101 - without answers, the lock was waited for
        return current

    def _up_to_date(self, answers: CachedAnswers | None) -> CachedAnswers:
        now = self._clock()
        if answers is not None and now - self._checked_at < CHECK_INTERVAL_SECONDS:
            return answers
        observation_ids = self._newest_observation_ids()
        if answers is None or now - self._created_at >= MAX_AGE_SECONDS or observation_ids != self._observation_ids:
            version = hashlib.sha256("\n".join(observation_ids).encode()).hexdigest()[:16]
            answers = CachedAnswers(Inquiry.into(self._dataset), version)
            self._observation_ids, self._created_at = observation_ids, now
        self._checked_at = now
        return answers

    def _newest_observation_ids(self) -> list[str]:
        # An observation may be published after one that began later, also after midnight.
        days = self._dataset.dates()[-2:]
        return self._dataset.observation_ids(since=days[0]) if days else []
