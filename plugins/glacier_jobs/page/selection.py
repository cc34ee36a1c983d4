"""The selection of jobs, as given by the query parameters of the page."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: The file formats for downloads.
FileFormat: TypeAlias = Literal["csv", "parquet"]

_Value = Annotated[str, StringConstraints(max_length=300)]
_Values = Annotated[list[_Value], Field(max_length=1000)]

DEFAULT_SORT = "-creation_date"
MAX_PAGE_SIZE = 200


class Selection(BaseModel):
    """Filters and order. If a filter has several values, a job must have one of them.

    An empty value matches a missing value, such as the tier of some inventory jobs.
    """

    model_config = ConfigDict(extra="forbid")

    account: _Values = []
    region: _Values = []
    vault: _Values = []
    status: _Values = []
    action: _Values = []
    tier: _Values = []
    #: A part of an id, a description, a status message or a vault name.
    q: Annotated[str, StringConstraints(max_length=1024)] = ""
    #: A column; with a leading minus in descending order.
    sort: Annotated[str, StringConstraints(pattern=r"^-?[a-z_]{1,40}$")] = DEFAULT_SORT

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the question ``found_jobs``."""
        return {
            "account_ids": self.account or None,
            "regions": self.region or None,
            "vault_names": self.vault or None,
            "status_codes": self.status or None,
            "actions": self.action or None,
            "tiers": self.tier or None,
            "text": self.q or None,
            "sort": self.sort.removeprefix("-"),
            "descending": self.sort.startswith("-"),
        }


class PageOfSelection(Selection):
    """A selection, and the number and size of one page of it."""

    page: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = 50
