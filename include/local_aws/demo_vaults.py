"""What the demo seed holds: the vaults of a made-up media company, and one vault of unusual jobs for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_aws.store import DEFAULT_REGION


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What an inventory job asks for.

    :param uploaded_days_ago: from how many days ago until how many days ago the listed archives were uploaded;
        ``None`` is no limit.
    """

    output_format: str = "JSON"
    uploaded_days_ago: tuple[int | None, int | None] = (None, None)
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """Jobs that were initiated for the same reason.

    :param description: the job description; ``None`` if the jobs have none. May contain the fields ``{path}`` (the
        archive), ``{number}`` and ``{jobs}`` (17 of 60), ``{ticket}`` and ``{date}`` (when the job was initiated).
    :param jobs: how many.
    :param hours_ago: when the first job was initiated, and when the last.
    :param tiers: one of them is drawn for each job; ``None`` is a request without a tier.
    :param mebibytes: only so much of each archive is retrieved; ``None`` is the whole archive.
    :param inventory: makes inventory jobs of them.
    """

    description: str | None
    jobs: int
    hours_ago: tuple[float, float] = (28.5, 0.0)
    tiers: Sequence[str | None] = ("Standard",)
    mebibytes: int | None = None
    inventory: Inventory | None = None


@dataclass(frozen=True, kw_only=True)
class DemoVault:
    """A vault with its archives and jobs.

    :param days_old: when the vault was created.
    :param path: an archive's description. May contain the fields ``{subject}``, ``{number}``, ``{year}`` and
        ``{date}`` (of the upload).
    :param subjects: one of them is drawn for each archive.
    :param size_in_bytes: the median; the sizes have a log-normal distribution.
    :param spread: standard deviation of the sizes' natural logarithm.
    """

    name: str
    region: str = DEFAULT_REGION
    days_old: int
    path: str = ""
    subjects: Sequence[str] = ("",)
    archives: int = 0
    size_in_bytes: int = 0
    spread: float = 0.6
    purposes: Sequence[Purpose] = field(default_factory=tuple)


_MB, _GB = 10**6, 10**9

_NIGHTLY_INVENTORY = Purpose(
    description="Nightly inventory {date}", jobs=1, hours_ago=(9.5, 8.5), tiers=(None,), inventory=Inventory()
)
_DATABASES = ("billing", "catalog", "customers", "orders")

HOSTILE_VAULT = "hostile-texts"
"""The only vault that has hostile descriptions, Select jobs, and each combination of action, tier and state."""

DEMO_VAULTS: Sequence[DemoVault] = (
    DemoVault(
        name="Legal-Hold",
        days_old=2900,
        path="mailboxes/{year}/custodian-{number:03d}.pst.zip",
        archives=14,
        size_in_bytes=3 * _GB,
        purposes=(
            Purpose(description="Legal hold LH-2026-014: {path}", jobs=16, hours_ago=(26, 18)),
            Purpose(description="Legal hold LH-2026-017: {path}", jobs=7, hours_ago=(6, 0.5)),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="backups.nightly",
        days_old=1500,
        path="{subject}/{date}/full.dump.zst",
        subjects=_DATABASES,
        archives=28,
        size_in_bytes=18 * _GB,
        spread=0.5,
        purposes=(
            Purpose(description="Restore test: {path}", jobs=44),
            Purpose(description="Check header: {path}", jobs=18, hours_ago=(24, 0), tiers=("Expedited",), mebibytes=1),
            Purpose(description="Restore INC-{ticket}: {path}", jobs=15, tiers=("Standard", "Standard", "Expedited")),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(name="email-journal", days_old=0),
    DemoVault(
        name="finance_records",
        days_old=2600,
        path="ledger/{year}/{subject}-{number:05d}.pdf",
        subjects=("invoices", "contracts", "payroll"),
        archives=30,
        size_in_bytes=6 * _MB,
        spread=0.9,
        purposes=(
            Purpose(description="Q3 audit sample {number} of {jobs}", jobs=60, hours_ago=(16, 1)),
            Purpose(description="Tax office request TR-{ticket}: {path}", jobs=9, tiers=("Standard", "Expedited")),
            Purpose(
                description="Uploads of the last quarter, for the auditors",
                jobs=1,
                hours_ago=(20, 19),
                inventory=Inventory(output_format="CSV", uploaded_days_ago=(92, None)),
            ),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="lab.results_2019",
        days_old=2500,
        path="runs/{date}/sequencer-b/lane-{number}.fastq.gz",
        archives=16,
        size_in_bytes=4 * _GB,
        purposes=(
            Purpose(description="Reanalysis of run 417: {path}", jobs=26, tiers=("Bulk", "Bulk", "Standard")),
            # Initiated from a console, in which nobody fills in the description.
            Purpose(description=None, jobs=8),
            Purpose(
                description="Uploads of last year",
                jobs=1,
                hours_ago=(7, 6),
                tiers=("Bulk",),
                inventory=Inventory(uploaded_days_ago=(730, 365), limit=1000),
            ),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="media-masters",
        days_old=2200,
        path="masters/{year}/reel-{number:04d}.mxf",
        archives=34,
        size_in_bytes=24 * _GB,
        spread=0.5,
        purposes=(
            Purpose(
                description="S3 migration wave 7, {number} of {jobs}", jobs=26, hours_ago=(28, 26), tiers=("Bulk",)
            ),
            Purpose(
                description="S3 migration wave 8, {number} of {jobs}", jobs=30, hours_ago=(16, 14), tiers=("Bulk",)
            ),
            Purpose(
                description="S3 migration wave 9, {number} of {jobs}", jobs=34, hours_ago=(4.5, 3), tiers=("Bulk",)
            ),
            Purpose(description="Broadcast tonight: {path}", jobs=5, hours_ago=(23, 1), tiers=("Expedited",)),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="photo-archive",
        days_old=3000,
        path="photo-archive/{year}/{subject}-{number:04d}.tar",
        subjects=("landscape", "portrait", "press", "school", "wedding"),
        archives=40,
        size_in_bytes=500 * _MB,
        spread=1.3,
        purposes=(
            Purpose(
                description="Restore INC-{ticket}: {path}", jobs=66, tiers=("Standard", "Standard", "Bulk", "Expedited")
            ),
            Purpose(description="Thumbnails for the catalog: {path}", jobs=8, hours_ago=(12, 2), mebibytes=4),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="eu-backups",
        region="eu-west-1",
        days_old=1100,
        path="{subject}/{date}/full.dump.zst",
        subjects=_DATABASES,
        archives=12,
        size_in_bytes=11 * _GB,
        spread=0.5,
        purposes=(
            Purpose(description="Restore test: {path}", jobs=36),
            Purpose(description="Restore INC-{ticket}: {path}", jobs=6, tiers=("Standard", "Expedited")),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name="eu-photo-archive",
        region="eu-west-1",
        days_old=900,
        path="photo-archive-eu/{year}/{subject}-{number:04d}.tar",
        subjects=("landscape", "portrait", "press"),
        archives=10,
        size_in_bytes=400 * _MB,
        spread=1.2,
        purposes=(
            Purpose(description="Restore INC-{ticket}: {path}", jobs=17, tiers=("Standard", "Standard", "Bulk")),
            _NIGHTLY_INVENTORY,
        ),
    ),
    DemoVault(
        name=HOSTILE_VAULT,
        days_old=400,
        path="fixtures/{year}/part-{number:04d}.bin",
        archives=8,
        size_in_bytes=20 * _MB,
    ),
)

HOSTILE_DESCRIPTIONS: Sequence[str | None] = (
    None,
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
HOSTILE_MESSAGE = "The job's SNS topic <no such topic> refused the notification."

FAILURE_MESSAGES: Mapping[str, Sequence[str]] = {
    "ArchiveRetrieval": (
        "The archive was deleted before the retrieval completed",
        "The archive could not be retrieved. Initiate a new job",
    ),
    "InventoryRetrieval": ("The inventory could not be retrieved. Initiate a new job",),
}
"""Texts by action. AWS documents none ("a friendly message"); these are in the style of its other messages."""

SELECT: Mapping[str, Any] = {
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
"""What a Select job has beside what every job has."""
