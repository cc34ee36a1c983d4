"""The vaults of every account and Region."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_aws import timestamps
from local_aws.archives import Archive
from local_aws.job_stores import JobStore, MemoryJobStore
from local_aws.jobs import Description

MAX_VAULTS = 1000
DEFAULT_ACCOUNT_ID = "123456789012"
"""The account by default, as in moto."""
DEFAULT_REGION = "us-east-1"
_VAULT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,255}")
_DAY = timedelta(days=1)


def is_vault_name(name: str) -> bool:
    """Return whether this is a valid vault name."""
    return _VAULT_NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class AccountRegion:
    """An account and a Region. Vaults are visible only in their own account and Region."""

    account_id: str
    region: str

    def vault_arn(self, vault_name: str) -> str:
        """Return the ARN of the vault of this name."""
        return f"arn:aws:glacier:{self.region}:{self.account_id}:vaults/{vault_name}"


@dataclass(kw_only=True)
class Vault:
    """A vault with its archives and jobs."""

    name: str
    arn: str
    created_at: datetime
    job_store: JobStore = field(default_factory=MemoryJobStore)
    archives: dict[str, Archive] = field(default_factory=dict)
    description_overrides: Mapping[str, Any] = field(default_factory=dict)
    """Members of the description that replace the computed ones."""
    archive_deleted_at: datetime | None = None
    """When an archive was last deleted."""
    inventory_job_at: datetime | None = None
    """The date of the newest inventory that a job took."""

    def mutable_jobs(self) -> MemoryJobStore:
        """Return the jobs in a store that can be changed; a template's jobs are copied first."""
        if not isinstance(self.job_store, MemoryJobStore):
            self.job_store = MemoryJobStore(self.job_store.jobs())
        return self.job_store

    def changed_at(self, now: datetime) -> datetime:
        """Return when the vault changed last: its creation, or the upload or deletion of an archive."""
        uploaded = (each.created_at for each in self.archives.values() if each.created_at <= now)
        return max([self.created_at, *uploaded, *filter(None, [self.archive_deleted_at])])

    def last_inventory_at(self, now: datetime) -> datetime | None:
        """Return the time of the last inventory: daily, counted from the creation of the vault, or that of a job."""
        days = (now - self.created_at) // _DAY
        taken = [self.created_at + days * _DAY] if days >= 1 else []
        return max([*taken, *filter(None, [self.inventory_job_at])], default=None)

    def description(self, now: datetime) -> Description:
        """Return the description for List Vaults and Describe Vault, with counts and sizes of the last inventory."""
        inventory_at = self.last_inventory_at(now)
        counted = [
            each for each in self.archives.values() if inventory_at is not None and each.created_at <= inventory_at
        ]
        return {
            "CreationDate": timestamps.isoformat(self.created_at),
            "LastInventoryDate": None if inventory_at is None else timestamps.isoformat(inventory_at),
            "NumberOfArchives": len(counted),
            "SizeInBytes": sum(each.size_in_bytes for each in counted),
            "VaultARN": self.arn,
            "VaultName": self.name,
            **self.description_overrides,
        }


class VaultStore:
    """All vaults, by account and Region, then by name."""

    def __init__(self) -> None:
        self._vaults: dict[AccountRegion, dict[str, Vault]] = {}

    def vaults(self, account_region: AccountRegion) -> dict[str, Vault]:
        """Return the vaults of an account and Region by name; an unused one has none."""
        return self._vaults.setdefault(account_region, {})

    def vault(self, account_region: AccountRegion, name: str) -> Vault | None:
        """Return one vault, ``None`` if it does not exist."""
        return self._vaults.get(account_region, {}).get(name)

    def clear(self) -> None:
        """Remove all vaults."""
        self._vaults.clear()
