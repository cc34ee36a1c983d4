"""A trigger for event-driven DAGs: a DAG starts when jobs of a vault complete."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from glacier_jobs.arguments import checked_seconds, refuse_discarded
from glacier_jobs.compat import asset_state_store
from glacier_jobs.errors import GlacierJobsError, InvalidArgument, MalformedAnswer
from glacier_jobs.glacier.identifiers import VaultArn, check_account_id, check_vault_name
from glacier_jobs.glacier.pagination import check_statuscode
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.poll import PollRequest
from glacier_jobs.waiting.shared_poller import PollerRegistry, PollKey, Subscription

if TYPE_CHECKING:
    from glacier_jobs.waiting.state import PollResult

BeginWith: TypeAlias = Literal["everything", "new"]

DEFAULT_POLL_SECONDS = 600.0

#: How many ids an event's payload holds. Airflow stores each event's payload in its database, and shows it in its UI.
JOBS_IN_PAYLOAD = 100


class GlacierJobCompletedTrigger(BaseEventTrigger):
    """Yield an event when jobs of a vault have completed, for an ``AssetWatcher``: at most one event a poll.

    An event's payload is ``{"vault_name", "account_id", "region", "jobs", "count"}``: ``count`` is how many jobs have
    completed since the last event, and ``jobs`` are the ids of the first :data:`JOBS_IN_PAYLOAD` of them. Account and
    Region are those of the jobs' ``VaultARN``, or if none of them is valid, the arguments of this trigger.

    An event wakes a DAG up; it is not a message queue. Airflow merges events of an asset that arrive together: the run
    that they start receives some of them only. So a DAG lists the vault's completed jobs itself, and keeps its own
    record of those that it has processed.

    Events are delivered at least once: after a restart of the triggerer, some may be delivered again. Which jobs were
    delivered is stored in the asset's state store, by connection, account, Region and vault. Where nothing can be
    stored, because one trigger serves several assets, or Airflow is older than 3.3, each start of the triggerer
    delivers all jobs that are listed as completed.

    It never raises: errors are logged, and the poll is repeated with increasing delays.

    Example::

        trigger = GlacierJobCompletedTrigger(vault_name="photos", statuscode="Succeeded")
        completed = Asset("photos_jobs", watchers=[AssetWatcher(name="photos", trigger=trigger)])


        @dag(schedule=[completed])
        def process_completed_jobs(): ...

    :param vault_name: the vault that is watched.
    :param account_id: 12 digits, or ``-`` for the account of the credentials.
    :param begin_with: the jobs of the very first start: with ``everything``, all that are listed as completed; with
        ``new``, only those that complete from then on, if what was delivered can be stored.
    :param statuscode: ``Succeeded`` or ``Failed`` for these jobs only; ``None`` for both.
    :param poll_seconds: the interval between two polls; triggers that share their polls share the shortest interval.
    :param aws_conn_id: the Airflow connection for Glacier.
    :param region_name: the Region; ``None`` for that of the connection.
    :param verify: as in boto3.
    :param botocore_config: keywords of botocore's ``Config``.
    """

    def __init__(
        self,
        *,
        vault_name: str,
        account_id: str = "-",
        begin_with: BeginWith = "new",
        statuscode: str | None = None,
        poll_seconds: float = DEFAULT_POLL_SECONDS,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        if begin_with not in get_args(BeginWith):
            raise InvalidArgument(f"begin_with is {begin_with!r}; allowed are {', '.join(get_args(BeginWith))}")
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # Airflow's, untyped
        self.vault_name = check_vault_name(vault_name)
        self.account_id = check_account_id(account_id)
        self.begin_with = begin_with
        self.statuscode = check_statuscode(statuscode)
        self.poll_seconds = checked_seconds(poll_seconds, "poll_seconds")
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self._subscription: Subscription | None = None
        self._delivered: set[str] | None = None
        self._saved: set[str] | None = None
        self._store: Any = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, from which the triggerer recreates this trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "vault_name": self.vault_name,
                "account_id": self.account_id,
                "begin_with": self.begin_with,
                "statuscode": self.statuscode,
                "poll_seconds": self.poll_seconds,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each poll that shows newly completed jobs, without end."""
        failures = 0
        while True:
            try:
                if payload := await self._next_payload():
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's, untyped
                failures = 0
            except Exception as error:
                # If this raised, Airflow would restart the watcher immediately, again and again.
                failures += 1
                self.log.warning("The watch of vault %s failed: %s", self.vault_name, error, exc_info=True)
                await asyncio.sleep(next_delay_seconds(min(self.poll_seconds, 60.0), failures, 0.5))

    async def cleanup(self) -> None:
        """Cancel the subscription: Airflow does not close the ``run`` of a cancelled watcher."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None

    async def _next_payload(self) -> dict[str, Any] | None:
        """Wait for the next poll, and return the payload of its event, if it shows newly completed jobs."""
        if self._delivered is None:
            self._delivered = await self._load()
        if self._subscription is None:
            self._subscription = PollerRegistry.of_running_loop().subscribe(
                self._poll_key(), self._request, poll_seconds=self.poll_seconds, first_after_seconds=0.0
            )
        result = await self._subscription.next_result()
        if isinstance(result, GlacierJobsError):
            # The shared poller backs off by itself.
            self.log.warning("%s", result)
            return None
        return await self._process(result)

    async def _process(self, result: PollResult) -> dict[str, Any] | None:
        if self._delivered is None:
            self._delivered = set(result.completed) if self.begin_with == "new" else set()
        # The event of the last poll has been stored by now. A job that is not listed any more never appears again.
        self._delivered &= result.completed.keys()
        await self._save(self._delivered)
        new = {job_id: job for job_id, job in result.completed.items() if job_id not in self._delivered}
        jobs = [job for job in new.values() if job is not None and self.statuscode in (None, job.get("StatusCode"))]
        payload = self._payload(jobs) if jobs else None
        self._delivered |= new.keys()
        return payload

    def _payload(self, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        account_id, region = self._account_and_region(jobs)
        return {
            "vault_name": self.vault_name,
            "account_id": account_id,
            "region": region,
            "jobs": [job["JobId"] for job in jobs[:JOBS_IN_PAYLOAD]],
            "count": len(jobs),
        }

    def _account_and_region(self, jobs: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
        """Return what the jobs' descriptions say, or if none of them does, this trigger's arguments."""
        for job in jobs:
            with contextlib.suppress(MalformedAnswer):
                arn = VaultArn.parse(job["VaultARN"])
                return arn.account_id, arn.region
        self.log.warning(
            "No new job of vault %s has a valid VaultARN (the first: %r); its event names the trigger's account_id and "
            "region_name",
            self.vault_name,
            jobs[0]["VaultARN"],
        )
        return self.account_id, self.region_name

    def _request(self) -> PollRequest:
        return PollRequest(delivered=frozenset(self._delivered or ()))

    async def _load(self) -> set[str] | None:
        """Return the jobs that were delivered; ``None`` if this is the very first start."""
        self._store = asset_state_store(self)
        if self._store is None:
            return self._nothing_stored("Airflow has no state store for this asset")
        try:
            stored: Any = await self._store.aget(self._state_key)
            if stored is not None:
                self._saved = set(stored["told"])
                return set(stored["told"])
            stored = await self._store.aget(self._state_key_without_connection)
        except ValueError as error:
            # Airflow raises this if several assets have this trigger, so that it cannot choose one.
            self._store = None
            return self._nothing_stored(str(error))
        return None if stored is None else set(stored["told"])

    def _nothing_stored(self, reason: str) -> set[str]:
        # This may be a restart: a job that completed while no triggerer ran would never be delivered.
        self.log.warning(
            "Each start of the triggerer delivers all completed jobs of vault %s, because which of them were delivered "
            "cannot be stored: %s",
            self.vault_name,
            reason,
        )
        return set()

    async def _save(self, delivered: set[str]) -> None:
        if self._store is not None and delivered != self._saved:
            await self._store.aset(self._state_key, {"told": sorted(delivered)})
            self._saved = set(delivered)

    @property
    def _state_key(self) -> str:
        # A digest: the key column of Airflow's database holds 512 characters, and two names can have 505.
        connection = hashlib.sha256((self.aws_conn_id or "").encode()).hexdigest()[:16]
        return f"{self._state_key_without_connection}:{connection}"

    @property
    def _state_key_without_connection(self) -> str:
        """The key of version 0.1.0, which watchers with different connections shared."""
        return f"glacier_jobs:told:{self.account_id}:{self.region_name or '-'}:{self.vault_name}"

    def _poll_key(self) -> PollKey:
        return PollKey.of(
            vault_name=self.vault_name,
            account_id=self.account_id,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
