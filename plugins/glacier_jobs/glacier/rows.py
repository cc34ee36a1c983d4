"""Job and vault descriptions, as the service sends them, converted to rows of the tables.

A field that is null and a field that is absent both become null. Fields without a column are kept in ``extra``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from glacier_jobs.dataset.schema import INVENTORY_PARAMETERS, JOBS, UTC_MICROSECONDS, VAULTS, Observation
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.decoding import InventoryParameters, Jobs, are_records, columns_of


def _whole_number(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        number = int(value)
    else:
        raise ValueError("expected a whole number")
    if not -(2**63) <= number < 2**63:
        raise ValueError("expected a whole number that fits in 64 bits")
    return number


def _text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected text that can be encoded as UTF-8") from None
    return value


def _boolean(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise TypeError("expected true or false")


_ISO_8601 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")


def _utc_text(value: object) -> str | None:
    """Return a date in the form that Arrow reads; the service's dates are in UTC, with or without a time zone."""
    if value is None:
        return None
    match = _ISO_8601.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected an ISO 8601 date and time such as 2012-05-01T00:00:06.663Z")
    second, fraction, offset = match.groups()
    text = f"{second}.{(fraction or '0')[:6]}{offset or 'Z'}"
    pa.scalar(text).cast(UTC_MICROSECONDS)
    return text


def _json_text(value: object) -> str | None:
    if value is None:
        return None
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _object(value: object) -> Mapping[str, Any] | InventoryParameters | None:
    if value is None or isinstance(value, Mapping | InventoryParameters):
        return value
    raise TypeError("expected an object")


def _array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    if data_type == UTC_MICROSECONDS:
        return pa.array(values, pa.string()).cast(UTC_MICROSECONDS)
    if data_type == pa.int64():
        # Arrow infers the type: with a given type, it would drop fractions silently.
        inferred = pa.array(values)
        if inferred.type not in (pa.int64(), pa.null()):
            raise TypeError(f"found {inferred.type}")
        return inferred.cast(data_type)
    return pa.array(values, data_type)


_CHECKS: Mapping[pa.DataType, Callable[[object], Any]] = {
    pa.string(): _text,
    pa.int64(): _whole_number,
    pa.bool_(): _boolean,
    UTC_MICROSECONDS: _utc_text,
}

_CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)

#: Returns the name of one row in messages: "vault photos, job HkF9…"
_RowName = Callable[[int], str]


def _column(values: Sequence[Any], data_type: pa.DataType, field: str, row_name: _RowName) -> pa.Array:
    """Convert values as AWS sent them to a column: all at once, or one by one to name the value that is wrong."""
    try:
        return _array(values, data_type)
    except _CONVERSION_ERRORS:
        return _array(_checked(values, _CHECKS[data_type], field, row_name), data_type)


def _checked(values: Sequence[Any], check: Callable[[Any], Any], field: str, row_name: _RowName) -> list[Any]:
    checked = []
    for position, value in enumerate(values):
        try:
            checked.append(check(value))
        except _CONVERSION_ERRORS as error:
            raise MalformedAnswer(f"{row_name(position)}: {field} is {_shortened(value)}; {error}") from error
    return checked


def _shortened(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _job_name(vault_name: str, job_ids: Sequence[Any]) -> _RowName:
    return lambda position: f"vault {vault_name}, job {_shortened(job_ids[position])}"


#: AWS's name -> column, for the fields with a single value.
_JOB_COLUMNS = {
    "JobId": "job_id",
    "JobDescription": "job_description",
    "Action": "action",
    "ArchiveId": "archive_id",
    "VaultARN": "vault_arn",
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

_KNOWN = frozenset({*_JOB_COLUMNS, *_JSON_COLUMNS, _PARAMETERS})
_KNOWN_PARAMETERS = frozenset(_PARAMETER_COLUMNS)


def _unknown(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: fields[name] for name in sorted(fields.keys() - known) if fields[name] is not None}


def _extra(job: Mapping[str, Any]) -> str | None:
    """Return, as JSON text, the fields of a job that have no column in the schema."""
    extra = _unknown(job, _KNOWN)
    if added := _unknown(job.get(_PARAMETERS) or {}, _KNOWN_PARAMETERS):
        extra[_PARAMETERS] = added
    return _json_text(extra) if extra else None


def _parameters_column(parameters: Sequence[Any], row_name: _RowName) -> pa.Array:
    if _all_null(parameters):
        return pa.nulls(len(parameters), INVENTORY_PARAMETERS)
    found = _checked(parameters, _object, _PARAMETERS, row_name)
    children = []
    for name, column in _PARAMETER_COLUMNS.items():
        values = [None if value is None else value.get(name) for value in found]
        children.append(_column(values, INVENTORY_PARAMETERS.field(column).type, f"{_PARAMETERS}.{name}", row_name))
    return pa.StructArray.from_arrays(
        children, fields=list(INVENTORY_PARAMETERS), mask=pa.array([value is None for value in found])
    )


@dataclass(frozen=True, kw_only=True)
class ObservedPage:
    """The jobs of one page, and when the page was received, an aware UTC datetime."""

    jobs: Jobs
    observed_at: datetime


def jobs_batch(
    jobs: Sequence[Mapping[str, Any]], *, observation: Observation, vault_name: str, observed_at: datetime
) -> pa.RecordBatch:
    """Convert the jobs of one page to rows of the table ``jobs``, as :func:`pages_batch` does."""
    page = ObservedPage(jobs=[dict(job) for job in jobs], observed_at=observed_at)
    return pages_batch([page], observation=observation, vault_name=vault_name)


def pages_batch(pages: Sequence[ObservedPage], *, observation: Observation, vault_name: str) -> pa.RecordBatch:
    """Convert job descriptions of one vault to rows of the table ``jobs``.

    :param pages: in the order in which they were received.
    :return: a batch with the schema :data:`JOBS`, one row a job, in the order given.
    :raises MalformedAnswer: names vault, job and field, what was found and what was expected.
    """
    found = columns_of([page.jobs for page in pages])
    rows = len(found["JobId"])
    row_name = _job_name(vault_name, found["JobId"])
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
    for name, column in _JOB_COLUMNS.items():
        columns[column] = _column(found[name], JOBS.field(column).type, name, row_name)
    columns["inventory_retrieval_parameters"] = _parameters_column(found[_PARAMETERS], row_name)
    for name, column in _JSON_COLUMNS.items():
        columns[column] = _json_column(found[name], name, row_name)
    columns["extra"] = _extra_column(pages, row_name)
    for required in ("JobId", "VaultARN"):
        _refuse_nulls(columns[_JOB_COLUMNS[required]], required, row_name)
    return pa.RecordBatch.from_arrays([columns[name] for name in JOBS.names], schema=JOBS)


def _all_null(values: Sequence[Any]) -> bool:
    return values.count(None) == len(values)


def _json_column(values: Sequence[Any], field: str, row_name: _RowName) -> pa.Array:
    if _all_null(values):
        return pa.nulls(len(values), pa.string())
    return pa.array(_checked(values, _json_text, field, row_name), pa.string())


def _extra_column(pages: Sequence[ObservedPage], row_name: _RowName) -> pa.Array:
    """Return the column ``extra``: the fields without a column of their own; records have no such fields."""
    if all(are_records(page.jobs) for page in pages):
        return pa.nulls(sum(len(page.jobs) for page in pages), pa.string())
    jobs: list[Any] = []
    for page in pages:
        jobs += [{}] * len(page.jobs) if are_records(page.jobs) else page.jobs
    return pa.array(_checked(jobs, _extra, "an added field", row_name), pa.string())


def _refuse_nulls(column: pa.Array, field: str, row_name: _RowName) -> None:
    if column.null_count:
        position = column.is_null().to_pylist().index(True)
        raise MalformedAnswer(f"{row_name(position)}: {field} is missing; every job has one")


_VAULT_COLUMNS = {
    "CreationDate": "creation_date",
    "LastInventoryDate": "last_inventory_date",
    "NumberOfArchives": "number_of_archives",
    "SizeInBytes": "size_in_bytes",
}


def vault_columns(vault: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a vault's description by List Vaults to values of the table ``vaults``.

    :raises MalformedAnswer: names vault and field, what was found and what was expected.
    """

    def row_name(_: int) -> str:
        return f"vault {_shortened(vault.get('VaultName'))}"

    return {
        column: _column([vault.get(name)], VAULTS.field(column).type, name, row_name)[0].as_py()
        for name, column in _VAULT_COLUMNS.items()
    }
