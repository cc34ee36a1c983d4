"""How a test, or a person, drives a local AWS from outside."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast

import urllib3

from local_aws import timestamps
from local_aws.jobs import Description
from local_aws.store import DEFAULT_ACCOUNT_ID, DEFAULT_REGION


class ControlError(Exception):
    """The local AWS refused a command; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The calls received since the last reset, those that ended in an error included."""

    total: int
    by_operation: Mapping[str, int]
    by_vault: Mapping[tuple[str, str | None], int]
    """By operation and vault; List Vaults has the vault ``None``."""
    in_flight: int
    most_in_flight: int
    """The most calls that were under way at once."""


class ClientArguments(TypedDict):
    """Keywords of ``boto3.client``, of whichever service."""

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


class Control:
    """Drives the local AWS at an endpoint, whichever process it runs in.

    Vaults and jobs are those of the account 123456789012 in us-east-1 where nothing else is said. All dates are aware
    datetimes here and ISO 8601 texts in descriptions. What the local AWS refuses is a :class:`ControlError`.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._pool = urllib3.PoolManager(maxsize=1)

    def _obey(self, name: str, /, **arguments: Any) -> Any:
        response = self._pool.request("POST", f"{self.endpoint}/_local_aws/{name}", json=arguments, retries=False)
        answer = json.loads(response.data)
        if response.status != 200:
            raise ControlError(f"{name}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Close the connection to the local AWS; a further command opens it again."""
        self._pool.clear()

    def boto3_arguments(
        self, region: str = DEFAULT_REGION, access_key: str = "LOCALAWSACCESSKEY000"
    ) -> ClientArguments:
        """Keywords for ``boto3.client("glacier", **...)``: this endpoint, a Region and keys without meaning."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": region,
            "aws_access_key_id": access_key,
            "aws_secret_access_key": "local-aws-secret",
        }

    def environment(self, region: str = DEFAULT_REGION) -> dict[str, str]:
        """Variables for a child process that shall use this endpoint, such as the AWS CLI."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "LOCALAWSACCESSKEY000",
            "AWS_SECRET_ACCESS_KEY": "local-aws-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def reset(self) -> None:
        """Back to an empty local AWS, moto's part included, with the settings and the clock it was started with."""
        self._obey("reset")

    def seed(self, name: str, *, vaults: int | None = None, jobs: int | None = None) -> None:
        """Add what a seed holds: ``demo``, ``large`` (``vaults`` of ``jobs`` each) or ``empty``."""
        self._obey("seed", name=name, vaults=vaults, jobs=jobs)

    def add_vaults(
        self,
        *vaults: str | Mapping[str, Any],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        """Add vaults by name, or by a description in AWS's form, whose members are then shown as given.

        :return: their ARNs.
        """
        return cast(list[str], self._obey("add_vaults", vaults=vaults, account_id=account_id, region=region))

    def delete_vault(
        self, vault_name: str, *, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION
    ) -> None:
        """Delete a vault with all that it holds."""
        self._obey("delete_vault", vault_name=vault_name, account_id=account_id, region=region)

    def vaults(self, *, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION) -> list[Description]:
        """All vaults of an account and Region as List Vaults shows them, by name."""
        return cast(list[Description], self._obey("vaults", account_id=account_id, region=region))

    def add_archives(
        self,
        vault_name: str,
        archives: Iterable[Mapping[str, Any]],
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        """Add archives with made-up content, by ``Size`` and perhaps ``ArchiveId``, ``ArchiveDescription``,
        ``CreationDate``.

        :return: their ids.
        """
        added = self._obey(
            "add_archives", vault_name=vault_name, archives=list(archives), account_id=account_id, region=region
        )
        return cast(list[str], added)

    def add_jobs(
        self,
        vault_name: str,
        jobs: Iterable[Mapping[str, Any]],
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        """Add jobs by descriptions in AWS's form, each with its life under ``_life``, to a vault that is made if need
        be.

        An id that the vault has already is replaced. See :func:`local_aws.jobs.job_from` for what is filled in and
        what a life holds.

        :return: their ids.
        """
        added = self._obey("add_jobs", vault_name=vault_name, jobs=list(jobs), account_id=account_id, region=region)
        return cast(list[str], added)

    def remove_jobs(
        self,
        vault_name: str,
        job_ids: Sequence[str],
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> None:
        """Forget jobs at once."""
        self._obey("remove_jobs", vault_name=vault_name, job_ids=job_ids, account_id=account_id, region=region)

    def jobs(
        self,
        vault_name: str | None = None,
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
        unlisted: bool = False,
    ) -> list[Description]:
        """All jobs that List Jobs shows at this moment, of one vault or of all, by vault and initiation.

        :param unlisted: also those that Describe Job knows and List Jobs does not show yet.
        """
        found = self._obey("jobs", vault_name=vault_name, account_id=account_id, region=region, unlisted=unlisted)
        return cast(list[Description], found)

    def now(self) -> datetime:
        """The clock's time."""
        return timestamps.read(self._obey("clock")["now"])

    def set_clock(self, at: datetime | None = None, *, speed: float | None = None) -> datetime:
        """Set the clock, its speed (0 stands still), or both.

        :return: the clock's time.
        """
        written = None if at is None else timestamps.write(at)
        return timestamps.read(self._obey("set_clock", at=written, speed=speed)["now"])

    def advance(self, seconds: float) -> datetime:
        """Move the clock ahead.

        :return: the clock's time.
        """
        return timestamps.read(self._obey("advance", seconds=seconds)["now"])

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings by the names in :class:`local_aws.settings.Settings`.

        :return: all settings.
        """
        return cast(dict[str, Any], self._obey("settings", **changes))

    def fault(self, kind: str, **given: Any) -> int:
        """Begin a fault.

        :param kind: one of :data:`local_aws.faults.KINDS`.
        :param given: the kind's own arguments, and which calls it strikes: ``operation``, ``vault_name``,
            ``account_id``, ``region``, ``access_key``, ``skip`` (matching calls to let pass first), ``count`` (calls
            to strike; without it no end) and ``probability``.
        :return: the number that :meth:`remove_fault` takes.
        """
        return cast(int, self._obey("fault", kind=kind, **given))

    def remove_fault(self, fault_id: int) -> None:
        """End a fault."""
        self._obey("remove_fault", fault_id=fault_id)

    def clear_faults(self) -> None:
        """End all faults."""
        self._obey("clear_faults")

    def seed_dice(self, seed: int) -> None:
        """Choose the throws that decide which calls a fault with a ``probability`` strikes."""
        self._obey("seed_dice", seed=seed)

    def hook(self, command: str, arguments: Mapping[str, Any] | None = None, **aim: Any) -> None:
        """Let a command happen by itself once a call has been answered, before the answer is sent.

        A call that a fault answers with an error does not count.

        ``hook("delete_vault", {"vault_name": "v"}, operation="ListJobs", vault_name="v", skip=1, count=1)`` deletes
        the vault after the second page of its listing; ``hook("advance", {"seconds": 60}, operation="ListJobs")`` lets
        a minute pass at each page.

        :param command: a method of this class, by name.
        :param arguments: the command's arguments as they go over the wire: dates as texts, lists of jobs and vaults in
            full.
        :param aim: which calls, as for :meth:`fault`.
        """
        self._obey("hook", command=command, arguments=dict(arguments or {}), **aim)

    def clear_hooks(self) -> None:
        """Forget all hooks."""
        self._obey("clear_hooks")

    def next_outcome(self, outcome: str = "Succeeded", **fate: Any) -> None:
        """Decide what becomes of the next initiated job.

        :param outcome: ``Succeeded`` or ``Failed``.
        :param fate: ``status_message``, ``duration_seconds``, ``listed_after_seconds``, ``retention_seconds``;
            ``vault_name`` for a job of this vault only; ``count`` for more jobs than one.
        """
        self._obey("next_outcome", outcome=outcome, **fate)

    def calls(self) -> Calls:
        """What was received since the last reset."""
        counts = self._obey("calls")
        by_vault = {(each["operation"], each["vault_name"]): each["calls"] for each in counts.pop("by_vault")}
        return Calls(by_vault=by_vault, **counts)

    def requests(self, operation: str | None = None, vault_name: str | None = None) -> list[dict[str, Any]]:
        """The latest 10,000 calls, oldest first.

        :return: each with ``operation``, ``account`` (as asked), ``account_id``, ``region``, ``access_key``,
            ``vault_name``, ``item_id`` and ``query`` (as sent).
        """
        return cast(list[dict[str, Any]], self._obey("requests", operation=operation, vault_name=vault_name))

    def reset_calls(self) -> None:
        """Count from zero again."""
        self._obey("reset_calls")
