"""Records one inventory of a vault: reads the output of its jobs into the tables, and publishes them as a whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs import __version__
from glacier_jobs.dataset.inventory_writer import InventoryWriter
from glacier_jobs.dataset.layout import Dataset, new_inventory
from glacier_jobs.dataset.schema import NO_TASK, SCHEMA_VERSION, UTC_MICROSECONDS, Inventory, Provenance
from glacier_jobs.errors import InventoryNotUsable, MalformedAnswer
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import VaultArn
from glacier_jobs.glacier.outputs import ResumingJobOutput
from glacier_jobs.glacier.pagination import JobDescription
from glacier_jobs.glacier.timestamps import moment_of
from glacier_jobs.glacier.values import NO_ODD_VALUES, shortened
from glacier_jobs.inventory.jobs import Scope, check_pages, job_name, parameters_of, scope_of
from glacier_jobs.inventory.reader import InventoryReader
from glacier_jobs.inventory.rows import converted_archives

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PublishedInventory:
    """A published inventory. ``rows_in`` is the id of the inventory whose file in ``archives`` holds its rows."""

    inventory: Inventory
    archives: int
    size_in_bytes: int
    scope: Scope
    rows_in: str


def record_inventory(
    hook: GlacierJobsHook,
    dataset: Dataset,
    jobs: Sequence[JobDescription],
    *,
    account_id: str = "-",
    provenance: Provenance = NO_TASK,
) -> PublishedInventory:
    """Store the inventory of one or more succeeded jobs in the tables ``archives`` and ``inventories``.

    Only few archives are in memory at a time. If the newest stored inventory of the vault has the same date and equal
    content, the new one is stored as its commit mark alone, with ``rows_in``.

    Example::

        record_inventory(hook, open_dataset("file:///data/glacier"), [hook.get_job("photos", job_id)])

    :param hook: gets the output of the jobs, and the vault's number of archives.
    :param jobs: descriptions of inventory jobs of one vault: one job, or all pages of one inventory in their order.
    :param account_id: 12 digits, or ``-`` for the account of the credentials.
    :raises InventoryNotUsable: a job has not succeeded, its inventory is not in JSON, or archives are missing.
    :raises MalformedAnswer: an output is not an inventory.
    :raises ServiceUnavailable: an output cannot be read, for example because its end is missing.
    :raises OSError: the dataset could not be written.
    """
    check_pages(jobs)
    first = jobs[0]
    arn = VaultArn.parse(first["VaultARN"])
    outputs = _Outputs(hook, account_id)
    inventory_at = _inventory_at(first, outputs)
    inventory = new_inventory(arn.account_id, arn.region, arn.name, inventory_at)
    scope = scope_of(first)
    with InventoryWriter(dataset, inventory) as writer:
        _write_pages(writer, inventory, jobs, outputs)
        if scope == "full":
            _check_count(hook.get_vault(arn.name, account_id), inventory, first, writer.archives)
        rows_in = _equal_inventory(dataset, inventory, writer.content_sha256, scope)
        writer.publish({**_job_columns(jobs), **asdict(provenance), **_VERSIONS}, rows_in=rows_in)
        published = PublishedInventory(
            inventory=inventory,
            archives=writer.archives,
            size_in_bytes=writer.size_in_bytes,
            scope=scope,
            rows_in=rows_in or inventory.inventory_id,
        )
    log.info("Published %s: %d archives, stored in %s", inventory.inventory_id, published.archives, published.rows_in)
    return published


_VERSIONS = {"package_version": __version__, "schema_version": SCHEMA_VERSION}


@dataclass(frozen=True)
class _Outputs:
    """Opens the output of jobs."""

    hook: GlacierJobsHook
    account_id: str

    def open(self, job: JobDescription) -> ResumingJobOutput:
        vault_name = VaultArn.parse(job["VaultARN"]).name
        return self.hook.open_resuming_job_output(vault_name, job["JobId"], self.account_id)


def _inventory_at(job: JobDescription, outputs: _Outputs) -> datetime:
    """Return when Glacier took the inventory, from the first bytes of the output."""
    with outputs.open(job) as body:
        reader = InventoryReader(body, job_name(job))
        reader.begin()
        if "InventoryDate" not in reader.fields:
            # Not as Glacier sends it. Every row contains the date's id, so that the archives are read only afterwards.
            for _ in reader.pieces():
                pass
    return _date(reader, job)


def _date(reader: InventoryReader, job: JobDescription) -> datetime:
    """Return the date of an inventory, after a check that the inventory is that of the job's vault."""
    found = reader.fields.get("VaultARN")
    if found != job["VaultARN"]:
        raise MalformedAnswer(f"{job_name(job)}: the output is of the vault {found!r}; expected {job['VaultARN']!r}")
    return _moment(reader.fields.get("InventoryDate"), "InventoryDate", job)


def _moment(value: object, field: str, job: JobDescription) -> datetime:
    if (moment := moment_of(value)) is None:
        raise MalformedAnswer(
            f"{job_name(job)}: {field} is {shortened(value)}; expected an ISO 8601 date and time such as "
            "2012-05-01T00:00:06.663Z"
        )
    return moment.astimezone(timezone.utc)


def _write_pages(
    writer: InventoryWriter, inventory: Inventory, jobs: Sequence[JobDescription], outputs: _Outputs
) -> None:
    odd = NO_ODD_VALUES
    last_id: str | None = None
    for job in jobs:
        with outputs.open(job) as body:
            reader = InventoryReader(body, job_name(job))
            before, last_id = last_id, None
            for piece in reader.pieces():
                converted = converted_archives(piece, inventory)
                odd += converted.odd
                batch = converted.batch
                # Whether a page repeats the archive that ends the page before it is not documented.
                if last_id is None and batch.num_rows and batch["archive_id"][0].as_py() == before:
                    batch = batch.slice(1)
                if batch.num_rows:
                    last_id = batch["archive_id"][-1].as_py()
                writer.write(batch)
        if (found := _date(reader, job)) != inventory.inventory_at:
            raise InventoryNotUsable(
                f"{job_name(job)} has an inventory of {found.isoformat()}, but {job_name(jobs[0])} has one of "
                f"{inventory.inventory_at.isoformat()}; expected pages of one inventory: Glacier took another one "
                "meanwhile, so initiate the jobs of all pages again"
            )
    if message := odd.message("kept in the column extra"):
        log.warning("%s", message)


def _check_count(vault: Mapping[str, Any], inventory: Inventory, job: JobDescription, archives: int) -> None:
    """Compare the number of archives with that of the vault, if the vault's is of the same inventory."""
    if vault.get("LastInventoryDate") is None:
        return
    if _moment(vault["LastInventoryDate"], "LastInventoryDate", job) != inventory.inventory_at:
        log.info("The vault %s has another inventory by now, so archives were not counted", inventory.vault_name)
        return
    if vault.get("NumberOfArchives") != archives:
        raise InventoryNotUsable(
            f"{job_name(job)}: the inventory of {inventory.inventory_at.isoformat()} lists {archives} archives, but "
            f"Describe Vault counts {vault.get('NumberOfArchives')}. The job may have been initiated with the Marker "
            "of a later page, which its description does not show; initiate a job without a Marker"
        )


def _equal_inventory(dataset: Dataset, inventory: Inventory, content_sha256: str, scope: str) -> str | None:
    """Return the id of the inventory that holds the rows of an equal committed one; ``None`` if there is none."""
    if scope != "full":
        return None
    day = inventory.inventory_at.date()
    same = (
        (pc.field("account_id") == inventory.account_id)
        & (pc.field("region") == inventory.region)
        & (pc.field("vault_name") == inventory.vault_name)
        & (pc.field("inventory_at") == pa.scalar(inventory.inventory_at, UTC_MICROSECONDS))
        & (pc.field("content_sha256") == content_sha256)
        & (pc.field("scope") == scope)
    )
    committed = dataset.read("inventories", dataset.inventory_ids(since=day, until=day), where=same).read_all()
    if not committed.num_rows:
        return None
    rows_in: str = committed.sort_by("published_at")["rows_in"][0].as_py()
    return rows_in


def _job_columns(jobs: Sequence[JobDescription]) -> dict[str, Any]:
    """Return the columns of ``inventories`` that describe the jobs: those of the first, and their number."""
    first = jobs[0]
    return {
        "vault_arn": first["VaultARN"],
        "job_id": first["JobId"],
        "job_creation_date": moment_of(first.get("CreationDate")),
        "job_completion_date": moment_of(jobs[-1].get("CompletionDate")),
        "jobs": len(jobs),
        "scope": scope_of(first),
        "start_date": moment_of(parameters_of(first).get("StartDate")),
        "end_date": moment_of(parameters_of(first).get("EndDate")),
    }
