"""Makes one observation: lists all vaults of an account and Region concurrently, and publishes the result as one."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias, get_args

import pyarrow as pa

from glacier_jobs import __version__
from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.schema import SCHEMA_VERSION, Observation
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.errors import (
    FinalError,
    GlacierJobsError,
    InvalidArgument,
    TransientError,
    VaultNotFound,
    VaultsRefused,
    VaultsUnavailable,
    WrongAccount,
)
from glacier_jobs.glacier.decoding import values_of
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import VaultArn, check_account_id, check_vault_name
from glacier_jobs.glacier.rows import ObservedPage, pages_batch, vault_columns

OnVaultError: TypeAlias = Literal["fail", "record"]
Outcome: TypeAlias = Literal["listed", "gone", "failed"]

#: How many jobs of one vault are converted to rows at once: fewer take more time for each job, more take memory.
_BATCH_ROWS = 500

_PROGRESS_SECONDS = 15.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The Airflow task that makes the observation, if there is one."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedObservation:
    """A published observation; ``jobs`` and ``vaults`` are counts, ``failed_vaults`` are names."""

    observation: Observation
    jobs: int
    vaults: int
    failed_vaults: list[str]


@dataclass(frozen=True, kw_only=True)
class _Vault:
    name: str
    arn: str
    columns: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """The result of listing one vault."""

    vault: _Vault
    pages: int
    began_at: datetime
    ended_at: datetime
    outcome: Outcome
    error: GlacierJobsError | None = None


def observe(
    hook: GlacierJobsHook,
    dataset: Dataset,
    *,
    account_id: str = "-",
    vault_names: Sequence[str] | None = None,
    on_vault_error: OnVaultError = "fail",
    provenance: Provenance = Provenance(),
) -> PublishedObservation:
    """List all jobs of all vaults and publish them as one observation.

    Example::

        dataset = open_dataset("file:///data/glacier")
        published = observe(GlacierJobsHook(aws_conn_id="aws_archive"), dataset, on_vault_error="record")

    :param hook: makes the requests; its ``max_requests`` limits how many are concurrent.
    :param account_id: 12 digits, or ``-`` for the account of the hook's credentials.
    :param vault_names: the vaults to list; ``None`` for all that List Vaults returns. With names, List Vaults is not
        called, and the columns that only it returns (dates, counts, sizes) are null.
    :param on_vault_error: with ``fail``, nothing is published if a vault cannot be listed. With ``record``, the other
        vaults are published, and the failed vault with its error. A vault that was deleted in the meantime is no
        error; its outcome is ``gone``.
    :return: what was published.
    :raises InvalidArgument: an argument is not valid.
    :raises VaultsRefused: with ``fail``, some vaults cannot be listed, at least one of them permanently.
    :raises VaultsUnavailable: with ``fail``, some vaults could not be listed for now; with ``record``, none could.
    :raises WrongAccount: a vault's ARN names another account.
    :raises ObservationExists: another observation has this id.
    :raises DayClosed: the day on which the listing began was finalized before it ended.
    :raises OSError: the dataset could not be written.
    """
    if on_vault_error not in get_args(OnVaultError):
        raise InvalidArgument(f"on_vault_error is {on_vault_error!r}; allowed are {', '.join(get_args(OnVaultError))}")
    check_account_id(account_id)
    hook.get_conn()
    snapshot_at = datetime.now(timezone.utc)
    real_account_id = hook.account_id if account_id == "-" else account_id
    observation = new_observation(real_account_id, hook.conn_region_name, snapshot_at)
    with ObservationWriter(dataset, observation) as writer:
        if vault_names is None:
            vaults = [_listed_vault(vault, observation) for vault in hook.list_vaults(account_id)]
        else:
            vaults = _named_vaults(vault_names, observation, hook.conn_partition)
        # A single thread converts all rows: Arrow's allocator keeps a heap for each thread that it was used in.
        with ThreadPoolExecutor(1, thread_name_prefix="make-rows") as converter:
            lister = _VaultLister(
                hook=hook,
                observation=observation,
                account_id=account_id,
                named=vault_names is not None,
                converter=converter,
            )
            listings = _list_concurrently(lister, vaults, writer)
        failed = [listing for listing in listings if listing.outcome == "failed"]
        if failed and (on_vault_error == "fail" or _all_failed_transiently(listings)):
            raise _vaults_error(failed, len(listings))
        jobs_by_vault = writer.finish_jobs(
            without=[listing.vault.name for listing in listings if listing.outcome != "listed"]
        )
        jobs = sum(jobs_by_vault.values())
        writer.publish(
            vaults=[_vault_row(listing, jobs_by_vault) for listing in listings],
            observation={
                "ended_at": datetime.now(timezone.utc),
                "scope": "all" if vault_names is None else "named",
                **{
                    f"vaults_{outcome}": sum(listing.outcome == outcome for listing in listings)
                    for outcome in get_args(Outcome)
                },
                "jobs": jobs,
                **asdict(provenance),
                "package_version": __version__,
                "schema_version": SCHEMA_VERSION,
            },
        )
    log.info("Published %s: %d jobs of %d vaults", observation.observation_id, jobs, len(listings))
    return PublishedObservation(
        observation=observation,
        jobs=jobs,
        vaults=len(listings),
        failed_vaults=[listing.vault.name for listing in failed],
    )


def _listed_vault(description: Mapping[str, Any], observation: Observation) -> _Vault:
    _refuse_other_accounts({description["VaultARN"]}, observation)
    return _Vault(name=description["VaultName"], arn=description["VaultARN"], columns=vault_columns(description))


def _named_vaults(vault_names: Sequence[str], observation: Observation, partition: str) -> list[_Vault]:
    if isinstance(vault_names, str) or not vault_names:
        raise InvalidArgument(f"vault_names is {vault_names!r}; expected at least one name in a list, or None for all")
    return [
        _Vault(
            name=name,
            arn=str(
                VaultArn(partition=partition, region=observation.region, account_id=observation.account_id, name=name)
            ),
            columns={},
        )
        for name in dict.fromkeys(map(check_vault_name, vault_names))
    ]


def _refuse_other_accounts(arns: Iterable[str], observation: Observation) -> None:
    for arn in arns:
        if VaultArn.parse(arn).account_id != observation.account_id:
            raise WrongAccount(
                f"the vault {arn} does not belong to the observed account {observation.account_id}; "
                "check account_id and the credentials"
            )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows of one vault, and the number of pages that they are from."""

    batch: pa.RecordBatch
    pages: int


@dataclass(frozen=True, kw_only=True)
class _VaultLister:
    """Lists one vault, and converts its jobs to rows."""

    hook: GlacierJobsHook
    observation: Observation
    account_id: str
    named: bool
    converter: Executor

    def list(self, vault: _Vault, put: Callable[[_Rows], None]) -> _Listing:
        began_at = datetime.now(timezone.utc)
        pages = 0
        error: GlacierJobsError | None = None
        outcome: Outcome = "listed"
        try:
            gathered: list[ObservedPage] = []
            for page in self.hook.list_record_pages(vault.name, account_id=self.account_id):
                gathered.append(ObservedPage(jobs=page.jobs, observed_at=datetime.now(timezone.utc)))
                pages += 1
                if page.marker is None or sum(len(seen.jobs) for seen in gathered) >= _BATCH_ROWS:
                    put(self.converter.submit(self._rows, vault, gathered).result())
                    gathered = []
        except WrongAccount:
            raise
        except VaultNotFound as not_found:
            # A named vault whose first page is refused never existed, which is an error. Others were deleted meanwhile.
            error, outcome = (not_found, "failed") if self.named and not pages else (not_found, "gone")
        except GlacierJobsError as failure:
            error, outcome = failure, "failed"
        return _Listing(
            vault=vault,
            pages=pages,
            began_at=began_at,
            ended_at=datetime.now(timezone.utc),
            outcome=outcome,
            error=error,
        )

    def _rows(self, vault: _Vault, pages: Sequence[ObservedPage]) -> _Rows:
        for page in pages:
            _refuse_other_accounts(set(values_of(page.jobs, "VaultARN")), self.observation)
        batch = pages_batch(pages, observation=self.observation, vault_name=vault.name)
        return _Rows(batch=batch, pages=len(pages))


class _Cancelled(Exception):
    """The observation was cancelled while rows waited to be written."""


def _list_concurrently(lister: _VaultLister, vaults: Sequence[_Vault], writer: ObservationWriter) -> list[_Listing]:
    """List all vaults in threads, and write their rows as they arrive, in this thread."""
    max_requests = lister.hook.max_requests
    # Bounded, so that memory does not grow if the disk is slower than the network.
    arrivals: queue.Queue[_Rows | _Listing | Exception] = queue.Queue(max_requests)
    cancelled = threading.Event()

    def put(arrival: _Rows | _Listing | Exception) -> None:
        while not cancelled.is_set():
            try:
                return arrivals.put(arrival, timeout=1.0)
            except queue.Full:
                continue
        raise _Cancelled

    def work(vault: _Vault) -> None:
        try:
            put(lister.list(vault, put))
        except _Cancelled:
            return
        except Exception as error:
            put(error)

    progress = _Progress(len(vaults))
    listings: list[_Listing] = []
    with ThreadPoolExecutor(max_requests, thread_name_prefix="list-jobs") as pool:
        try:
            for vault in vaults:
                pool.submit(work, vault)
            while len(listings) < len(vaults):
                arrival = _next(arrivals, progress)
                if isinstance(arrival, Exception):
                    raise arrival
                if isinstance(arrival, _Listing):
                    listings.append(arrival)
                    progress.vaults += 1
                else:
                    writer.write_jobs(arrival.batch)
                    progress.pages += arrival.pages
                    progress.jobs += arrival.batch.num_rows
                progress.log_periodically()
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
    progress.log()
    return sorted(listings, key=lambda listing: listing.vault.name)


def _next(arrivals: queue.Queue[_Rows | _Listing | Exception], progress: _Progress) -> _Rows | _Listing | Exception:
    while True:
        try:
            return arrivals.get(timeout=_PROGRESS_SECONDS)
        except queue.Empty:
            progress.log_periodically()


class _Progress:
    """The progress of the listing, for the task's log."""

    def __init__(self, all_vaults: int) -> None:
        self.vaults = self.jobs = self.pages = 0
        self._all_vaults = all_vaults
        self._began = self._logged_at = time.monotonic()

    def log_periodically(self) -> None:
        if time.monotonic() - self._logged_at >= _PROGRESS_SECONDS:
            self.log()

    def log(self) -> None:
        self._logged_at = time.monotonic()
        seconds = self._logged_at - self._began
        log.info(
            "Listed %d of %d vaults: %d jobs in %d pages, %.0f jobs a second",
            self.vaults,
            self._all_vaults,
            self.jobs,
            self.pages,
            self.jobs / seconds if seconds else 0,
        )


def _all_failed_transiently(listings: Sequence[_Listing]) -> bool:
    """Tell whether every vault failed with a transient error. Then a retry is better than a record of failures."""
    return all(isinstance(listing.error, TransientError) for listing in listings)


def _vaults_error(failed: Sequence[_Listing], all_vaults: int) -> GlacierJobsError:
    reasons = "\n".join(f"- {listing.vault.name}: {listing.error}" for listing in failed)
    message = f"{len(failed)} of {all_vaults} vaults could not be listed, so nothing was published:\n{reasons}"
    if any(isinstance(listing.error, FinalError) for listing in failed):
        return VaultsRefused(message)
    return VaultsUnavailable(message)


def _vault_row(listing: _Listing, jobs_by_vault: Mapping[str, int]) -> dict[str, Any]:
    return {
        "vault_name": listing.vault.name,
        "vault_arn": listing.vault.arn,
        **listing.vault.columns,
        "jobs": jobs_by_vault.get(listing.vault.name, 0),
        "pages": listing.pages,
        "listing_began_at": listing.began_at,
        "listing_ended_at": listing.ended_at,
        "outcome": listing.outcome,
        "error": None if listing.error is None else str(listing.error),
    }
