"""The state of the local Glacier, which can be reset as a whole."""

import secrets
from collections import deque
from datetime import datetime
from threading import RLock

from local_aws.calls import CallLog
from local_aws.clock import Clock
from local_aws.faults import Faults, Hooks
from local_aws.initiation import PlannedOutcome
from local_aws.settings import Settings
from local_aws.vaults import AccountRegion, VaultStore

MarkerHistory = deque[str]
"""The latest markers returned by the listings of one vault, or by List Vaults of one account, oldest first."""


class Backend:
    """The state of the local Glacier. Hold ``lock`` to read or change more than one part of it."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.lock = RLock()
        self.clock = clock
        self.settings = settings
        self.vault_store = VaultStore()
        self.calls = CallLog()
        self.faults = Faults()
        self.hooks = Hooks()
        self.planned_outcomes: deque[tuple[str | None, PlannedOutcome]] = deque()
        """Outcomes of the next initiated jobs, in this order; each for one vault or for any (``None``)."""
        self.marker_histories: dict[tuple[AccountRegion, str | None], MarkerHistory] = {}

    def take_planned_outcome(self, vault_name: str) -> PlannedOutcome:
        """Remove and return the outcome planned for a job that is being initiated in a vault."""
        for i, (planned_for, planned) in enumerate(self.planned_outcomes):
            if planned_for is None or planned_for == vault_name:
                del self.planned_outcomes[i]
                return planned
        return PlannedOutcome()

    def marker_history(self, account_region: AccountRegion, vault_name: str | None) -> MarkerHistory:
        """Return the markers of a vault's listings, or with ``None`` those of List Vaults."""
        return self.marker_histories.setdefault((account_region, vault_name), deque(maxlen=100))

    def reset(self, *, settings: Settings, clock_at: datetime, clock_speed: float) -> None:
        """Remove all vaults, jobs, faults, hooks and counts, and apply these settings and this time."""
        self.settings = settings
        self.clock.set(clock_at, clock_speed)
        self.vault_store.clear()
        self.faults.clear()
        self.hooks.clear()
        self.planned_outcomes.clear()
        self.marker_histories.clear()
        self.calls.start_generation()


def new_job_id() -> str:
    """Return a job ID with the length of AWS's: 92 characters."""
    return _new_id(92)


def new_archive_id() -> str:
    """Return an archive ID with the length of AWS's: 138 characters."""
    return _new_id(138)


def _new_id(length: int) -> str:
    # The first character is not a hyphen: a command line would take the ID for an option.
    return "j" + secrets.token_urlsafe(length)[: length - 1]
