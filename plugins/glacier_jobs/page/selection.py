"""Which jobs somebody wants to see, as the page's address says it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: What all jobs that match can be downloaded as.
FileFormat: TypeAlias = Literal["csv", "parquet"]

_Value = Annotated[str, StringConstraints(max_length=300)]
_Values = Annotated[list[_Value], Field(max_length=1000)]

DEFAULT_SORT = "-creation_date"
MAX_PAGE_SIZE = 200


class Selection(BaseModel):
    """Filters and order; of a filter that is given several times, any value will do.

    An empty value stands for one that is missing, as the tier of some inventory jobs.
    """

    model_config = ConfigDict(extra="forbid")

    account: _Values = []
    region: _Values = []
    vault: _Values = []
    status: _Values = []
    action: _Values = []
    tier: _Values = []
    #: A part of an id, a description, a status message or a vault's name.
    q: Annotated[str, StringConstraints(max_length=1024)] = ""
    #: A column; with a leading minus, the largest first.
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
    """A selection, and which page of it."""

    page: Annotated[int, Field(ge=1, le=10_000_000)] = 1
    size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = 50
