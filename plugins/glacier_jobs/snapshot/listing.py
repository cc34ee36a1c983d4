"""Lists one vault, and converts its jobs to rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import pyarrow as pa

from glacier_jobs.dataset.schema import Observation
from glacier_jobs.errors import GlacierJobsError, VaultNotFound, WrongAccount
from glacier_jobs.glacier.decoding import values_of
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.rows import ObservedPage, pages_batch
from glacier_jobs.snapshot.vaults import Vault, refuse_other_accounts

Outcome: TypeAlias = Literal["listed", "gone", "failed"]

#: How many jobs of one vault are converted to rows at once: fewer take more time for each job, more take memory.
_BATCH_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The result of listing one vault."""

    vault: Vault
    pages: int
    began_at: datetime
    ended_at: datetime
    outcome: Outcome
    error: GlacierJobsError | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one vault, and the number of pages that they are from."""

    batch: pa.RecordBatch
    pages: int


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
        """List one vault.

        :param put: receives the rows as they arrive.
        :raises WrongAccount: the vault belongs to another account. All other errors are in the result.
        """
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
        return Listing(
            vault=vault,
            pages=pages,
            began_at=began_at,
            ended_at=datetime.now(timezone.utc),
            outcome=outcome,
            error=error,
        )

    def _rows(self, vault: Vault, pages: Sequence[ObservedPage]) -> Rows:
        for page in pages:
            refuse_other_accounts(set(values_of(page.jobs, "VaultARN")), self.observation)
        batch = pages_batch(pages, observation=self.observation, vault_name=vault.name)
        return Rows(batch=batch, pages=len(pages))
