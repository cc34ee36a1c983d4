"""The client that controls a local AWS from outside."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast

import urllib3

from local_aws import timestamps
from local_aws.jobs import Description
from local_aws.vaults import DEFAULT_ACCOUNT_ID, DEFAULT_REGION


class ControlError(Exception):
    """The local AWS rejected a command; the message contains the reason."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The calls received since the last reset, including those that ended in an error."""

    total: int
    by_operation: Mapping[str, int]
    by_vault: Mapping[tuple[str, str | None], int]
    """By operation and vault; for List Vaults, the vault is ``None``."""
    in_flight: int
    most_in_flight: int
    """The maximum number of calls in flight at once."""


class ClientArguments(TypedDict):
    """Keyword arguments of ``boto3.client`` for any service."""

    endpoint_url: str
    region_name: str
    aws_access_key_id: str
    aws_secret_access_key: str


class Control:
    """Controls the local AWS at an endpoint, in this process or another.

    By default, vaults and jobs are in the account 123456789012 in us-east-1. Dates are aware datetimes in arguments and
    results, and ISO 8601 strings in descriptions. A rejected command raises :class:`ControlError`.

    Example::

        with local_aws.process.running() as control:
            control.add_jobs("photos", [{"_life": {"duration_seconds": 60}}])
            glacier = boto3.client("glacier", **control.boto3_arguments())
            control.advance(60)
            glacier.list_jobs(vaultName="photos")
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._pool = urllib3.PoolManager(maxsize=1)

    def _execute(self, name: str, /, **arguments: Any) -> Any:
        # In ASCII: a description can have a lone surrogate, which cannot be encoded as UTF-8.
        content, headers = json.dumps(arguments).encode(), {"Content-Type": "application/json"}
        url = f"{self.endpoint}/_local_aws/{name}"
        response = self._pool.request("POST", url, body=content, headers=headers, retries=False)
        body = json.loads(response.data)
        if response.status != 200:
            raise ControlError(f"{name}: {body['error']}")
        return body["result"]

    def close(self) -> None:
        """Close the connection to the local AWS. The next command opens a new one."""
        self._pool.clear()

    def boto3_arguments(
        self, region: str = DEFAULT_REGION, access_key: str = "LOCALAWSACCESSKEY000"
    ) -> ClientArguments:
        """Return keyword arguments for ``boto3.client("glacier", **...)``: this endpoint, a Region and dummy keys."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": region,
            "aws_access_key_id": access_key,
            "aws_secret_access_key": "local-aws-secret",
        }

    def environment(self, region: str = DEFAULT_REGION) -> dict[str, str]:
        """Return environment variables for a child process that uses this endpoint, such as the AWS CLI."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "LOCALAWSACCESSKEY000",
            "AWS_SECRET_ACCESS_KEY": "local-aws-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def reset(self) -> None:
        """Remove everything, including moto's state, and restore the initial settings and clock."""
        self._execute("reset")

    def seed(self, name: str, *, vaults: int | None = None, jobs: int | None = None) -> None:
        """Add the data of a seed: ``demo``, ``large`` (``vaults`` vaults of ``jobs`` jobs each) or ``empty``."""
        self._execute("seed", name=name, vaults=vaults, jobs=jobs)

    def add_vaults(
        self,
        *vaults: str | Mapping[str, Any],
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        """Add vaults by name, or by a description with AWS's member names, which List Vaults returns as given.

        :return: their ARNs.
        """
        return cast(list[str], self._execute("add_vaults", vaults=vaults, account_id=account_id, region=region))

    def delete_vault(
        self, vault_name: str, *, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION
    ) -> None:
        """Delete a vault with its archives and jobs."""
        self._execute("delete_vault", vault_name=vault_name, account_id=account_id, region=region)

    def vaults(self, *, account_id: str = DEFAULT_ACCOUNT_ID, region: str = DEFAULT_REGION) -> list[Description]:
        """All vaults of an account and Region as List Vaults shows them, by name."""
        return cast(list[Description], self._execute("vaults", account_id=account_id, region=region))

    def add_archives(
        self,
        vault_name: str,
        archives: Iterable[Mapping[str, Any]],
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> list[str]:
        """Add archives with generated content.

        :param archives: each with ``Size``, and optionally ``ArchiveId``, ``ArchiveDescription`` and ``CreationDate``.
        :return: the archive IDs.
        """
        added = self._execute(
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
        """Add jobs to a vault; create the vault if it does not exist.

        Each job is a description with AWS's member names and a lifecycle in ``_life``. A job with an existing ID
        replaces that job. :func:`local_aws.jobs.job_from_description` documents defaults and lifecycles.

        :return: the job IDs.
        """
        added = self._execute("add_jobs", vault_name=vault_name, jobs=list(jobs), account_id=account_id, region=region)
        return cast(list[str], added)

    def remove_jobs(
        self,
        vault_name: str,
        job_ids: Sequence[str],
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
    ) -> None:
        """Remove jobs immediately."""
        self._execute("remove_jobs", vault_name=vault_name, job_ids=job_ids, account_id=account_id, region=region)

    def jobs(
        self,
        vault_name: str | None = None,
        *,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
        unlisted: bool = False,
    ) -> list[Description]:
        """Return all jobs that List Jobs returns now, for one vault or all, by vault and initiation time.

        :param unlisted: include jobs that Describe Job returns, but List Jobs does not return yet.
        """
        found = self._execute("jobs", vault_name=vault_name, account_id=account_id, region=region, unlisted=unlisted)
        return cast(list[Description], found)

    def now(self) -> datetime:
        """Return the time of the clock."""
        return timestamps.parse(self._execute("clock")["now"])

    def set_clock(self, at: datetime | None = None, *, speed: float | None = None) -> datetime:
        """Set the time of the clock, its speed (0 stops it), or both.

        :return: the time of the clock.
        """
        text = None if at is None else timestamps.isoformat(at)
        return timestamps.parse(self._execute("set_clock", at=text, speed=speed)["now"])

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward.

        :return: the time of the clock.
        """
        return timestamps.parse(self._execute("advance", seconds=seconds)["now"])

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings, named as in :class:`local_aws.settings.Settings`.

        :return: all settings.
        """
        return cast(dict[str, Any], self._execute("settings", **changes))

    def fault(self, kind: str, **given: Any) -> int:
        """Add a fault.

        :param kind: one of :data:`local_aws.faults.KINDS`.
        :param given: the arguments of this kind, and the calls to which it applies: ``operation``, ``vault_name``,
            ``account_id``, ``region``, ``access_key``, ``skip`` (matching calls to skip first), ``count`` (maximum
            number of calls, without a limit by default) and ``probability``.
        :return: the ID for :meth:`remove_fault`.
        """
        return cast(int, self._execute("fault", kind=kind, **given))

    def remove_fault(self, fault_id: int) -> None:
        """Remove a fault."""
        self._execute("remove_fault", fault_id=fault_id)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._execute("clear_faults")

    def seed_dice(self, seed: int) -> None:
        """Seed the random number generator that selects calls for faults with a ``probability``."""
        self._execute("seed_dice", seed=seed)

    def hook(self, command: str, arguments: Mapping[str, Any] | None = None, **call_filter: Any) -> None:
        """Execute a command after a matching call, before its response is sent.

        Calls for which a fault returns an error do not count.

        ``hook("delete_vault", {"vault_name": "v"}, operation="ListJobs", vault_name="v", skip=1, count=1)`` deletes
        the vault after the second page of its listing. ``hook("advance", {"seconds": 60}, operation="ListJobs")`` moves
        the clock forward by a minute at each page.

        :param command: the name of a method of this class.
        :param arguments: the arguments of the command as JSON values: dates as ISO 8601 strings, lists of jobs and
            vaults as lists.
        :param call_filter: the calls, as for :meth:`fault`.
        """
        self._execute("hook", command=command, arguments=dict(arguments or {}), **call_filter)

    def clear_hooks(self) -> None:
        """Remove all hooks."""
        self._execute("clear_hooks")

    def next_outcome(self, outcome: str = "Succeeded", **planned: Any) -> None:
        """Plan the outcome of the next initiated job.

        :param outcome: ``Succeeded`` or ``Failed``.
        :param planned: ``status_message``, ``duration_seconds``, ``listed_after_seconds``, ``retention_seconds``;
            ``vault_name`` for a job of this vault only; ``count`` for several jobs.
        """
        self._execute("next_outcome", outcome=outcome, **planned)

    def calls(self) -> Calls:
        """Return statistics of the calls since the last reset."""
        counts = self._execute("calls")
        by_vault = {(each["operation"], each["vault_name"]): each["calls"] for each in counts.pop("by_vault")}
        return Calls(by_vault=by_vault, **counts)

    def requests(self, operation: str | None = None, vault_name: str | None = None) -> list[dict[str, Any]]:
        """Return the latest 10,000 calls, oldest first.

        :return: each with ``operation``, ``account`` (as sent), ``account_id``, ``region``, ``access_key``,
            ``vault_name``, ``item_id``, ``query`` and the header ``range`` (as sent; ``None`` without one).
        """
        return cast(list[dict[str, Any]], self._execute("requests", operation=operation, vault_name=vault_name))

    def reset_calls(self) -> None:
        """Set the counts to zero."""
        self._execute("reset_calls")
