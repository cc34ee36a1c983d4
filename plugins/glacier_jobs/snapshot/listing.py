"""Lists one vault, and converts its jobs to rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import pyarrow as pa

from glacier_jobs.dataset.schema import Observation
from glacier_jobs.errors import GlacierJobsError, TransientError, VaultNotFound, WrongAccount
from glacier_jobs.glacier.deadlines import Cancelled
from glacier_jobs.glacier.decoding import values_of
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.rows import ObservedPage, converted_pages
from glacier_jobs.glacier.values import NO_ODD_VALUES, OddCounts, encodable
from glacier_jobs.snapshot.vaults import Vault, refuse_other_accounts

Outcome: TypeAlias = Literal["listed", "gone", "failed"]

#: How many jobs of one vault are converted to rows at once: fewer take more time for each job, more take memory.
_BATCH_ROWS = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The result of listing one vault.

    :param odd: the values of its jobs that did not fit their columns.
    """

    vault: Vault
    pages: int
    began_at: datetime
    ended_at: datetime
    outcome: Outcome
    error: GlacierJobsError | None = None
    odd: OddCounts = NO_ODD_VALUES

    @property
    def message(self) -> str | None:
        """Why the vault was not listed, or which values of a listed vault did not fit their columns."""
        if self.error is not None:
            return encodable(str(self.error))
        of_vault = self.vault.odd.message("null")
        return ". ".join(filter(None, [of_vault, self.odd.message("kept in the column extra")])) or None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one vault, the number of pages that they are from, and the values that did not fit their columns."""

    batch: pa.RecordBatch
    pages: int
    odd: OddCounts


@dataclass
class _Read:
    """How many pages of a vault were read, and which of its values did not fit their columns."""

    pages: int = 0
    odd: OddCounts = NO_ODD_VALUES


@dataclass(frozen=True, kw_only=True)
class VaultLister:
    """Lists vaults, each in the calling thread.

    :param named: whether the vaults were given by name, so that a vault that is not found is an error.
    :param converter: converts jobs to rows.
    """

    hook: GlacierJobsHook
    observation: Observation
    account_id: str
    named: bool
    converter: Executor

    def list(self, vault: Vault, put: Callable[[Rows], None]) -> Listing:
        """List one vault. If it is not found, it is listed once more before it counts as gone.

        :param put: receives the rows as they arrive.
        :raises WrongAccount: the vault belongs to another account.
        :raises Cancelled: the listing was cancelled. All other errors are in the result.
        """
        began_at = datetime.now(timezone.utc)
        read = _Read()
        error: GlacierJobsError | None = None
        outcome: Outcome = "listed"
        try:
            if vault.error is not None:
                raise vault.error
            try:
                self._read(vault, put, read)
            except VaultNotFound as not_found:
                log.warning("%s. Vault %s is listed once more, from its first page", not_found, vault.name)
                # The rows that were put before are repeated; the writer keeps the later ones.
                self._read(vault, put, read)
        except (WrongAccount, Cancelled):
            raise
        except VaultNotFound as not_found:
            # A named vault whose first page is refused never existed, which is an error. Others were deleted meanwhile.
            error, outcome = (not_found, "failed") if self.named and not read.pages else (not_found, "gone")
        except GlacierJobsError as failure:
            error, outcome = failure, "failed"
        except Exception as unexpected:
            log.exception("Vault %s could not be listed", vault.name)
            error = TransientError(f"unexpected {type(unexpected).__name__}: {unexpected}; the log has its traceback")
            outcome = "failed"
        listing = Listing(
            vault=vault,
            pages=read.pages,
            began_at=began_at,
            ended_at=datetime.now(timezone.utc),
            outcome=outcome,
            error=error,
            odd=read.odd,
        )
        if error is None and listing.message:
            log.warning("Vault %s: %s", vault.name, listing.message)
        return listing

    def _read(self, vault: Vault, put: Callable[[Rows], None], read: _Read) -> None:
        read.odd = NO_ODD_VALUES
        gathered: list[ObservedPage] = []
        for page in self.hook.list_record_pages(vault.name, account_id=self.account_id):
            gathered.append(ObservedPage(jobs=page.jobs, observed_at=datetime.now(timezone.utc)))
            read.pages += 1
            if page.marker is None or sum(len(seen.jobs) for seen in gathered) >= _BATCH_ROWS:
                rows = self.converter.submit(self._rows, vault, gathered).result()
                read.odd += rows.odd
                put(rows)
                gathered = []

    def _rows(self, vault: Vault, pages: Sequence[ObservedPage]) -> Rows:
        for page in pages:
            refuse_other_accounts(set(values_of(page.jobs, "VaultARN")), self.observation)
        converted = converted_pages(pages, observation=self.observation, vault_name=vault.name)
        return Rows(batch=converted.batch, pages=len(pages), odd=converted.odd)
