"""What a local AWS holds when it starts."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from local_aws import timestamps
from local_aws.archives import Archive, Content
from local_aws.initiation import Fate, initiated
from local_aws.jobs import Description, Job
from local_aws.settings import Settings
from local_aws.shelves import PLACE_OF_PREFIX, PLACE_OF_VAULT, PrintedShelf, Template
from local_aws.store import DEFAULT_ACCOUNT_ID, DEFAULT_REGION, Realm, Vault
from local_aws.world import World

HOME = Realm(DEFAULT_ACCOUNT_ID, DEFAULT_REGION)
ABROAD = Realm(DEFAULT_ACCOUNT_ID, "eu-west-1")

_DEMO_VAULTS: tuple[tuple[Realm, str, int], ...] = (
    (HOME, "Legal-Hold", 24),
    (HOME, "backups.nightly", 132),
    (HOME, "empty-so-far", 0),
    (HOME, "finance_records", 61),
    (HOME, "lab.results_2019", 47),
    (HOME, "media-masters", 98),
    (HOME, "photo-archive", 75),
    (ABROAD, "eu-backups", 43),
    (ABROAD, "eu-photo-archive", 18),
)
_DESCRIPTIONS: tuple[str | None, ...] = (
    None,
    None,
    "Quarterly restore drill",
    "Retrieve archive on request of the customer",
    "<script>alert('jobs')</script>",
    "'; drop table jobs; --",
    '"quoted", with, commas',
    "=HYPERLINK(0)",
    "../../../etc/passwd",
    "{{ ti.xcom_pull() }}",
    "%s %d %n",
    "null",
    "C:\\restore\\2019\\ ",
    "&amp; &lt;b&gt; \x27 `id` $(id)",
    "x" * 1024,
)
_FAILURES = (
    "The archive could not be retrieved. Initiate a new job.",
    "Internal failure while the inventory was written.",
    "The job's SNS topic <no such topic> refused the notification.",
)
_SELECT: Mapping[str, Any] = {
    "SelectParameters": {
        "Expression": "select s._1 from archive s where s._2 > '2019'",
        "ExpressionType": "SQL",
        "InputSerialization": {"csv": {"FieldDelimiter": ",", "FileHeaderInfo": "NONE"}},
        "OutputSerialization": {"csv": {"QuoteFields": "ASNEEDED"}},
    },
    "OutputLocation": {
        "S3": {"BucketName": "select-results", "Prefix": "glacier/", "CannedACL": "private", "StorageClass": "STANDARD"}
    },
    "JobOutputPath": "/select-results/glacier/",
}
_TOPIC = "arn:aws:sns:{region}:123456789012:glacier-jobs"
_DURATION_SECONDS = {"Expedited": (60, 300), "Standard": (3 * 3600, 5 * 3600), "Bulk": (5 * 3600, 12 * 3600)}
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def plant(name: str, world: World, *, vaults: int | None = None, jobs: int | None = None) -> None:
    """Fill a world, beside what it holds.

    ``demo`` has a few vaults in two Regions with hundreds of jobs of every kind, the same each time but for their
    dates, which follow the clock. ``large`` has ``vaults`` vaults of ``jobs`` unchanging jobs each. ``empty`` has
    nothing.

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
    for realm, name, count in _DEMO_VAULTS:
        vault = Vault(
            name=name, arn=realm.vault_arn(name), created_at=now - timedelta(days=dice.randint(90, 3000), hours=5)
        )
        world.store.vaults(realm)[name] = vault
        if count == 0:
            vault.created_at = now - timedelta(hours=1)
            continue
        for i in range(max(6, count // 4)):
            archive = _archive(dice, f"{name}/{2010 + i % 14}/part-{i:04d}.tar", now)
            vault.archives[archive.archive_id] = archive
        vault.living().put(_demo_job(dice, vault, realm, i, now) for i in range(count))


def _archive(dice: random.Random, description: str, now: datetime) -> Archive:
    size_in_bytes = dice.choice(
        (dice.randint(1, 4096), dice.randint(2**20, 2**28), dice.randint(2**28, 2**33), 3 * 2**20)
    )
    return Archive(
        archive_id=_id(dice, 138),
        description=description,
        created_at=now - timedelta(days=dice.randint(2, 80), milliseconds=dice.randint(0, 10**7)),
        content=Content.made_up(str(dice.randint(0, 3)), size_in_bytes),
    )


def _demo_job(dice: random.Random, vault: Vault, realm: Realm, i: int, now: datetime) -> Job:
    """The ``i``-th job of a vault; kinds, tiers and states take turns, so that large vaults have each combination."""
    action = ("ArchiveRetrieval", "ArchiveRetrieval", "InventoryRetrieval", "ArchiveRetrieval", "Select")[i % 5]
    tier: str | None = ("Standard", "Bulk", "Expedited")[i // 5 % 3]
    state = ("Succeeded", "InProgress", "Succeeded", "Failed", "Succeeded", "Succeeded", "about to expire")[i % 7]
    duration_seconds = dice.uniform(*_DURATION_SECONDS[tier or "Standard"])
    if state == "InProgress":
        age_seconds = dice.uniform(0, duration_seconds)
    elif state == "about to expire":
        age_seconds = duration_seconds + 24 * 3600 - dice.uniform(300, 3600)
    else:
        age_seconds = duration_seconds + dice.uniform(0, 23 * 3600)
    failed = state == "Failed"
    fate = Fate(
        outcome="Failed" if failed else "Succeeded",
        status_message=dice.choice(_FAILURES) if failed else None,
        duration_seconds=duration_seconds,
    )
    archive = dice.choice(list(vault.archives.values()))
    parameters: Description = {
        "Type": "inventory-retrieval" if action == "InventoryRetrieval" else "archive-retrieval",
        "Description": _DESCRIPTIONS[i % len(_DESCRIPTIONS)],
        "SNSTopic": _TOPIC.format(region=realm.region) if i % 3 == 0 else None,
    }
    if action == "InventoryRetrieval":
        parameters["Format"] = ("JSON", "CSV")[i // 5 % 2]
        parameters["InventoryRetrievalParameters"] = _inventory_parameters(i, now)
        if i % 2 == 0:
            tier = None
    else:
        parameters["ArchiveId"] = archive.archive_id
        if i % 4 == 3 and archive.size_in_bytes > 2**20:
            parameters["RetrievalByteRange"] = f"0-{2**20 - 1}"
    parameters["Tier"] = tier
    created_at = timestamps.to_milliseconds(now - timedelta(seconds=age_seconds))
    job = initiated(parameters, vault=vault, job_id=_id(dice, 92), now=created_at, settings=Settings(), fate=fate)
    if action == "Select":
        job.facts.update(_SELECT, Action="Select", ArchiveSHA256TreeHash=None, SHA256TreeHash=None)
        job.facts.update(ArchiveSizeInBytes=None, RetrievalByteRange=None)
    if i % 4 == 1:
        # AWS sends some of what does not apply as null and leaves some out.
        for key in [key for key, value in job.facts.items() if value is None]:
            del job.facts[key]
    return job


def _inventory_parameters(i: int, now: datetime) -> Description | None:
    if i % 3 == 0:
        return None
    return {
        "StartDate": timestamps.write(now - timedelta(days=60)),
        "EndDate": timestamps.write(now - timedelta(days=1)) if i % 3 == 1 else None,
        "Limit": "3" if i % 3 == 2 else None,
    }


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
