"""The tables' Arrow schemas, version 1.

A column holds null where the service sent null or left the field out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1

#: Every timestamp is of this type.
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

#: The type of the column ``inventory_retrieval_parameters``.
INVENTORY_PARAMETERS = pa.struct(
    [
        pa.field("format", pa.string()),
        pa.field("start_date", UTC_MICROSECONDS),
        pa.field("end_date", UTC_MICROSECONDS),
        pa.field("limit", pa.int64()),
        pa.field("marker", pa.string()),
    ]
)


def required(name: str, data_type: pa.DataType) -> pa.Field:
    """Return a column that is never null."""
    return pa.field(name, data_type, nullable=False)


_OBSERVATION_FIELDS = [
    required("observation_id", pa.string()),
    required("snapshot_at", UTC_MICROSECONDS),
]

_TARGET_FIELDS = [
    required("account_id", pa.string()),
    required("region", pa.string()),
]

#: One row for each job in a listing.
JOBS = pa.schema(
    [
        *_OBSERVATION_FIELDS,
        required("observed_at", UTC_MICROSECONDS),
        *_TARGET_FIELDS,
        required("vault_name", pa.string()),
        required("job_id", pa.string()),
        pa.field("job_description", pa.string()),
        pa.field("action", pa.string()),
        pa.field("archive_id", pa.string()),
        required("vault_arn", pa.string()),
        pa.field("creation_date", UTC_MICROSECONDS),
        pa.field("completion_date", UTC_MICROSECONDS),
        pa.field("completed", pa.bool_()),
        pa.field("status_code", pa.string()),
        pa.field("status_message", pa.string()),
        pa.field("archive_size_in_bytes", pa.int64()),
        pa.field("inventory_size_in_bytes", pa.int64()),
        pa.field("sns_topic", pa.string()),
        pa.field("sha256_tree_hash", pa.string()),
        pa.field("archive_sha256_tree_hash", pa.string()),
        pa.field("retrieval_byte_range", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("inventory_retrieval_parameters", INVENTORY_PARAMETERS),
        pa.field("job_output_path", pa.string()),
        pa.field("select_parameters", pa.string()),
        pa.field("output_location", pa.string()),
        pa.field("extra", pa.string()),
    ]
)

#: One row for each vault of the observation, listed or not.
VAULTS = pa.schema(
    [
        *_OBSERVATION_FIELDS,
        *_TARGET_FIELDS,
        required("vault_name", pa.string()),
        required("vault_arn", pa.string()),
        pa.field("creation_date", UTC_MICROSECONDS),
        pa.field("last_inventory_date", UTC_MICROSECONDS),
        pa.field("number_of_archives", pa.int64()),
        pa.field("size_in_bytes", pa.int64()),
        required("jobs", pa.int64()),
        required("pages", pa.int64()),
        required("listing_began_at", UTC_MICROSECONDS),
        required("listing_ended_at", UTC_MICROSECONDS),
        required("outcome", pa.string()),
        pa.field("error", pa.string()),
    ]
)

#: Exactly one row: account, Region, scope, times, counts, and the Airflow task of the observation.
OBSERVATIONS = pa.schema(
    [
        *_OBSERVATION_FIELDS,
        required("ended_at", UTC_MICROSECONDS),
        required("published_at", UTC_MICROSECONDS),
        *_TARGET_FIELDS,
        required("scope", pa.string()),
        required("vaults_listed", pa.int64()),
        required("vaults_gone", pa.int64()),
        required("vaults_failed", pa.int64()),
        required("jobs", pa.int64()),
        pa.field("dag_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("task_id", pa.string()),
        pa.field("map_index", pa.int64()),
        pa.field("try_number", pa.int64()),
        required("package_version", pa.string()),
        required("schema_version", pa.int64()),
    ]
)

#: Table name -> schema, in the order in which an observation's files are published.
TABLES: Mapping[str, pa.Schema] = {"jobs": JOBS, "vaults": VAULTS, "observations": OBSERVATIONS}

#: One row for each archive of an inventory.
ARCHIVES = pa.schema(
    [
        required("inventory_id", pa.string()),
        *_TARGET_FIELDS,
        required("vault_name", pa.string()),
        required("archive_id", pa.string()),
        pa.field("archive_description", pa.string()),
        pa.field("creation_date", UTC_MICROSECONDS),
        pa.field("size_in_bytes", pa.int64()),
        pa.field("sha256_tree_hash", pa.string()),
        pa.field("file_path", pa.string()),
        pa.field("file_modified_at", UTC_MICROSECONDS),
        pa.field("description_format", pa.string()),
        pa.field("extra", pa.string()),
    ]
)

#: Exactly one row: the vault, the jobs, the counts, and the Airflow task of an inventory.
INVENTORIES = pa.schema(
    [
        required("inventory_id", pa.string()),
        required("inventory_at", UTC_MICROSECONDS),
        required("published_at", UTC_MICROSECONDS),
        *_TARGET_FIELDS,
        required("vault_name", pa.string()),
        required("vault_arn", pa.string()),
        required("job_id", pa.string()),
        pa.field("job_creation_date", UTC_MICROSECONDS),
        pa.field("job_completion_date", UTC_MICROSECONDS),
        required("jobs", pa.int64()),
        required("scope", pa.string()),
        pa.field("start_date", UTC_MICROSECONDS),
        pa.field("end_date", UTC_MICROSECONDS),
        required("archives", pa.int64()),
        required("size_in_bytes", pa.int64()),
        required("content_sha256", pa.string()),
        required("rows_in", pa.string()),
        pa.field("dag_id", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field("task_id", pa.string()),
        pa.field("map_index", pa.int64()),
        pa.field("try_number", pa.int64()),
        required("package_version", pa.string()),
        required("schema_version", pa.int64()),
    ]
)

#: The same for the files of an inventory. They are neither compacted nor aggregated.
INVENTORY_TABLES: Mapping[str, pa.Schema] = {"archives": ARCHIVES, "inventories": INVENTORIES}


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """One inventory of a vault: the values that all its rows share, and when Glacier took it."""

    inventory_id: str
    inventory_at: datetime
    account_id: str
    region: str
    vault_name: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One snapshot of the jobs of an account and Region: the values that all its rows share."""

    observation_id: str
    snapshot_at: datetime
    account_id: str
    region: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The Airflow task that makes an observation or an inventory, if there is one."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None


#: No Airflow task: all columns are null.
NO_TASK = Provenance()


def table_from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Build a table of exactly this schema.

    :raises ValueError: a row lacks a required value; the message names the column.
    """
    table = pa.Table.from_pylist(list(rows), schema=schema)
    for field, column in zip(schema, table.columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"column {field.name} must not be null, but is in {column.null_count} rows")
    return table
