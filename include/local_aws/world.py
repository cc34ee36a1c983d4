"""All that the local AWS holds and does for Glacier, in one place that can be emptied."""

import secrets
from collections import deque
from datetime import datetime
from threading import RLock

from local_aws.calls import CallLog
from local_aws.clock import Clock
from local_aws.faults import Faults, Hooks
from local_aws.initiation import Fate
from local_aws.settings import Settings
from local_aws.store import Realm, Store

Trail = deque[str]
"""The latest markers that the listings of one vault, or of one account's vaults, have carried, oldest first."""


class World:
    """The state of the local Glacier. ``lock`` is held by whoever reads or changes more than one part of it."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.lock = RLock()
        self.clock = clock
        self.settings = settings
        self.store = Store()
        self.calls = CallLog()
        self.faults = Faults()
        self.hooks = Hooks()
        self.fates: deque[tuple[str | None, Fate]] = deque()
        """What becomes of the next initiated jobs, first come first served; each for one vault or for any."""
        self.trails: dict[tuple[Realm, str | None], Trail] = {}

    def next_fate(self, vault_name: str) -> Fate:
        """What becomes of the job that is being initiated in a vault."""
        for i, (wanted, fate) in enumerate(self.fates):
            if wanted is None or wanted == vault_name:
                del self.fates[i]
                return fate
        return Fate()

    def trail(self, realm: Realm, vault_name: str | None) -> Trail:
        """The markers of a vault's listings, or with ``None`` those of List Vaults."""
        return self.trails.setdefault((realm, vault_name), deque(maxlen=100))

    def empty(self, *, settings: Settings, clock_at: datetime, clock_speed: float) -> None:
        """Forget all vaults, jobs, faults, hooks and counts, and go on with these settings and this time."""
        self.settings = settings
        self.clock.set(clock_at, clock_speed)
        self.store.clear()
        self.faults.clear()
        self.hooks.clear()
        self.fates.clear()
        self.trails.clear()
        self.calls.begin_era()


def new_job_id() -> str:
    """An id like those that AWS gives: 92 characters."""
    return _new_id(92)


def new_archive_id() -> str:
    """An id like those that AWS gives: 138 characters."""
    return _new_id(138)


def _new_id(length: int) -> str:
    # Not a hyphen first: a command line takes the id for an option.
    return "j" + secrets.token_urlsafe(length)[: length - 1]
