"""Initial data of a local AWS."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

from local_aws import timestamps
from local_aws.archives import Archive, Content
from local_aws.backend import Backend
from local_aws.demo_vaults import (
    DEMO_VAULTS,
    FAILURE_MESSAGES,
    HOSTILE_DESCRIPTIONS,
    HOSTILE_MESSAGE,
    HOSTILE_VAULT,
    SELECT,
    DemoVault,
    InventoryRequest,
    JobGroup,
)
from local_aws.initiation import PlannedOutcome, create_job
from local_aws.job_stores import PREFIX_PLACEHOLDER, VAULT_PLACEHOLDER, JobTemplate, TemplateJobStore
from local_aws.jobs import Description, Job
from local_aws.settings import TIERS, Settings
from local_aws.tree_hash import MEBIBYTE
from local_aws.vaults import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, AccountRegion, Vault

DEFAULT_ACCOUNT_REGION = AccountRegion(DEFAULT_ACCOUNT_ID, DEFAULT_REGION)

_FAILURE_RATE = 0.035
_TOPIC = "arn:aws:sns:{region}:{account_id}:glacier-restores"
_DURATION_HOURS: Mapping[str, tuple[float, float, float]] = {
    # Minimum, maximum and most frequent value.
    "Expedited": (0.02, 0.083, 0.04),
    "Standard": (3.0, 5.2, 3.8),
    "Bulk": (5.0, 12.3, 8.0),
}
_RETENTION_HOURS = 24.0
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def fill(name: str, backend: Backend, *, vaults: int | None = None, jobs: int | None = None) -> None:
    """Add the data of a seed to a backend.

    ``demo`` has the vaults of a fictional media company in two Regions with hundreds of jobs, and one vault
    (:data:`~local_aws.demo_vaults.HOSTILE_VAULT`) with jobs of every kind and hostile texts. It is the same each time,
    except for its dates, which are relative to the clock. ``large`` has ``vaults`` vaults with ``jobs`` jobs each that
    never change. ``empty`` has nothing.

    :raises ValueError: the seed is unknown.
    """
    if name not in SEEDS:
        raise ValueError(f"unknown seed: {name!r}; known: {sorted(SEEDS)}")
    SEEDS[name](backend, vaults or 100, jobs or 1000)


def _empty(backend: Backend, vaults: int, jobs: int) -> None:
    """Add nothing."""


def _demo(backend: Backend, vaults: int, jobs: int) -> None:
    rng = random.Random(20120601)  # noqa: S311 - not a secret
    now = backend.clock.now()
    contents = [Content.generated(str(number), MEBIBYTE) for number in range(4)]
    for plan in DEMO_VAULTS:
        account_region = AccountRegion(DEFAULT_ACCOUNT_ID, plan.region)
        created_at = now - timedelta(days=plan.days_old, hours=1)
        vault = Vault(name=plan.name, arn=account_region.vault_arn(plan.name), created_at=created_at)
        for number in range(1, plan.archives + 1):
            archive = _archive(rng, plan, number, rng.choice(contents), now)
            vault.archives[archive.archive_id] = archive
        topic = _TOPIC.format(region=account_region.region, account_id=account_region.account_id)
        job_store = vault.mutable_jobs()
        for group in plan.job_groups:
            job_store.put(_jobs(rng, vault, group, topic, now))
        if plan.name == HOSTILE_VAULT:
            job_store.put(_hostile_jobs(rng, vault, topic, now))
        backend.vault_store.vaults(account_region)[plan.name] = vault


def _archive(rng: random.Random, plan: DemoVault, number: int, content: Content, now: datetime) -> Archive:
    # Uploaded before all inventory jobs were initiated, so that all inventories contain it.
    created_at = now - timedelta(days=rng.uniform(2, plan.days_old))
    size_in_bytes = round(plan.size_in_bytes * rng.lognormvariate(0, plan.spread))
    return Archive(
        archive_id=_id(rng, 138),
        description=plan.path.format(
            subject=rng.choice(plan.subjects), number=number, year=created_at.year, date=created_at.date()
        ),
        created_at=created_at,
        content=replace(content, size_in_bytes=size_in_bytes),
    )


def _jobs(rng: random.Random, vault: Vault, group: JobGroup, topic: str, now: datetime) -> Iterator[Job]:
    archives = list(vault.archives.values())
    rng.shuffle(archives)
    first, last = group.hours_ago
    for i in range(group.jobs):
        tier = rng.choice(group.tiers)
        duration_hours = _duration_hours(rng, tier)
        hours_ago = first + (last - first) * (i + rng.random()) / group.jobs
        if hours_ago > duration_hours + _RETENTION_HOURS - 0.1:
            # This job would have expired: make it one that expires soon.
            hours_ago = duration_hours + _RETENTION_HOURS - rng.uniform(0.1, 1.0)
        created_at = now - timedelta(hours=hours_ago)
        archive = archives[i % len(archives)]
        parameters = _parameters(group, archive, now)
        if group.description is not None:
            parameters["Description"] = group.description.format(
                path=archive.description,
                number=i + 1,
                jobs=group.jobs,
                ticket=rng.randint(4100, 4999),
                date=created_at.date(),
            )
        parameters["SNSTopic"] = topic if i % 3 == 0 else None
        parameters["Tier"] = tier
        action = "InventoryRetrieval" if group.inventory else "ArchiveRetrieval"
        message = rng.choice(FAILURE_MESSAGES[action]) if rng.random() < _FAILURE_RATE else None
        job = _job(rng, vault, parameters, created_at, duration_hours, failure=message)
        yield _without_nulls(job) if rng.random() < 0.25 else job


def _parameters(group: JobGroup, archive: Archive, now: datetime) -> Description:
    if group.inventory is not None:
        return _inventory_parameters(group.inventory, now)
    parameters: Description = {"Type": "archive-retrieval", "ArchiveId": archive.archive_id}
    if group.mebibytes is not None and archive.size_in_bytes > group.mebibytes * MEBIBYTE:
        parameters["RetrievalByteRange"] = f"0-{group.mebibytes * MEBIBYTE - 1}"
    return parameters


def _inventory_parameters(inventory: InventoryRequest, now: datetime) -> Description:
    start, end = (
        None if days is None else timestamps.isoformat(now - timedelta(days=days))
        for days in inventory.uploaded_days_ago
    )
    limit = None if inventory.limit is None else str(inventory.limit)
    return {
        "Type": "inventory-retrieval",
        "Format": inventory.output_format,
        "InventoryRetrievalParameters": {"StartDate": start, "EndDate": end, "Limit": limit},
    }


_HOSTILE_INVENTORIES = (
    InventoryRequest(),
    InventoryRequest(output_format="CSV"),
    InventoryRequest(uploaded_days_ago=(60, None)),
    InventoryRequest(output_format="CSV", uploaded_days_ago=(60, 1)),
    InventoryRequest(limit=3),
)


def _hostile_jobs(rng: random.Random, vault: Vault, topic: str, now: datetime) -> Iterator[Job]:
    """Make a job for each combination of action, tier and state, most of them with and without nulls."""
    kinds = [*product(("ArchiveRetrieval", "Select"), TIERS), *product(("InventoryRetrieval",), (*TIERS, None))]
    archives = list(vault.archives.values())
    for i, ((action, tier), state) in enumerate(
        product(kinds, ("Succeeded", "Succeeded", "InProgress", "InProgress", "Failed"))
    ):
        archive = archives[i % len(archives)]
        duration_hours = _duration_hours(rng, tier)
        if state == "InProgress":
            hours_ago = rng.uniform(0.1, 0.9) * duration_hours
        else:
            # Neither the next outputs to expire nor the newest failures, which are on the first screen of the page.
            hours_ago = duration_hours + rng.uniform(10, 15)
        parameters: Description
        if action == "InventoryRetrieval":
            parameters = _inventory_parameters(_HOSTILE_INVENTORIES[i % 7 % len(_HOSTILE_INVENTORIES)], now)
        else:
            parameters = {"Type": "archive-retrieval", "ArchiveId": archive.archive_id}
            if i % 3 == 1:
                parameters["RetrievalByteRange"] = f"0-{MEBIBYTE - 1}"
        parameters["Description"] = HOSTILE_DESCRIPTIONS[i % len(HOSTILE_DESCRIPTIONS)]
        parameters["SNSTopic"] = topic if i % 3 == 0 else None
        parameters["Tier"] = tier
        failure = HOSTILE_MESSAGE if state == "Failed" else None
        job = _job(rng, vault, parameters, now - timedelta(hours=hours_ago), duration_hours, failure=failure)
        if action == "Select":
            job.final_description.update(SELECT, Action="Select", ArchiveSHA256TreeHash=None, SHA256TreeHash=None)
            job.final_description.update(ArchiveSizeInBytes=None, RetrievalByteRange=None)
        yield _without_nulls(job) if i % 2 else job


def _duration_hours(rng: random.Random, tier: str | None) -> float:
    return rng.triangular(*_DURATION_HOURS[tier or "Standard"])


def _job(
    rng: random.Random,
    vault: Vault,
    parameters: Description,
    created_at: datetime,
    duration_hours: float,
    *,
    failure: str | None,
) -> Job:
    return create_job(
        parameters,
        vault=vault,
        job_id=_id(rng, 92),
        now=timestamps.to_milliseconds(created_at),
        settings=Settings(),
        planned=PlannedOutcome(
            outcome="Succeeded" if failure is None else "Failed",
            status_message=failure,
            duration_seconds=duration_hours * 3600,
        ),
    )


def _without_nulls(job: Job) -> Job:
    """Remove null members: AWS sends some members that do not apply as null, and omits others."""
    for key in [key for key, value in job.final_description.items() if value is None]:
        del job.final_description[key]
    return job


def _large(backend: Backend, vaults: int, jobs: int) -> None:
    rng = random.Random(jobs)  # noqa: S311 - not a secret
    now = backend.clock.now()
    template = JobTemplate([_template_job(rng, i, jobs, now) for i in range(jobs)])
    for i in range(vaults):
        name = f"large-{i:04d}"
        backend.vault_store.vaults(DEFAULT_ACCOUNT_REGION)[name] = Vault(
            name=name,
            arn=DEFAULT_ACCOUNT_REGION.vault_arn(name),
            created_at=now - timedelta(days=400),
            job_store=TemplateJobStore(template, name, f"v{i:011d}"),
        )


def _template_job(rng: random.Random, i: int, jobs: int, now: datetime) -> Job:
    created_at = timestamps.to_milliseconds(now - timedelta(hours=20) + timedelta(hours=20) * i / jobs)
    size_in_bytes = rng.randint(2**20, 2**36)
    tree_hash = f"{rng.getrandbits(256):064x}"
    status_code = ("Succeeded", "Succeeded", "InProgress", "Failed")[i % 4]
    finished = status_code != "InProgress"
    description: Description = {
        "Action": "ArchiveRetrieval",
        "ArchiveId": _id(rng, 138),
        "ArchiveSHA256TreeHash": tree_hash,
        "ArchiveSizeInBytes": size_in_bytes,
        "Completed": finished,
        "CompletionDate": timestamps.isoformat(created_at + timedelta(minutes=4)) if finished else None,
        "CreationDate": timestamps.isoformat(created_at),
        "InventorySizeInBytes": None,
        "JobDescription": f"restore {i}",
        "JobId": PREFIX_PLACEHOLDER + _id(rng, 80),
        "RetrievalByteRange": f"0-{size_in_bytes - 1}",
        "SHA256TreeHash": tree_hash if finished else None,
        "SNSTopic": None,
        "StatusCode": status_code,
        "StatusMessage": status_code if finished else None,
        "Tier": ("Standard", "Bulk", "Expedited")[i % 3],
        "VaultARN": DEFAULT_ACCOUNT_REGION.vault_arn(VAULT_PLACEHOLDER),
    }
    return Job(job_id=description["JobId"], final_description=description, created_at=created_at, verbatim=True)


def _id(rng: random.Random, length: int) -> str:
    return "a" + "".join(rng.choices(_ALPHABET, k=length - 1))


SEEDS: Mapping[str, Callable[[Backend, int, int], None]] = {"demo": _demo, "large": _large, "empty": _empty}
"""The functions that fill a backend, by seed. The number of vaults, and of jobs per vault, is for the large seed."""
