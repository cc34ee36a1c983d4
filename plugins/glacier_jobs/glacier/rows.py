"""Job and vault descriptions, as the service sends them, converted to rows of the tables.

A field that is null and a field that is absent both become null. Fields without a column are kept in ``extra``. A value
that does not fit its column is null there, and is kept in ``extra`` under the name of its field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset.schema import INVENTORY_PARAMETERS, JOBS, UTC_MICROSECONDS, VAULTS, Observation
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.decoding import InventoryParameters, JobRecord, Jobs, are_records, columns_of
from glacier_jobs.glacier.values import (
    CONVERSION_ERRORS,
    Field,
    OddCounts,
    OddValues,
    RowName,
    any_json_text,
    column,
    fitting,
    json_text,
    required_text,
    shortened,
)


def _job_name(vault_name: str, job_ids: Sequence[Any]) -> RowName:
    return lambda position: f"vault {vault_name}, job {shortened(job_ids[position])}"


#: AWS's name -> column, for the fields that name a job. Without one of them, its vault's listing fails.
_REQUIRED_COLUMNS = {"JobId": "job_id", "VaultARN": "vault_arn"}

#: AWS's name -> column, for the other fields with a single value.
_JOB_COLUMNS = {
    "JobDescription": "job_description",
    "Action": "action",
    "ArchiveId": "archive_id",
    "CreationDate": "creation_date",
    "CompletionDate": "completion_date",
    "Completed": "completed",
    "StatusCode": "status_code",
    "StatusMessage": "status_message",
    "ArchiveSizeInBytes": "archive_size_in_bytes",
    "InventorySizeInBytes": "inventory_size_in_bytes",
    "SNSTopic": "sns_topic",
    "SHA256TreeHash": "sha256_tree_hash",
    "ArchiveSHA256TreeHash": "archive_sha256_tree_hash",
    "RetrievalByteRange": "retrieval_byte_range",
    "Tier": "tier",
    "JobOutputPath": "job_output_path",
}

_JSON_COLUMNS = {"SelectParameters": "select_parameters", "OutputLocation": "output_location"}

_PARAMETERS = "InventoryRetrievalParameters"

_PARAMETER_COLUMNS = {
    "Format": "format",
    "StartDate": "start_date",
    "EndDate": "end_date",
    "Limit": "limit",
    "Marker": "marker",
}

_KNOWN = frozenset({*_REQUIRED_COLUMNS, *_JOB_COLUMNS, *_JSON_COLUMNS, _PARAMETERS})
_KNOWN_PARAMETERS = frozenset(_PARAMETER_COLUMNS)


def _unknown(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: fields[name] for name in sorted(fields.keys() - known) if fields[name] is not None}


def _extra(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a job that have no column in the schema."""
    extra = _unknown(job, _KNOWN)
    parameters = job.get(_PARAMETERS)
    if isinstance(parameters, Mapping) and (added := _unknown(parameters, _KNOWN_PARAMETERS)):
        extra[_PARAMETERS] = added
    return extra


def _object(value: object) -> Mapping[str, Any] | InventoryParameters | None:
    if value is None or isinstance(value, Mapping | InventoryParameters):
        return value
    raise TypeError("expected an object")


def _parameters_column(parameters: Sequence[Any], odd: OddValues) -> pa.Array:
    if _all_null(parameters):
        return pa.nulls(len(parameters), INVENTORY_PARAMETERS)
    found = fitting(parameters, _object, (_PARAMETERS,), odd)
    children = []
    for name, child in _PARAMETER_COLUMNS.items():
        values = [None if value is None else value.get(name) for value in found]
        children.append(column(values, INVENTORY_PARAMETERS.field(child).type, (_PARAMETERS, name), odd))
    return pa.StructArray.from_arrays(
        children, fields=list(INVENTORY_PARAMETERS), mask=pa.array([value is None for value in found])
    )


@dataclass(frozen=True, kw_only=True)
class ObservedPage:
    """The jobs of one page, and when the page was received, an aware UTC datetime."""

    jobs: Jobs
    observed_at: datetime


@dataclass(frozen=True, kw_only=True)
class ConvertedJobs:
    """Rows of the table ``jobs``, and how many values did not fit their columns."""

    batch: pa.RecordBatch
    odd: OddCounts


def jobs_batch(
    jobs: Sequence[Mapping[str, Any]], *, observation: Observation, vault_name: str, observed_at: datetime
) -> pa.RecordBatch:
    """Convert the jobs of one page to rows of the table ``jobs``, as :func:`converted_pages` does."""
    page = ObservedPage(jobs=[dict(job) for job in jobs], observed_at=observed_at)
    return converted_pages([page], observation=observation, vault_name=vault_name).batch


def converted_pages(pages: Sequence[ObservedPage], *, observation: Observation, vault_name: str) -> ConvertedJobs:
    """Convert job descriptions of one vault to rows of the table ``jobs``.

    :param pages: in the order in which they were received.
    :return: a batch with the schema :data:`JOBS`, one row a job, in the order given.
    :raises MalformedAnswer: a job has no id, no vault ARN, or a field that is nested too deeply; names the vault.
    """
    try:
        return _converted(pages, observation, vault_name)
    except RecursionError as error:
        raise MalformedAnswer(f"vault {vault_name}: a field of a job is nested too deeply") from error


def _converted(pages: Sequence[ObservedPage], observation: Observation, vault_name: str) -> ConvertedJobs:
    found = columns_of([page.jobs for page in pages])
    rows = len(found["JobId"])
    row_name = _job_name(vault_name, found["JobId"])
    odd = OddValues(row_name)
    shared = {
        "observation_id": observation.observation_id,
        "snapshot_at": observation.snapshot_at,
        "account_id": observation.account_id,
        "region": observation.region,
        "vault_name": vault_name,
    }
    columns = {name: pa.repeat(pa.scalar(value, JOBS.field(name).type), rows) for name, value in shared.items()}
    columns["observed_at"] = pa.concat_arrays(
        [pa.repeat(pa.scalar(page.observed_at, UTC_MICROSECONDS), len(page.jobs)) for page in pages]
    )
    for name, column_name in _REQUIRED_COLUMNS.items():
        columns[column_name] = required_text(found[name], name, row_name)
    for name, column_name in _JOB_COLUMNS.items():
        columns[column_name] = column(found[name], JOBS.field(column_name).type, (name,), odd)
    columns["inventory_retrieval_parameters"] = _parameters_column(found[_PARAMETERS], odd)
    for name, column_name in _JSON_COLUMNS.items():
        columns[column_name] = _json_column(found[name], name, odd)
    columns["extra"] = _extra_column(pages, odd)
    batch = pa.RecordBatch.from_arrays([columns[name] for name in JOBS.names], schema=JOBS)
    return ConvertedJobs(batch=batch, odd=odd.counts())


def _all_null(values: Sequence[Any]) -> bool:
    return values.count(None) == len(values)


def _json_column(values: Sequence[Any], field: str, odd: OddValues) -> pa.Array:
    if _all_null(values):
        return pa.nulls(len(values), pa.string())
    return pa.array(fitting(values, json_text, (field,), odd), pa.string())


def _extra_column(pages: Sequence[ObservedPage], odd: OddValues) -> pa.Array:
    """Return the column ``extra``: fields without a column, which records do not have, and odd values."""
    if not odd.by_row and all(are_records(page.jobs) for page in pages):
        return pa.nulls(sum(len(page.jobs) for page in pages), pa.string())
    extras: list[dict[str, Any]] = []
    for page in pages:
        extras += [{} if isinstance(job, JobRecord) else _extra(job) for job in page.jobs]
    for row, extra in enumerate(extras):
        for name in [name for name, value in extra.items() if _is_odd(value)]:
            odd.add(row, (name,), extra[name], ValueError("expected JSON that can be encoded as UTF-8"))
        for field, value in odd.by_row.get(row, {}).items():
            _put(extra, field, value)
    return pa.array([any_json_text(extra) if extra else None for extra in extras], pa.string())


def _is_odd(value: object) -> bool:
    try:
        json_text(value)
    except CONVERSION_ERRORS:
        return True
    return False


def _put(extra: dict[str, Any], field: Field, value: object) -> None:
    """Put an odd value under the name of its field, if needed in an object."""
    *objects, name = field
    for each in objects:
        extra = extra.setdefault(each, {})
    extra[name] = value


_VAULT_COLUMNS = {
    "CreationDate": "creation_date",
    "LastInventoryDate": "last_inventory_date",
    "NumberOfArchives": "number_of_archives",
    "SizeInBytes": "size_in_bytes",
}


@dataclass(frozen=True, kw_only=True)
class ConvertedVault:
    """Values of the table ``vaults``, and how many did not fit their columns."""

    columns: Mapping[str, Any]
    odd: OddCounts


def converted_vault(vault: Mapping[str, Any]) -> ConvertedVault:
    """Convert a vault's description by List Vaults to values of the table ``vaults``."""
    odd = OddValues(lambda _: f"vault {shortened(vault.get('VaultName'))}")
    columns = {
        column_name: column([vault.get(name)], VAULTS.field(column_name).type, (name,), odd)[0].as_py()
        for name, column_name in _VAULT_COLUMNS.items()
    }
    return ConvertedVault(columns=columns, odd=odd.counts())
