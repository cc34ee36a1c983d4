"""What a local AWS holds when it starts."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

from local_aws import timestamps
from local_aws.archives import Archive, Content
from local_aws.demo_vaults import (
    DEMO_VAULTS,
    FAILURE_MESSAGES,
    HOSTILE_DESCRIPTIONS,
    HOSTILE_MESSAGE,
    HOSTILE_VAULT,
    SELECT,
    DemoVault,
    Inventory,
    Purpose,
)
from local_aws.initiation import Fate, initiated
from local_aws.jobs import Description, Job
from local_aws.settings import TIERS, Settings
from local_aws.shelves import PLACE_OF_PREFIX, PLACE_OF_VAULT, PrintedShelf, Template
from local_aws.store import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, Realm, Vault
from local_aws.tree_hash import MEBIBYTE
from local_aws.world import World

HOME = Realm(DEFAULT_ACCOUNT_ID, DEFAULT_REGION)

_FAILED_SHARE = 0.035
_TOPIC = "arn:aws:sns:{region}:{account_id}:glacier-restores"
_DURATION_HOURS: Mapping[str, tuple[float, float, float]] = {
    # Shortest, longest and most frequent.
    "Expedited": (0.02, 0.083, 0.04),
    "Standard": (3.0, 5.2, 3.8),
    "Bulk": (5.0, 12.3, 8.0),
}
_RETENTION_HOURS = 24.0
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def plant(name: str, world: World, *, vaults: int | None = None, jobs: int | None = None) -> None:
    """Fill a world, beside what it holds.

    ``demo`` has the vaults of a made-up media company in two Regions with hundreds of jobs, and one vault
    (:data:`~local_aws.demo_vaults.HOSTILE_VAULT`) of jobs of every kind with hostile texts. It is the same each time
    but for its dates, which follow the clock. ``large`` has ``vaults`` vaults of ``jobs`` unchanging jobs each.
    ``empty`` has nothing.

    :raises ValueError: there is no such seed.
    """
    if name not in SEEDS:
        raise ValueError(f"no such seed: {name!r}; there are {sorted(SEEDS)}")
    SEEDS[name](world, vaults or 100, jobs or 1000)


def _empty(world: World, vaults: int, jobs: int) -> None:
    """Nothing."""


def _demo(world: World, vaults: int, jobs: int) -> None:
    dice = random.Random(20120601)  # noqa: S311 - dice, no secret
    now = world.clock.now()
    contents = [Content.made_up(str(number), MEBIBYTE) for number in range(4)]
    for plan in DEMO_VAULTS:
        realm = Realm(DEFAULT_ACCOUNT_ID, plan.region)
        created_at = now - timedelta(days=plan.days_old, hours=1)
        vault = Vault(name=plan.name, arn=realm.vault_arn(plan.name), created_at=created_at)
        for number in range(1, plan.archives + 1):
            archive = _archive(dice, plan, number, dice.choice(contents), now)
            vault.archives[archive.archive_id] = archive
        topic = _TOPIC.format(region=realm.region, account_id=realm.account_id)
        shelf = vault.living()
        for purpose in plan.purposes:
            shelf.put(_jobs(dice, vault, purpose, topic, now))
        if plan.name == HOSTILE_VAULT:
            shelf.put(_hostile_jobs(dice, vault, topic, now))
        world.store.vaults(realm)[plan.name] = vault


def _archive(dice: random.Random, plan: DemoVault, number: int, content: Content, now: datetime) -> Archive:
    # Uploaded before any inventory job was initiated, so that all inventories list it.
    created_at = now - timedelta(days=dice.uniform(2, plan.days_old))
    size_in_bytes = round(plan.size_in_bytes * dice.lognormvariate(0, plan.spread))
    return Archive(
        archive_id=_id(dice, 138),
        description=plan.path.format(
            subject=dice.choice(plan.subjects), number=number, year=created_at.year, date=created_at.date()
        ),
        created_at=created_at,
        content=replace(content, size_in_bytes=size_in_bytes),
    )


def _jobs(dice: random.Random, vault: Vault, purpose: Purpose, topic: str, now: datetime) -> Iterator[Job]:
    archives = list(vault.archives.values())
    dice.shuffle(archives)
    first, last = purpose.hours_ago
    for i in range(purpose.jobs):
        tier = dice.choice(purpose.tiers)
        duration_hours = _duration_hours(dice, tier)
        hours_ago = first + (last - first) * (i + dice.random()) / purpose.jobs
        if hours_ago > duration_hours + _RETENTION_HOURS - 0.1:
            # Glacier would no longer list it: let it be about to expire instead.
            hours_ago = duration_hours + _RETENTION_HOURS - dice.uniform(0.1, 1.0)
        created_at = now - timedelta(hours=hours_ago)
        archive = archives[i % len(archives)]
        parameters = _parameters(purpose, archive, now)
        if purpose.description is not None:
            parameters["Description"] = purpose.description.format(
                path=archive.description,
                number=i + 1,
                jobs=purpose.jobs,
                ticket=dice.randint(4100, 4999),
                date=created_at.date(),
            )
        parameters["SNSTopic"] = topic if i % 3 == 0 else None
        parameters["Tier"] = tier
        action = "InventoryRetrieval" if purpose.inventory else "ArchiveRetrieval"
        message = dice.choice(FAILURE_MESSAGES[action]) if dice.random() < _FAILED_SHARE else None
        job = _job(dice, vault, parameters, created_at, duration_hours, failure=message)
        yield _without_nulls(job) if dice.random() < 0.25 else job


def _parameters(purpose: Purpose, archive: Archive, now: datetime) -> Description:
    if purpose.inventory is not None:
        return _inventory_parameters(purpose.inventory, now)
    parameters: Description = {"Type": "archive-retrieval", "ArchiveId": archive.archive_id}
    if purpose.mebibytes is not None and archive.size_in_bytes > purpose.mebibytes * MEBIBYTE:
        parameters["RetrievalByteRange"] = f"0-{purpose.mebibytes * MEBIBYTE - 1}"
    return parameters


def _inventory_parameters(inventory: Inventory, now: datetime) -> Description:
    start, end = (
        None if days is None else timestamps.write(now - timedelta(days=days)) for days in inventory.uploaded_days_ago
    )
    limit = None if inventory.limit is None else str(inventory.limit)
    return {
        "Type": "inventory-retrieval",
        "Format": inventory.output_format,
        "InventoryRetrievalParameters": {"StartDate": start, "EndDate": end, "Limit": limit},
    }


_HOSTILE_INVENTORIES = (
    Inventory(),
    Inventory(output_format="CSV"),
    Inventory(uploaded_days_ago=(60, None)),
    Inventory(output_format="CSV", uploaded_days_ago=(60, 1)),
    Inventory(limit=3),
)


def _hostile_jobs(dice: random.Random, vault: Vault, topic: str, now: datetime) -> Iterator[Job]:
    """Make a job of each combination of action, tier and state, most of them with and without their nulls."""
    kinds = [*product(("ArchiveRetrieval", "Select"), TIERS), *product(("InventoryRetrieval",), (*TIERS, None))]
    archives = list(vault.archives.values())
    for i, ((action, tier), state) in enumerate(
        product(kinds, ("Succeeded", "Succeeded", "InProgress", "InProgress", "Failed"))
    ):
        archive = archives[i % len(archives)]
        duration_hours = _duration_hours(dice, tier)
        if state == "InProgress":
            hours_ago = dice.uniform(0.1, 0.9) * duration_hours
        else:
            # Neither the next outputs to expire nor the newest failures: those are for the first screen.
            hours_ago = duration_hours + dice.uniform(10, 15)
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
        job = _job(dice, vault, parameters, now - timedelta(hours=hours_ago), duration_hours, failure=failure)
        if action == "Select":
            job.facts.update(SELECT, Action="Select", ArchiveSHA256TreeHash=None, SHA256TreeHash=None)
            job.facts.update(ArchiveSizeInBytes=None, RetrievalByteRange=None)
        yield _without_nulls(job) if i % 2 else job


def _duration_hours(dice: random.Random, tier: str | None) -> float:
    return dice.triangular(*_DURATION_HOURS[tier or "Standard"])


def _job(
    dice: random.Random,
    vault: Vault,
    parameters: Description,
    created_at: datetime,
    duration_hours: float,
    *,
    failure: str | None,
) -> Job:
    return initiated(
        parameters,
        vault=vault,
        job_id=_id(dice, 92),
        now=timestamps.to_milliseconds(created_at),
        settings=Settings(),
        fate=Fate(
            outcome="Succeeded" if failure is None else "Failed",
            status_message=failure,
            duration_seconds=duration_hours * 3600,
        ),
    )


def _without_nulls(job: Job) -> Job:
    """Leave out what does not apply: AWS sends some of it as null and leaves some out."""
    for key in [key for key, value in job.facts.items() if value is None]:
        del job.facts[key]
    return job


def _large(world: World, vaults: int, jobs: int) -> None:
    dice = random.Random(jobs)  # noqa: S311 - dice, no secret
    now = world.clock.now()
    template = Template([_template_job(dice, i, jobs, now) for i in range(jobs)])
    for i in range(vaults):
        name = f"large-{i:04d}"
        world.store.vaults(HOME)[name] = Vault(
            name=name,
            arn=HOME.vault_arn(name),
            created_at=now - timedelta(days=400),
            shelf=PrintedShelf(template, name, f"v{i:011d}"),
        )


def _template_job(dice: random.Random, i: int, jobs: int, now: datetime) -> Job:
    created_at = timestamps.to_milliseconds(now - timedelta(hours=20) + timedelta(hours=20) * i / jobs)
    size_in_bytes = dice.randint(2**20, 2**36)
    tree_hash = f"{dice.getrandbits(256):064x}"
    status_code = ("Succeeded", "Succeeded", "InProgress", "Failed")[i % 4]
    finished = status_code != "InProgress"
    facts: Description = {
        "Action": "ArchiveRetrieval",
        "ArchiveId": _id(dice, 138),
        "ArchiveSHA256TreeHash": tree_hash,
        "ArchiveSizeInBytes": size_in_bytes,
        "Completed": finished,
        "CompletionDate": timestamps.write(created_at + timedelta(minutes=4)) if finished else None,
        "CreationDate": timestamps.write(created_at),
        "InventorySizeInBytes": None,
        "JobDescription": f"restore {i}",
        "JobId": PLACE_OF_PREFIX + _id(dice, 80),
        "RetrievalByteRange": f"0-{size_in_bytes - 1}",
        "SHA256TreeHash": tree_hash if finished else None,
        "SNSTopic": None,
        "StatusCode": status_code,
        "StatusMessage": status_code if finished else None,
        "Tier": ("Standard", "Bulk", "Expedited")[i % 3],
        "VaultARN": HOME.vault_arn(PLACE_OF_VAULT),
    }
    return Job(job_id=facts["JobId"], facts=facts, created_at=created_at, verbatim=True)


def _id(dice: random.Random, length: int) -> str:
    return "a" + "".join(dice.choices(_ALPHABET, k=length - 1))


SEEDS: Mapping[str, Callable[[World, int, int], None]] = {"demo": _demo, "large": _large, "empty": _empty}
"""How to fill a world, by the seed's name; each is given how many vaults and jobs a vault the large one shall have."""
