"""The vaults of every account and Region."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws import timestamps
from local_aws.archives import Archive
from local_aws.jobs import Description
from local_aws.shelves import LivingShelf, Shelf

MAX_VAULTS = 1000
DEFAULT_ACCOUNT_ID = "123456789012"
"""Whose account it is where nothing else is said; moto's default too."""
DEFAULT_REGION = "us-east-1"
_VAULT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,255}")
_DAY = timedelta(days=1)


def is_vault_name(name: str) -> bool:
    """Whether a vault may be called so."""
    return _VAULT_NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Realm:
    """An account and a Region: the vaults of one are not seen from another."""

    account_id: str
    region: str

    def vault_arn(self, vault_name: str) -> str:
        """The ARN that a vault of this name has here."""
        return f"arn:aws:glacier:{self.region}:{self.account_id}:vaults/{vault_name}"


@dataclass(kw_only=True)
class Vault:
    """A vault with its archives and jobs."""

    name: str
    arn: str
    created_at: datetime
    shelf: Shelf = field(default_factory=LivingShelf)
    archives: dict[str, Archive] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    """Members of the description that were given and are shown whatever the vault holds."""

    def living(self) -> LivingShelf:
        """The jobs, where they can be changed."""
        if not isinstance(self.shelf, LivingShelf):
            self.shelf = LivingShelf(self.shelf.jobs())
        return self.shelf

    def last_inventory_at(self, now: datetime) -> datetime | None:
        """When the vault was last inventoried: daily, counted from its creation."""
        days = (now - self.created_at) // _DAY
        return self.created_at + days * _DAY if days >= 1 else None

    def description(self, now: datetime) -> Description:
        """The vault as List Vaults and Describe Vault show it: counts and sizes are those of the last inventory."""
        inventory_at = self.last_inventory_at(now)
        counted = [
            each for each in self.archives.values() if inventory_at is not None and each.created_at <= inventory_at
        ]
        return {
            "CreationDate": timestamps.write(self.created_at),
            "LastInventoryDate": None if inventory_at is None else timestamps.write(inventory_at),
            "NumberOfArchives": len(counted),
            "SizeInBytes": sum(each.size_in_bytes for each in counted),
            "VaultARN": self.arn,
            "VaultName": self.name,
            **self.said,
        }


class Store:
    """All vaults, by account and Region, then by name."""

    def __init__(self) -> None:
        self._realms: dict[Realm, dict[str, Vault]] = {}

    def vaults(self, realm: Realm) -> dict[str, Vault]:
        """The vaults of an account and Region by name; a realm that nobody has used has none."""
        return self._realms.setdefault(realm, {})

    def vault(self, realm: Realm, name: str) -> Vault | None:
        """One vault, or ``None`` where there is none of that name."""
        return self._realms.get(realm, {}).get(name)

    def clear(self) -> None:
        """Forget everything."""
        self._realms.clear()
