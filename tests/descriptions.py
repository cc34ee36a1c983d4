"""Hypothesis strategies for the job descriptions that Glacier may return."""

from __future__ import annotations

import string
from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

ARN = "arn:aws:glacier:us-east-1:123456789012:vaults/"

_TEXT = st.text(max_size=40)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - Hypothesis needs naive bounds
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
)
_JSON = st.recursive(
    st.none() | st.booleans() | _INT64 | _TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_TEXT, children, max_size=3),
    max_leaves=5,
)


def aws_date(moment: datetime) -> str:
    """Format a time as Glacier does."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


DATES = _MOMENTS.map(aws_date)
JOB_IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=92)

_INVENTORY_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "Format": st.sampled_from(["JSON", "CSV", None]),
        "StartDate": DATES | st.none(),
        "EndDate": DATES | st.none(),
        "Limit": st.integers(1, 10_000).map(str) | st.none(),
        "Marker": _TEXT | st.none(),
    },
)

#: Every documented field except the two required ones. Each may be null or absent.
OPTIONAL_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "JobDescription": _TEXT,
    "Action": st.sampled_from(["ArchiveRetrieval", "InventoryRetrieval", "Select"]),
    "ArchiveId": JOB_IDS,
    "CreationDate": DATES,
    "CompletionDate": DATES,
    "Completed": st.booleans(),
    "StatusCode": st.sampled_from(["InProgress", "Succeeded", "Failed"]),
    "StatusMessage": _TEXT,
    "ArchiveSizeInBytes": _INT64,
    "InventorySizeInBytes": _INT64,
    "SNSTopic": _TEXT,
    "SHA256TreeHash": _TEXT,
    "ArchiveSHA256TreeHash": _TEXT,
    "RetrievalByteRange": st.just("0-1048575"),
    "Tier": st.sampled_from(["Expedited", "Standard", "Bulk"]),
    "InventoryRetrievalParameters": _INVENTORY_PARAMETERS,
    "JobOutputPath": _TEXT,
    "SelectParameters": st.dictionaries(_TEXT, _JSON, max_size=3),
    "OutputLocation": st.dictionaries(_TEXT, _JSON, max_size=3),
}

#: Fields that AWS may add in the future.
_ADDED_FIELDS = st.dictionaries(_TEXT.map(lambda name: f"New{name}"), _JSON.filter(lambda v: v is not None), max_size=2)


def job_descriptions(vault_name: str = "photos") -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for job descriptions of one vault. Each field may be absent, null or present."""
    documented = st.fixed_dictionaries(
        {"JobId": JOB_IDS, "VaultARN": st.just(ARN + vault_name)},
        optional={name: values | st.none() for name, values in OPTIONAL_FIELDS.items()},
    )
    return st.builds(lambda fields, added: {**added, **fields}, documented, _ADDED_FIELDS)
