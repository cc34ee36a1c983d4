"""What time it is in the local AWS."""

import time
from datetime import datetime, timedelta, timezone

from local_aws.timestamps import to_milliseconds


class Clock:
    """A UTC clock of a chosen speed: 1 is real time, 3600 an hour a second, 0 stands still until it is advanced."""

    def __init__(self, start: datetime | None = None, speed: float = 1.0) -> None:
        self._anchor_at = datetime.now(timezone.utc)
        self._anchor_seconds = time.monotonic()
        self._speed = speed
        self.set(start or self._anchor_at, speed)

    @property
    def speed(self) -> float:
        """Clock seconds a real second."""
        return self._speed

    def now(self) -> datetime:
        """The aware UTC moment, in whole milliseconds."""
        elapsed_seconds = (time.monotonic() - self._anchor_seconds) * self._speed
        return to_milliseconds(self._anchor_at + timedelta(seconds=elapsed_seconds))

    def set(self, moment: datetime, speed: float | None = None) -> None:
        """Jump to a moment, forwards or backwards, and go on at ``speed`` (unchanged where none is given).

        :raises ValueError: the speed is negative.
        """
        if speed is not None:
            if speed < 0:
                raise ValueError(f"the clock's speed is {speed}, expected 0 or more")
            self._speed = speed
        self._anchor_at = to_milliseconds(moment.astimezone(timezone.utc))
        self._anchor_seconds = time.monotonic()

    def advance(self, seconds: float) -> None:
        """Jump ahead.

        :raises ValueError: ``seconds`` is negative: only :meth:`set` goes back.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} s; set the clock to go back")
        self.set(self.now() + timedelta(seconds=seconds))
