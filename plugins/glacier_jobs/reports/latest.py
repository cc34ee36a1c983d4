"""The newest listing of each vault, found from the newest observation backwards.

An observation of all vaults covers its whole account and Region: a vault without a row in it does not exist any more.
So one observation of each account and Region is usually enough. Older ones are read only for a vault that could not be
listed, or if an observation covered named vaults only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset.layout import target_of
from glacier_jobs.history.fold import VAULT_LISTINGS
from glacier_jobs.history.rows import ObservationRows

_Row = Mapping[str, Any]
_Target = tuple[str, str]


def newest_listings(rows: ObservationRows, observation_ids: Iterable[str], before: pa.Table) -> pa.Table:
    """Return for each vault the listing of the newest observation that listed it, unless the vault has gone since.

    :param observation_ids: observations whose rows these are; as few raw files of them as possible are read.
    :param before: listings from before the first of these observations, with the schema
        :data:`~glacier_jobs.history.fold.VAULT_LISTINGS`.
    :return: one row a vault, with the same schema.
    """
    remaining: dict[_Target, list[str]] = defaultdict(list)
    for observation_id in sorted(observation_ids):
        remaining[target_of(observation_id)].append(observation_id)
    earlier: dict[_Target, list[_Row]] = defaultdict(list)
    for listing in before.to_pylist():
        earlier[listing["account_id"], listing["region"]].append(listing)
    searches = {target: _TargetSearch() for target in remaining.keys() | earlier.keys()}
    count = 1
    while wanted := {
        target: observations for target, observations in remaining.items() if observations and searches[target].open
    }:
        newest = {target: list(reversed(observations[-count:])) for target, observations in wanted.items()}
        _read(rows, newest, searches)
        for target in wanted:
            del remaining[target][-count:]
        count *= 2
    for target, search in searches.items():
        if search.open:
            search.add_earlier(earlier[target])
    found = [listing for search in searches.values() for listing in search.found()]
    return pa.Table.from_pylist(found, schema=VAULT_LISTINGS)


class _TargetSearch:
    """The newest listings of the vaults of one account and Region, found while reading backwards in time."""

    def __init__(self) -> None:
        self._known: dict[str, _Row | None] = {}
        self._unlisted: set[str] = set()
        self._complete = False

    @property
    def open(self) -> bool:
        """Whether older observations can add a listing."""
        return not self._complete or bool(self._unlisted)

    def add(self, vaults: Sequence[_Row], *, all_vaults: bool) -> None:
        """Add the next older observation."""
        for vault in vaults:
            self._add_vault(vault["vault_arn"], vault)
        if all_vaults:
            self._complete = True
            self._unlisted &= {vault["vault_arn"] for vault in vaults}

    def add_earlier(self, listings: Sequence[_Row]) -> None:
        """Add the listings from before the oldest observation."""
        for listing in sorted(listings, key=lambda row: str(row["observation_id"]), reverse=True):
            self._add_vault(listing["vault_arn"], listing)

    def _add_vault(self, arn: str, listing: _Row) -> None:
        if arn in self._known or (self._complete and arn not in self._unlisted):
            return
        if listing["outcome"] == "failed":
            self._unlisted.add(arn)
            return
        self._unlisted.discard(arn)
        self._known[arn] = listing if listing["outcome"] == "listed" else None

    def found(self) -> list[_Row]:
        """Return the newest listing of each vault that exists."""
        return [listing for listing in self._known.values() if listing is not None]


def _read(
    rows: ObservationRows, wanted: Mapping[_Target, Sequence[str]], searches: Mapping[_Target, _TargetSearch]
) -> None:
    """Read observations, newest first, into the searches of their targets."""
    observation_ids = [observation_id for newest in wanted.values() for observation_id in newest]
    vaults: dict[str, list[_Row]] = defaultdict(list)
    for row in rows.read("vaults", observation_ids).to_pylist():
        vaults[row["observation_id"]].append(
            {
                **{name: row[name] for name in VAULT_LISTINGS.names if name in row},
                "listed_at": row["listing_began_at" if row["outcome"] == "listed" else "listing_ended_at"],
                "ended_at": row["listing_ended_at"],
            }
        )
    scopes = rows.read("observations", observation_ids, columns=["observation_id", "scope"])
    scope = dict(zip(scopes["observation_id"].to_pylist(), scopes["scope"].to_pylist(), strict=True))
    for target, newest in wanted.items():
        for observation_id in newest:
            searches[target].add(vaults[observation_id], all_vaults=scope[observation_id] == "all")
