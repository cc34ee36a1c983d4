"""The newest listing of each vault, found from the newest observation backwards.

An observation of all vaults answers for its whole account and Region: what it does not mention is gone. So one
observation of each account and Region is mostly enough. Older ones are read only for a vault that could not be
listed, or where an observation named the vaults it was to look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset.layout import Dataset, target_of
from glacier_jobs.history.fold import LOOKS, VAULT_COLUMNS

_Row = Mapping[str, Any]
_Target = tuple[str, str]


def newest_listings(dataset: Dataset, observation_ids: Iterable[str], before: pa.Table) -> pa.Table:
    """Return for each vault the look of the newest observation that listed it, unless it has gone since.

    :param observation_ids: committed observations, of which as few as possible are read.
    :param before: what was known before the first of these, with the schema :data:`~glacier_jobs.history.fold.LOOKS`.
    :return: one row a vault, with the same schema.
    """
    remaining: dict[_Target, list[str]] = defaultdict(list)
    for observation_id in sorted(observation_ids):
        remaining[target_of(observation_id)].append(observation_id)
    earlier: dict[_Target, list[_Row]] = defaultdict(list)
    for look in before.to_pylist():
        earlier[look["account_id"], look["region"]].append(look)
    searches = {target: _Search() for target in remaining.keys() | earlier.keys()}
    count = 1
    while wanted := {
        target: observations for target, observations in remaining.items() if observations and searches[target].open
    }:
        newest = {target: list(reversed(observations[-count:])) for target, observations in wanted.items()}
        _read(dataset, newest, searches)
        for target in wanted:
            del remaining[target][-count:]
        count *= 2
    for target, search in searches.items():
        if search.open:
            search.take_earlier(earlier[target])
    return pa.Table.from_pylist([look for search in searches.values() for look in search.found()], schema=LOOKS)


class _Search:
    """What is known of the vaults of one account and Region, while going backwards in time."""

    def __init__(self) -> None:
        self._known: dict[str, _Row | None] = {}
        self._unlisted: set[str] = set()
        self._complete = False

    @property
    def open(self) -> bool:
        """Whether older observations can tell more."""
        return not self._complete or bool(self._unlisted)

    def take(self, vaults: Sequence[_Row], *, all_vaults: bool) -> None:
        """Take in the next older observation."""
        for vault in vaults:
            self._take_vault(vault["vault_arn"], vault)
        if all_vaults:
            self._complete = True
            self._unlisted &= {vault["vault_arn"] for vault in vaults}

    def take_earlier(self, looks: Sequence[_Row]) -> None:
        """Take in the looks that were known before the oldest observation."""
        for look in sorted(looks, key=lambda look: (look["looked_at"], look["outcome"] == "gone"), reverse=True):
            self._take_vault(look["vault_arn"], look)

    def _take_vault(self, arn: str, look: _Row) -> None:
        if arn in self._known or (self._complete and arn not in self._unlisted):
            return
        if look["outcome"] == "failed":
            self._unlisted.add(arn)
            return
        self._unlisted.discard(arn)
        self._known[arn] = look if look["outcome"] == "listed" else None

    def found(self) -> list[_Row]:
        """Return the newest listing of each vault that is there."""
        return [look for look in self._known.values() if look is not None]


def _read(dataset: Dataset, wanted: Mapping[_Target, Sequence[str]], searches: Mapping[_Target, _Search]) -> None:
    """Read observations, newest first, into the searches of their targets."""
    observation_ids = [observation_id for newest in wanted.values() for observation_id in newest]
    vaults: dict[str, list[_Row]] = defaultdict(list)
    for row in dataset.read("vaults", observation_ids, columns=VAULT_COLUMNS).read_all().to_pylist():
        vaults[row["observation_id"]].append(
            {
                **{name: row[name] for name in LOOKS.names if name in row},
                "looked_at": row["listing_began_at" if row["outcome"] == "listed" else "listing_ended_at"],
                "ended_at": row["listing_ended_at"],
            }
        )
    scopes = dataset.read("observations", observation_ids, columns=["observation_id", "scope"]).read_all()
    scope = dict(zip(scopes["observation_id"].to_pylist(), scopes["scope"].to_pylist(), strict=True))
    for target, newest in wanted.items():
        for observation_id in newest:
            searches[target].take(vaults[observation_id], all_vaults=scope[observation_id] == "all")
