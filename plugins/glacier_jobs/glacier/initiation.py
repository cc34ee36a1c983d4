"""The parameters of Initiate Job, checked before the request is made. All pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias, get_args

from glacier_jobs.arguments import shown
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.glacier.identifiers import check_account_id, check_vault_name
from glacier_jobs.glacier.timestamps import moment_of

JobType: TypeAlias = Literal["archive-retrieval", "inventory-retrieval"]
Tier: TypeAlias = Literal["Expedited", "Standard", "Bulk"]

#: The fastest first.
TIERS: tuple[str, ...] = get_args(Tier)

MEBIBYTE = 1024 * 1024

#: Glacier's limit for the description of a job, in characters.
LONGEST_DESCRIPTION = 1024

_JOB_TYPES: tuple[str, ...] = get_args(JobType)
_PRINTABLE = re.compile(r"[ -~]*")
_ARCHIVE_ID = re.compile(r"[!-~]+")
_BYTE_RANGE = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
_TOPIC = re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d))?", re.ASCII)
_DATES: tuple[str, ...] = ("StartDate", "EndDate")
_INVENTORY_PARAMETERS: tuple[str, ...] = (*_DATES, "Limit", "Marker")


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A request to start a job; :meth:`checked` creates it.

    :param retrieval_byte_range: the first and the last byte of an archive; ``None`` for the whole archive, and for an
        inventory.
    :param inventory_parameters: ``StartDate``, ``EndDate``, ``Limit`` and ``Marker`` as Glacier expects them, those
        that are given.
    """

    vault_name: str
    account_id: str
    job_type: JobType
    archive_id: str | None
    retrieval_byte_range: tuple[int, int] | None
    tier: str | None
    description: str | None
    sns_topic: str | None
    output_format: str | None
    inventory_parameters: Mapping[str, str]

    @classmethod
    def checked(
        cls,
        *,
        vault_name: object,
        job_type: object,
        archive_id: object = None,
        retrieval_byte_range: object = None,
        tier: object = None,
        description: object = None,
        sns_topic: object = None,
        output_format: object = None,
        inventory_retrieval_parameters: object = None,
        account_id: object = "-",
        longest_description: int = LONGEST_DESCRIPTION,
    ) -> JobRequest:
        """Return a request with these parameters, checked.

        Parameters are those of :meth:`glacier_jobs.glacier.hook.GlacierJobsHook.initiate_job`.

        Example::

            JobRequest.checked(vault_name="photos", job_type="archive-retrieval", archive_id="HkF9p6", tier="Bulk")

        :param longest_description: how many characters ``description`` may have.
        :raises InvalidArgument: names the parameter, what was found, and what is allowed.
        """
        checked_vault, checked_account = check_vault_name(vault_name), check_account_id(account_id)
        checked_type = _one_of(job_type, _JOB_TYPES, "job_type")
        if checked_type == "archive-retrieval":
            _refuse_for(
                checked_type,
                output_format=output_format,
                inventory_retrieval_parameters=inventory_retrieval_parameters or None,
            )
            archive: str | None = _archive_id(archive_id)
        else:
            _refuse_for(checked_type, archive_id=archive_id, retrieval_byte_range=retrieval_byte_range)
            archive = None
        return cls(
            vault_name=checked_vault,
            account_id=checked_account,
            job_type=checked_type,  # type: ignore[arg-type]  # one of its values, by the check above
            archive_id=archive,
            retrieval_byte_range=None if retrieval_byte_range is None else _byte_range(retrieval_byte_range),
            tier=None if tier is None else _one_of(tier, TIERS, "tier"),
            description=_description(description, longest_description),
            sns_topic=_topic(sns_topic),
            output_format=None if output_format is None else _one_of(output_format, ("JSON", "CSV"), "output_format"),
            inventory_parameters=_inventory_parameters(inventory_retrieval_parameters),
        )

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as boto3 expects them.

        Source: Amazon Glacier API 2012-06-01, Initiate Job, request body.
        """
        byte_range = self.retrieval_byte_range
        given = {
            "Type": self.job_type,
            "ArchiveId": self.archive_id,
            "RetrievalByteRange": None if byte_range is None else f"{byte_range[0]}-{byte_range[1]}",
            "Tier": self.tier,
            "Description": self.description or None,
            "SNSTopic": self.sns_topic,
            "Format": self.output_format,
            "InventoryRetrievalParameters": dict(self.inventory_parameters) or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def __str__(self) -> str:
        if self.archive_id is None:
            return "inventory" + "".join(f", {name} {value}" for name, value in self.inventory_parameters.items())
        byte_range = self.retrieval_byte_range
        part = "" if byte_range is None else f", bytes {byte_range[0]} to {byte_range[1]}"
        return f"archive {self.archive_id}{part}"


def _one_of(value: object, allowed: tuple[str, ...], name: str) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise InvalidArgument(f"{name} is {shown(value)}; allowed are {', '.join(allowed)}")


def _refuse_for(job_type: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise InvalidArgument(f"{name} is {shown(value)}; expected none for a job of the type {job_type}")


def _archive_id(value: object) -> str:
    if isinstance(value, str) and _ARCHIVE_ID.fullmatch(value):
        return value
    raise InvalidArgument(
        f"archive_id is {shown(value)}; expected the ID of an archive, which a job of the type archive-retrieval needs"
    )


def _byte_range(value: object) -> tuple[int, int]:
    match = _BYTE_RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        start, end = int(match[1]), int(match[2])
        if start <= end and start % MEBIBYTE == 0:
            return start, end
    raise InvalidArgument(
        f"retrieval_byte_range is {shown(value)}; expected the first and the last byte, such as 0-1048575: the first a "
        f"multiple of {MEBIBYTE}, the last one less than a multiple of {MEBIBYTE}, or the last byte of the archive"
    )


def _description(value: object, longest: int) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= longest and _PRINTABLE.fullmatch(value)):
        return value
    found = f"{len(value)} characters" if isinstance(value, str) and len(value) > longest else shown(value)
    raise InvalidArgument(f"description is {found}; allowed are up to {longest} printable ASCII characters")


def _topic(value: object) -> str | None:
    if value is None or (isinstance(value, str) and _TOPIC.fullmatch(value)):
        return value
    raise InvalidArgument(
        f"sns_topic is {shown(value)}; expected the ARN of an SNS topic: arn:aws:sns:Region:account:name"
    )


def _inventory_parameters(value: object) -> Mapping[str, str]:
    name = "inventory_retrieval_parameters"
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not set(value) <= set(_INVENTORY_PARAMETERS):
        raise InvalidArgument(f"{name} is {shown(value)}; allowed are the keys {', '.join(_INVENTORY_PARAMETERS)}")
    given = {key: value[key] for key in _INVENTORY_PARAMETERS if value.get(key) is not None}
    dates: dict[str, str] = {
        key: _date(given[key], f"{name}[{key!r}]") for key in ("StartDate", "EndDate") if key in given
    }
    moments = [moment_of(text) for text in dates.values()]
    if len(moments) == 2 and moments != sorted(set(filter(None, moments))):
        raise InvalidArgument(
            f"{name}: StartDate is {dates['StartDate']}, which is not before EndDate {dates['EndDate']}"
        )
    checked = {**dates}
    if "Limit" in given:
        checked["Limit"] = _limit(given["Limit"], f"{name}['Limit']")
    if "Marker" in given:
        marker = given["Marker"]
        if not isinstance(marker, str) or not _ARCHIVE_ID.fullmatch(marker):
            raise InvalidArgument(f"{name}['Marker'] is {shown(marker)}; expected the marker of an earlier job")
        checked["Marker"] = marker
    return checked


def _date(value: object, name: str) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, str) and _DATE.fullmatch(value) and moment_of(value) is not None:
        return value
    raise InvalidArgument(
        f"{name} is {shown(value)}; expected an ISO 8601 date, or a date and time with time zone, such as "
        "2013-03-20T17:03:43Z, or an aware datetime"
    )


def _limit(value: object, name: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.fullmatch(r"[1-9]\d{0,17}", text, re.ASCII):
        return text
    raise InvalidArgument(f"{name} is {shown(value)}; expected a whole number of at least 1")
