"""What a user of the local AWS may do to it from outside: the commands behind the control's path."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from moto.moto_api._internal.models import moto_api_backend

from local_aws import seeds, timestamps
from local_aws.archives import Archive, Content
from local_aws.faults import AIM_KEYS, Aim, Hook, fault_from
from local_aws.initiation import Fate
from local_aws.jobs import OUTCOMES, Description, job_from
from local_aws.store import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, Realm, Vault
from local_aws.world import World, new_archive_id, new_job_id


class Commands:
    """The commands by name. Each takes and gives what JSON can carry, and is documented where it is called, at the
    client.

    :param start_at: what a reset sets the clock to; ``None`` is the time of day.
    """

    def __init__(self, world: World, *, start_at: datetime | None) -> None:
        self._world = world
        self._settings = world.settings
        self._start_at = start_at
        self._start_speed = world.clock.speed
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

    def obey(self, name: str, arguments: Mapping[str, Any]) -> object:
        """Carry out one command.

        :raises ValueError: there is no such command, or an argument is wrong.
        :raises TypeError: an argument is missing or too many.
        """
        if name not in self._commands:
            raise ValueError(f"no such command: {name!r}; there are {sorted(self._commands)}")
        with self._world.lock:
            return self._commands[name](**arguments)

    def _reset(self) -> None:
        start_at = self._start_at or datetime.now(timezone.utc)
        self._world.empty(settings=self._settings, clock_at=start_at, clock_speed=self._start_speed)
        moto_api_backend.reset()

    def _seed(self, name: str, vaults: int | None = None, jobs: int | None = None) -> None:
        seeds.plant(name, self._world, vaults=vaults, jobs=jobs)

    def _vault(self, vault_name: str, account_id: str, region: str) -> Vault:
        realm = Realm(account_id, region)
        vault = self._world.store.vault(realm, vault_name)
        if vault is None:
            raise ValueError(f"no vault {realm.vault_arn(vault_name)}")
        return vault

    def _add_vaults(
        self,
        vaults: Sequence[str | Description],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        realm = Realm(account_id, region)
        arns = []
        for given in vaults:
            said = {"VaultName": given} if isinstance(given, str) else dict(given)
            name = said["VaultName"]
            created_at = timestamps.read(said["CreationDate"]) if "CreationDate" in said else self._world.clock.now()
            vault = Vault(name=name, arn=realm.vault_arn(name), created_at=created_at, said=said)
            self._world.store.vaults(realm)[name] = vault
            arns.append(vault.arn)
        return arns

    def _delete_vault(
        self, vault_name: str, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION
    ) -> None:
        self._world.store.vaults(Realm(account_id, region)).pop(vault_name, None)

    def _vaults(self, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION) -> list[Description]:
        now = self._world.clock.now()
        vaults = self._world.store.vaults(Realm(account_id, region))
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
            created_at = timestamps.read(given["CreationDate"]) if "CreationDate" in given else self._world.clock.now()
            vault.archives[archive_id] = Archive(
                archive_id=archive_id,
                description=given.get("ArchiveDescription", ""),
                created_at=created_at,
                content=Content.made_up(archive_id, given["Size"]),
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
        world, realm = self._world, Realm(account_id, region)
        now = world.clock.now()
        vaults = world.store.vaults(realm)
        if vault_name not in vaults:
            vaults[vault_name] = Vault(name=vault_name, arn=realm.vault_arn(vault_name), created_at=now)
        vault = vaults[vault_name]
        made = [
            job_from(given, job_id=new_job_id(), vault_arn=vault.arn, now=now, retention=world.settings.retention)
            for given in jobs
        ]
        vault.living().put(made)
        return [job.job_id for job in made]

    def _remove_jobs(
        self,
        vault_name: str,
        job_ids: Sequence[str],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> None:
        self._vault(vault_name, account_id, region).living().remove(job_ids)

    def _jobs(
        self,
        vault_name: str | None = None,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
        unlisted: bool = False,
    ) -> list[Description]:
        now = self._world.clock.now()
        if vault_name is None:
            vaults = list(self._world.store.vaults(Realm(account_id, region)).values())
        else:
            vaults = [self._vault(vault_name, account_id, region)]
        return [
            job.description(now)
            for vault in sorted(vaults, key=lambda vault: vault.name)
            for job in sorted(vault.shelf.jobs(), key=lambda job: (job.created_at, job.job_id))
            if (job.is_known(now) if unlisted else job.is_listed(now))
        ]

    def _clock(self) -> dict[str, object]:
        return {"now": timestamps.write(self._world.clock.now()), "speed": self._world.clock.speed}

    def _set_clock(self, at: str | None = None, speed: float | None = None) -> dict[str, object]:
        self._world.clock.set(self._world.clock.now() if at is None else timestamps.read(at), speed)
        return self._clock()

    def _advance(self, seconds: float) -> dict[str, object]:
        self._world.clock.advance(seconds)
        return self._clock()

    def _change_settings(self, **changes: object) -> dict[str, Any]:
        self._world.settings = self._world.settings.changed(changes)
        return asdict(self._world.settings)

    def _fault(self, kind: str, **given: object) -> int:
        return self._world.faults.add(fault_from(kind, given))

    def _remove_fault(self, fault_id: int) -> None:
        self._world.faults.remove(fault_id)

    def _clear_faults(self) -> None:
        self._world.faults.clear()

    def _seed_dice(self, seed: int) -> None:
        self._world.faults.seed(seed)

    def _hook(self, command: str, arguments: Mapping[str, object], **aim: Any) -> None:
        if command not in self._commands:
            raise ValueError(f"no such command: {command!r}; there are {sorted(self._commands)}")
        if unknown := set(aim) - AIM_KEYS:
            raise ValueError(f"a hook takes no {sorted(unknown)}, only {sorted(AIM_KEYS)}")
        self._world.hooks.add(Hook(aim=Aim(**aim), command=command, arguments=arguments))

    def _clear_hooks(self) -> None:
        self._world.hooks.clear()

    def _next_outcome(self, vault_name: str | None = None, count: int = 1, **fate: Any) -> None:
        decided = Fate(**fate)
        if decided.outcome not in OUTCOMES:
            raise ValueError(f"the outcome is {decided.outcome!r}, expected one of {OUTCOMES}")
        self._world.fates.extend([(vault_name, decided)] * count)

    def _calls(self) -> dict[str, Any]:
        return self._world.calls.counts()

    def _requests(self, operation: str | None = None, vault_name: str | None = None) -> list[dict[str, Any]]:
        return self._world.calls.latest(operation, vault_name)

    def _reset_calls(self) -> None:
        self._world.calls.reset()
