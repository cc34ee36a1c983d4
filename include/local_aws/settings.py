"""Settings for behaviour that AWS does not document."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

TIERS = ("Expedited", "Standard", "Bulk")
LAST_MARKERS = ("null", "absent", "empty")


def _durations() -> dict[str, float]:
    return {"Expedited": 180.0, "Standard": 4 * 3600.0, "Bulk": 9 * 3600.0}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the local Glacier behaves where AWS's documents are silent, contradict each other or guarantee nothing."""

    max_limit: int = 50
    """The maximum ``limit`` of List Jobs, and its default; older documents give 1,000."""
    max_vaults_limit: int = 10
    """The maximum ``limit`` of List Vaults, and its default; one page of the documents gives 1,000."""
    newest_first: bool = False
    """Whether List Jobs starts with the newest job; the order is not documented."""
    marker_repeats_job: bool = False
    """Whether the page of a marker repeats the last job of the previous page; the documents are ambiguous."""
    last_marker: str = "null"
    """The marker of the last page: ``null``, ``absent`` or ``empty``."""
    listed_after_seconds: float = 0.0
    """How long List Jobs does not return an initiated job, although Describe Job does."""
    retention_seconds: float = 24 * 3600.0
    """How long a finished job is retained."""
    duration_seconds: Mapping[str, float] = field(default_factory=_durations)
    """How long an initiated job takes, by tier; an inventory without a tier takes as long as ``Standard``."""

    def __post_init__(self) -> None:
        """Validate the settings.

        :raises ValueError: names the invalid setting.
        """
        if self.max_limit < 1 or self.max_vaults_limit < 1:
            raise ValueError("max_limit and max_vaults_limit must be 1 or more")
        if self.last_marker not in LAST_MARKERS:
            raise ValueError(f"last_marker is {self.last_marker!r}, expected one of {LAST_MARKERS}")
        if set(self.duration_seconds) != set(TIERS):
            raise ValueError(f"duration_seconds has the keys {sorted(self.duration_seconds)}, expected {sorted(TIERS)}")

    @property
    def retention(self) -> timedelta:
        """:attr:`retention_seconds` as a ``timedelta``."""
        return timedelta(seconds=self.retention_seconds)

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """Return these settings with changes; tiers that ``duration_seconds`` does not name keep their values.

        :raises ValueError: names the unknown settings.
        """
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        if unknown := set(changes) - set(known):
            raise ValueError(f"unknown settings: {sorted(unknown)}; known: {sorted(known)}")
        merged = {**known, **changes}
        merged["duration_seconds"] = {**self.duration_seconds, **changes.get("duration_seconds", {})}
        return Settings(**merged)
