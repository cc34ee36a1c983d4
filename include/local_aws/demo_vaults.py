"""The data of the demo seed: the vaults of a fictional media company, and one vault of unusual jobs for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_aws.vaults import DEFAULT_REGION


@dataclass(frozen=True, kw_only=True)
class InventoryRequest:
    """The parameters of an inventory job.

    :param uploaded_days_ago: start and end of the date range of the archives, in days ago; ``None`` is no limit.
    """

    output_format: str = "JSON"
    uploaded_days_ago: tuple[int | None, int | None] = (None, None)
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobGroup:
    """Jobs that were initiated for the same reason.

    :param description: the job description; ``None`` for no description. May contain the fields ``{path}`` (the
        archive), ``{number}`` and ``{jobs}`` (17 of 60), ``{ticket}`` and ``{date}`` (when the job was initiated).
    :param jobs: the number of jobs.
    :param hours_ago: when the first and the last job were initiated.
    :param tiers: each job gets one of them at random; ``None`` is a request without a tier.
    :param mebibytes: how much of each archive is retrieved; ``None`` is the whole archive.
    :param inventory: parameters for inventory jobs; ``None`` for archive retrievals.
    """

    description: str | None
    jobs: int
    hours_ago: tuple[float, float] = (28.5, 0.0)
    tiers: Sequence[str | None] = ("Standard",)
    mebibytes: int | None = None
    inventory: InventoryRequest | None = None


@dataclass(frozen=True, kw_only=True)
class DemoVault:
    """A vault with its archives and jobs.

    :param days_old: the age of the vault.
    :param path: the description of an archive. May contain the fields ``{subject}``, ``{number}``, ``{year}`` and
        ``{date}`` (of the upload).
    :param subjects: each archive gets one of them at random.
    :param size_in_bytes: the median size; the sizes have a log-normal distribution.
    :param spread: standard deviation of the natural logarithm of the sizes.
    """

    name: str
    region: str = DEFAULT_REGION
    days_old: int
    path: str = ""
    subjects: Sequence[str] = ("",)
    archives: int = 0
    size_in_bytes: int = 0
    spread: float = 0.6
    job_groups: Sequence[JobGroup] = field(default_factory=tuple)


_MB, _GB = 10**6, 10**9

_NIGHTLY_INVENTORY = JobGroup(
    description="Nightly inventory {date}", jobs=1, hours_ago=(9.5, 8.5), tiers=(None,), inventory=InventoryRequest()
)
_DATABASES = ("billing", "catalog", "customers", "orders")

HOSTILE_VAULT = "hostile-texts"
"""The only vault with hostile descriptions, Select jobs, and each combination of action, tier and state."""

DEMO_VAULTS: Sequence[DemoVault] = (
    DemoVault(
        name="Legal-Hold",
        days_old=2900,
        path="mailboxes/{year}/custodian-{number:03d}.pst.zip",
        archives=14,
        size_in_bytes=3 * _GB,
        job_groups=(
            JobGroup(description="Legal hold LH-2026-014: {path}", jobs=16, hours_ago=(26, 18)),
            JobGroup(description="Legal hold LH-2026-017: {path}", jobs=7, hours_ago=(6, 0.5)),
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
        job_groups=(
            JobGroup(description="Restore test: {path}", jobs=44),
            JobGroup(description="Check header: {path}", jobs=18, hours_ago=(24, 0), tiers=("Expedited",), mebibytes=1),
            JobGroup(description="Restore INC-{ticket}: {path}", jobs=15, tiers=("Standard", "Standard", "Expedited")),
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
        job_groups=(
            JobGroup(description="Q3 audit sample {number} of {jobs}", jobs=60, hours_ago=(16, 1)),
            JobGroup(description="Tax office request TR-{ticket}: {path}", jobs=9, tiers=("Standard", "Expedited")),
            JobGroup(
                description="Uploads of the last quarter, for the auditors",
                jobs=1,
                hours_ago=(20, 19),
                inventory=InventoryRequest(output_format="CSV", uploaded_days_ago=(92, None)),
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
        job_groups=(
            JobGroup(description="Reanalysis of run 417: {path}", jobs=26, tiers=("Bulk", "Bulk", "Standard")),
            # Initiated from a tool that does not set a description.
            JobGroup(description=None, jobs=8),
            JobGroup(
                description="Uploads of last year",
                jobs=1,
                hours_ago=(7, 6),
                tiers=("Bulk",),
                inventory=InventoryRequest(uploaded_days_ago=(730, 365), limit=1000),
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
        job_groups=(
            JobGroup(
                description="S3 migration wave 7, {number} of {jobs}", jobs=26, hours_ago=(28, 26), tiers=("Bulk",)
            ),
            JobGroup(
                description="S3 migration wave 8, {number} of {jobs}", jobs=30, hours_ago=(16, 14), tiers=("Bulk",)
            ),
            JobGroup(
                description="S3 migration wave 9, {number} of {jobs}", jobs=34, hours_ago=(4.5, 3), tiers=("Bulk",)
            ),
            JobGroup(description="Broadcast tonight: {path}", jobs=5, hours_ago=(23, 1), tiers=("Expedited",)),
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
        job_groups=(
            JobGroup(
                description="Restore INC-{ticket}: {path}", jobs=66, tiers=("Standard", "Standard", "Bulk", "Expedited")
            ),
            JobGroup(description="Thumbnails for the catalog: {path}", jobs=8, hours_ago=(12, 2), mebibytes=4),
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
        job_groups=(
            JobGroup(description="Restore test: {path}", jobs=36),
            JobGroup(description="Restore INC-{ticket}: {path}", jobs=6, tiers=("Standard", "Expedited")),
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
        job_groups=(
            JobGroup(description="Restore INC-{ticket}: {path}", jobs=17, tiers=("Standard", "Standard", "Bulk")),
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
"""Messages by action. AWS documents no texts ("a friendly message"); these are in the style of its other messages."""

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
"""The additional members of a Select job."""
