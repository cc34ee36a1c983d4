"""The clock of the local AWS."""

import time
from datetime import datetime, timedelta, timezone

from local_aws.timestamps import to_milliseconds


class Clock:
    """A UTC clock with a speed: 1 is real time, 3600 is 1 hour per second, 0 stops the clock until it is advanced."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self._anchor_at = datetime.now(timezone.utc)
        self._anchor_seconds = time.monotonic()
        self._speed = speed
        self.set(start or self._anchor_at, speed)

    @property
    def speed(self) -> float:
        """Seconds of this clock per real second."""
        return self._speed

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime, in whole milliseconds."""
        elapsed_seconds = (time.monotonic() - self._anchor_seconds) * self._speed
        return to_milliseconds(self._anchor_at + timedelta(seconds=elapsed_seconds))

    def set(self, at: datetime, speed: float | None = None) -> None:
        """Set the time, forwards or backwards, and the speed (``None`` does not change it).

        :raises ValueError: the speed is negative.
        """
        if speed is not None:
            if speed < 0:
                raise ValueError(f"the clock's speed is {speed}, expected 0 or more")
            self._speed = speed
        self._anchor_at = to_milliseconds(at.astimezone(timezone.utc))
        self._anchor_seconds = time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        :raises ValueError: ``seconds`` is negative; use :meth:`set` to move the clock back.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} s; to move the clock back, set it")
        self.set(self.now() + timedelta(seconds=seconds))
