"""Makes one observation: lists all vaults of an account and Region concurrently, and publishes the result as one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias, get_args

from glacier_jobs import __version__
from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.schema import NO_TASK, SCHEMA_VERSION, Observation, Provenance
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.errors import (
    FinalError,
    GlacierJobsError,
    InvalidArgument,
    TransientError,
    VaultsRefused,
    VaultsUnavailable,
)
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import check_account_id
from glacier_jobs.snapshot.listing import Listing, Outcome, VaultLister
from glacier_jobs.snapshot.vaults import Exclusion, all_vaults, named_vaults
from glacier_jobs.snapshot.workers import list_concurrently

OnVaultError: TypeAlias = Literal["fail", "record"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PublishedObservation:
    """A published observation; ``jobs`` and ``vaults`` are counts, ``failed_vaults`` are names."""

    observation: Observation
    jobs: int
    vaults: int
    failed_vaults: list[str]


def observe(
    hook: GlacierJobsHook,
    dataset: Dataset,
    *,
    account_id: str = "-",
    vault_names: Sequence[str] | None = None,
    exclude_vaults: Sequence[str] = (),
    on_vault_error: OnVaultError = "fail",
    provenance: Provenance = NO_TASK,
) -> PublishedObservation:
    """List all jobs of all vaults and publish them as one observation.

    Example::

        dataset = open_dataset("file:///data/glacier")
        published = observe(GlacierJobsHook(aws_conn_id="aws_archive"), dataset, on_vault_error="record")

    :param hook: makes the requests; its ``max_requests`` limits how many are concurrent.
    :param account_id: 12 digits, or ``-`` for the account of the hook's credentials.
    :param vault_names: the vaults to list; ``None`` for all that List Vaults returns. With names, List Vaults is not
        called, and the columns that only it returns (dates, counts, sizes) are null.
    :param exclude_vaults: names of vaults, or patterns as in :mod:`fnmatch` (``"test-*"``), to leave out.
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
    exclusion = Exclusion(exclude_vaults)
    hook.get_conn()
    snapshot_at = datetime.now(timezone.utc)
    real_account_id = hook.account_id if account_id == "-" else account_id
    observation = new_observation(real_account_id, hook.conn_region_name, snapshot_at)
    with ObservationWriter(dataset, observation) as writer:
        if vault_names is None:
            vaults = all_vaults(hook, account_id, observation, exclusion)
        else:
            vaults = named_vaults(vault_names, observation, hook.conn_partition, exclusion)
        # Then a vault without a row counts as deleted. One whose description has no name may be any vault.
        has_all = vault_names is None and not exclude_vaults and all(vault.is_known for vault in vaults)
        # A single thread converts all rows: Arrow's allocator keeps a heap for each thread that it was used in.
        with ThreadPoolExecutor(1, thread_name_prefix="make-rows") as converter:
            lister = VaultLister(
                hook=hook,
                observation=observation,
                account_id=account_id,
                named=vault_names is not None,
                converter=converter,
            )
            listings = list_concurrently(lister, vaults, writer)
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
                "scope": "all" if has_all else "named",
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


def _all_failed_transiently(listings: Sequence[Listing]) -> bool:
    """Tell whether every vault failed with a transient error. Then a retry is better than a record of failures."""
    return all(isinstance(listing.error, TransientError) for listing in listings)


def _vaults_error(failed: Sequence[Listing], vault_count: int) -> GlacierJobsError:
    reasons = "\n".join(f"- {listing.vault.name}: {listing.error}" for listing in failed)
    message = f"{len(failed)} of {vault_count} vaults could not be listed, so nothing was published:\n{reasons}"
    if any(isinstance(listing.error, FinalError) for listing in failed):
        return VaultsRefused(message)
    return VaultsUnavailable(message)


def _vault_row(listing: Listing, jobs_by_vault: Mapping[str, int]) -> dict[str, Any]:
    return {
        "vault_name": listing.vault.name,
        "vault_arn": listing.vault.arn,
        **listing.vault.columns,
        "jobs": jobs_by_vault.get(listing.vault.name, 0),
        "pages": listing.pages,
        "listing_began_at": listing.began_at,
        "listing_ended_at": listing.ended_at,
        "outcome": listing.outcome,
        "error": listing.message,
    }
