"""The commands that control the local AWS from outside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from moto.moto_api._internal.models import moto_api_backend

from local_aws import seeds, timestamps
from local_aws.archives import Archive, Content
from local_aws.backend import Backend, new_archive_id, new_job_id
from local_aws.faults import CALL_FILTER_KEYS, CallFilter, Hook, make_fault
from local_aws.initiation import PlannedOutcome
from local_aws.jobs import OUTCOMES, Description, job_from_description
from local_aws.vaults import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, AccountRegion, Vault


class Commands:
    """The commands by name. Arguments and results are JSON values; :class:`local_aws.client.Control` documents them.

    :param start_at: the time to which a reset sets the clock; ``None`` is the current time.
    """

    def __init__(self, backend: Backend, *, start_at: datetime | None) -> None:
        self._backend = backend
        self._settings = backend.settings
        self._start_at = start_at
        self._start_speed = backend.clock.speed
        self._commands: Mapping[str, Callable[..., object]] = {
            "reset": self._reset,
            "seed": self._seed,
            "add_vaults": self._add_vaults,
            "delete_vault": self._delete_vault,
            "vaults": self._vaults,
            "add_archives": self._add_archives,
            "add_jobs": self._add_jobs,
            "remove_jobs": self._remove_jobs,
            "jobs": self._jobs,
            "clock": self._clock,
            "set_clock": self._set_clock,
            "advance": self._advance,
            "settings": self._change_settings,
            "fault": self._fault,
            "remove_fault": self._remove_fault,
            "clear_faults": self._clear_faults,
            "seed_dice": self._seed_dice,
            "hook": self._hook,
            "clear_hooks": self._clear_hooks,
            "next_outcome": self._next_outcome,
            "calls": self._calls,
            "requests": self._requests,
            "reset_calls": self._reset_calls,
        }

    def execute(self, name: str, arguments: Mapping[str, Any]) -> object:
        """Execute a command.

        :raises ValueError: the command is unknown, or an argument is invalid.
        :raises TypeError: an argument is missing or unknown.
        """
        if name not in self._commands:
            raise ValueError(f"unknown command: {name!r}; known: {sorted(self._commands)}")
        with self._backend.lock:
            return self._commands[name](**arguments)

    def _reset(self) -> None:
        start_at = self._start_at or datetime.now(timezone.utc)
        self._backend.reset(settings=self._settings, clock_at=start_at, clock_speed=self._start_speed)
        moto_api_backend.reset()

    def _seed(self, name: str, vaults: int | None = None, jobs: int | None = None) -> None:
        seeds.fill(name, self._backend, vaults=vaults, jobs=jobs)

    def _vault(self, vault_name: str, account_id: str, region: str) -> Vault:
        account_region = AccountRegion(account_id, region)
        vault = self._backend.vault_store.vault(account_region, vault_name)
        if vault is None:
            raise ValueError(f"vault does not exist: {account_region.vault_arn(vault_name)}")
        return vault

    def _add_vaults(
        self,
        vaults: Sequence[str | Description],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        account_region = AccountRegion(account_id, region)
        arns = []
        for given in vaults:
            description = {"VaultName": given} if isinstance(given, str) else dict(given)
            name = description["VaultName"]
            created_at = (
                timestamps.parse(description["CreationDate"])
                if "CreationDate" in description
                else self._backend.clock.now()
            )
            vault = Vault(
                name=name, arn=account_region.vault_arn(name), created_at=created_at, description_overrides=description
            )
            self._backend.vault_store.vaults(account_region)[name] = vault
            arns.append(vault.arn)
        return arns

    def _delete_vault(
        self, vault_name: str, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION
    ) -> None:
        self._backend.vault_store.vaults(AccountRegion(account_id, region)).pop(vault_name, None)

    def _vaults(self, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION) -> list[Description]:
        now = self._backend.clock.now()
        vaults = self._backend.vault_store.vaults(AccountRegion(account_id, region))
        return [vaults[name].description(now) for name in sorted(vaults)]

    def _add_archives(
        self,
        vault_name: str,
        archives: Sequence[Mapping[str, Any]],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        vault = self._vault(vault_name, account_id, region)
        added = []
        for given in archives:
            archive_id = given.get("ArchiveId") or new_archive_id()
            created_at = (
                timestamps.parse(given["CreationDate"]) if "CreationDate" in given else self._backend.clock.now()
            )
            vault.archives[archive_id] = Archive(
                archive_id=archive_id,
                description=given.get("ArchiveDescription", ""),
                created_at=created_at,
                content=Content.generated(archive_id, given["Size"]),
            )
            added.append(archive_id)
        return added

    def _add_jobs(
        self,
        vault_name: str,
        jobs: Sequence[Mapping[str, Any]],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        backend, account_region = self._backend, AccountRegion(account_id, region)
        now = backend.clock.now()
        vaults = backend.vault_store.vaults(account_region)
        if vault_name not in vaults:
            vaults[vault_name] = Vault(name=vault_name, arn=account_region.vault_arn(vault_name), created_at=now)
        vault = vaults[vault_name]
        made = [
            job_from_description(
                given, job_id=new_job_id(), vault_arn=vault.arn, now=now, retention=backend.settings.retention
            )
            for given in jobs
        ]
        vault.mutable_jobs().put(made)
        return [job.job_id for job in made]

    def _remove_jobs(
        self,
        vault_name: str,
        job_ids: Sequence[str],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> None:
        self._vault(vault_name, account_id, region).mutable_jobs().remove(job_ids)

    def _jobs(
        self,
        vault_name: str | None = None,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
        unlisted: bool = False,
    ) -> list[Description]:
        now = self._backend.clock.now()
        if vault_name is None:
            vaults = list(self._backend.vault_store.vaults(AccountRegion(account_id, region)).values())
        else:
            vaults = [self._vault(vault_name, account_id, region)]
        return [
            job.description(now)
            for vault in sorted(vaults, key=lambda vault: vault.name)
            for job in sorted(vault.job_store.jobs(), key=lambda job: (job.created_at, job.job_id))
            if (job.is_known(now) if unlisted else job.is_listed(now))
        ]

    def _clock(self) -> dict[str, object]:
        return {"now": timestamps.isoformat(self._backend.clock.now()), "speed": self._backend.clock.speed}

    def _set_clock(self, at: str | None = None, speed: float | None = None) -> dict[str, object]:
        self._backend.clock.set(self._backend.clock.now() if at is None else timestamps.parse(at), speed)
        return self._clock()

    def _advance(self, seconds: float) -> dict[str, object]:
        self._backend.clock.advance(seconds)
        return self._clock()

    def _change_settings(self, **changes: object) -> dict[str, Any]:
        self._backend.settings = self._backend.settings.changed(changes)
        return asdict(self._backend.settings)

    def _fault(self, kind: str, **given: object) -> int:
        return self._backend.faults.add(make_fault(kind, given))

    def _remove_fault(self, fault_id: int) -> None:
        self._backend.faults.remove(fault_id)

    def _clear_faults(self) -> None:
        self._backend.faults.clear()

    def _seed_dice(self, seed: int) -> None:
        self._backend.faults.seed(seed)

    def _hook(self, command: str, arguments: Mapping[str, object], **call_filter: Any) -> None:
        if command not in self._commands:
            raise ValueError(f"unknown command: {command!r}; known: {sorted(self._commands)}")
        if unknown := set(call_filter) - CALL_FILTER_KEYS:
            raise ValueError(f"a hook does not accept {sorted(unknown)}, only {sorted(CALL_FILTER_KEYS)}")
        self._backend.hooks.add(Hook(call_filter=CallFilter(**call_filter), command=command, arguments=arguments))

    def _clear_hooks(self) -> None:
        self._backend.hooks.clear()

    def _next_outcome(self, vault_name: str | None = None, count: int = 1, **planned: Any) -> None:
        outcome = PlannedOutcome(**planned)
        if outcome.outcome not in OUTCOMES:
            raise ValueError(f"the outcome is {outcome.outcome!r}, expected one of {OUTCOMES}")
        self._backend.planned_outcomes.extend([(vault_name, outcome)] * count)

    def _calls(self) -> dict[str, Any]:
        return self._backend.calls.counts()

    def _requests(self, operation: str | None = None, vault_name: str | None = None) -> list[dict[str, Any]]:
        return self._backend.calls.latest(operation, vault_name)

    def _reset_calls(self) -> None:
        self._backend.calls.reset()
