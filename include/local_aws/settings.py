"""The choices that the documents leave to AWS, and that a user of the local AWS makes."""

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
    """How this Glacier behaves where its documents are silent, differ, or promise nothing."""

    max_limit: int = 50
    """The largest ``limit`` of List Jobs, and its default; older documents say 1,000."""
    max_vaults_limit: int = 10
    """The largest ``limit`` of List Vaults, and its default; one page says 1,000."""
    newest_first: bool = False
    """Whether List Jobs begins with the latest job; the direction is undocumented."""
    marker_repeats_job: bool = False
    """Whether the page that a marker begins shows the last job of the page before again; this too is ambiguous."""
    last_marker: str = "null"
    """How the last page says that it is the last: by a marker that is ``null``, ``absent`` or ``empty``."""
    listed_after_seconds: float = 0.0
    """How long an initiated job is missing from List Jobs, though Describe Job knows it."""
    retention_seconds: float = 24 * 3600.0
    """How long a finished job is kept."""
    duration_seconds: Mapping[str, float] = field(default_factory=_durations)
    """How long an initiated job takes, by tier; an inventory takes as long as a ``Standard`` retrieval."""

    def __post_init__(self) -> None:
        """Refuse what could not be served.

        :raises ValueError: names the setting.
        """
        if self.max_limit < 1 or self.max_vaults_limit < 1:
            raise ValueError("max_limit and max_vaults_limit are 1 or more")
        if self.last_marker not in LAST_MARKERS:
            raise ValueError(f"last_marker is {self.last_marker!r}, expected one of {LAST_MARKERS}")
        if set(self.duration_seconds) != set(TIERS):
            raise ValueError(f"duration_seconds has the keys {sorted(self.duration_seconds)}, expected {sorted(TIERS)}")

    @property
    def retention(self) -> timedelta:
        """:attr:`retention_seconds` as a span."""
        return timedelta(seconds=self.retention_seconds)

    def changed(self, changes: Mapping[str, Any]) -> "Settings":
        """These settings with some changed; of ``duration_seconds`` the tiers not named stay.

        :raises ValueError: names a setting that does not exist.
        """
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        if unknown := set(changes) - set(known):
            raise ValueError(f"no such settings: {sorted(unknown)}; there are {sorted(known)}")
        merged = {**known, **changes}
        merged["duration_seconds"] = {**self.duration_seconds, **changes.get("duration_seconds", {})}
        return Settings(**merged)
