"""The event-driven way in: a DAG starts when a job of a vault completes.

::

    trigger = GlacierJobCompletedTrigger(vault_name="photos")
    photos_jobs = Asset("photos_jobs", watchers=[AssetWatcher(name="photos", trigger=trigger)])
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from glacier_jobs.arguments import checked_seconds, refuse_discarded
from glacier_jobs.errors import GlacierJobsError, InvalidArgument
from glacier_jobs.glacier.identifiers import check_account_id, check_vault_name
from glacier_jobs.glacier.pagination import check_statuscode
from glacier_jobs.waiting.backoff import next_delay_seconds
from glacier_jobs.waiting.poll import Wanted
from glacier_jobs.waiting.shared_poller import Seat, Source, Sweeps

if TYPE_CHECKING:
    from glacier_jobs.waiting.state import Sight

BeginWith: TypeAlias = Literal["everything", "new"]

DEFAULT_POLL_SECONDS = 600.0


class GlacierJobCompletedTrigger(BaseEventTrigger):
    """Tell each job of a vault that completes, for an ``AssetWatcher``.

    An event's payload is the job's description as AWS gives it, named by its ``JobId``. Events come at least once:
    after a restart of the triggerer some may come again. Which were told is kept in the asset's state store, so
    that a watcher needs an asset of its own; where one trigger serves several assets, that is kept in memory only.

    It never raises: whatever goes wrong is logged, and tried again later and later.

    :param vault_name: the vault that is watched.
    :param account_id: 12 digits, or ``-`` for the account of the credentials.
    :param begin_with: what counts at the very first start: ``everything`` that is listed as completed, or only what
        completes from then on, ``new``.
    :param statuscode: ``Succeeded`` or ``Failed`` for these jobs only; ``None`` for both.
    :param poll_seconds: the interval between two polls; those who share a sweep share the shortest.
    :param aws_conn_id: the Airflow connection for Glacier.
    :param region_name: the Region; ``None`` takes the connection's.
    :param verify: as boto3 takes it.
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
        self._seat: Seat | None = None
        self._told: set[str] | None = None
        self._saved: set[str] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger from again."""
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
        """Yield an event for each job that completes, for ever."""
        failures = 0
        while True:
            try:
                for job in await self._new_completions():
                    yield TriggerEvent(job)  # type: ignore[no-untyped-call]  # Airflow's, untyped
                failures = 0
            except Exception as error:
                # Airflow would begin a watcher that raises again at once, for ever.
                failures += 1
                self.log.warning("Watching vault %s went wrong: %s", self.vault_name, error, exc_info=True)
                await asyncio.sleep(next_delay_seconds(min(self.poll_seconds, 60.0), failures, 0.5))

    async def cleanup(self) -> None:
        """Give up the seat: a watcher that is cancelled is not left by its own ``run``."""
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    async def _new_completions(self) -> list[Mapping[str, Any]]:
        """Wait for the next sweep, and return the jobs that nobody was told of."""
        if self._told is None:
            self._saved = await self._load()
            self._told = None if self._saved is None else set(self._saved)
        if self._seat is None:
            self._seat = Sweeps.of_this_loop().seat(
                self._source(), self._wanted, poll_seconds=self.poll_seconds, first_after_seconds=0.0
            )
        news = await self._seat.news()
        if isinstance(news, GlacierJobsError):
            # The sweeps back off by themselves.
            self.log.warning("%s", news)
            return []
        return await self._take_in(news)

    async def _take_in(self, sight: Sight) -> list[Mapping[str, Any]]:
        if self._told is None:
            self._told = set(sight.completed) if self.begin_with == "new" else set()
        # What was yielded after the last sweep has been persisted by now; what is not listed any more won't be again.
        self._told &= sight.completed.keys()
        await self._save(self._told)
        new = {job_id: job for job_id, job in sight.completed.items() if job_id not in self._told}
        self._told |= new.keys()
        return [job for job in new.values() if job is not None and self.statuscode in (None, job.get("StatusCode"))]

    def _wanted(self) -> Wanted:
        return Wanted(told=frozenset(self._told or ()))

    async def _load(self) -> set[str] | None:
        if self.asset_state_store is None:
            return None
        try:
            stored: Any = await self.asset_state_store.aget(self._key)
        except ValueError as error:
            # Airflow's answer where it cannot tell which of several assets is meant.
            self.log.warning("What was told of vault %s is kept in memory only: %s", self.vault_name, error)
            self.asset_state_store = None
            return None
        return None if stored is None else set(stored["told"])

    async def _save(self, told: set[str]) -> None:
        if self.asset_state_store is not None and told != self._saved:
            value: dict[str, Any] = {"told": sorted(told)}
            await self.asset_state_store.aset(self._key, value)
            self._saved = set(told)

    @property
    def _key(self) -> str:
        return f"glacier_jobs:told:{self.account_id}:{self.region_name or '-'}:{self.vault_name}"

    def _source(self) -> Source:
        return Source.of(
            vault_name=self.vault_name,
            account_id=self.account_id,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
