"""Pages of a listing and their markers."""

import base64
import binascii
import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

SortKey = tuple[int, str]
"""The sort key of a job: its creation time in milliseconds (negated if the newest is first), then its ID."""

_DIGEST_BYTES = 6
FIRST_KEY: SortKey = (-(2**62), "")


@dataclass(frozen=True, kw_only=True)
class Position:
    """The start of a page: the job with this key, or the next job if that one no longer exists."""

    key: SortKey = FIRST_KEY
    empty_pages: int = 0
    """The number of consecutive empty pages before this one; makes their markers different."""


@dataclass(frozen=True, kw_only=True)
class PageSlice:
    """A page: a slice of the listing, and the start of the next page (``None`` for the last)."""

    start: int
    end: int
    next_position: Position | None


def slice_page(
    keys: Sequence[SortKey], position: Position, limit: int, *, empty: bool = False, repeats_job: bool = False
) -> PageSlice:
    """Return the page of at most ``limit`` jobs that starts at a position.

    :param keys: the sort keys of the complete listing, ascending.
    :param empty: return an empty page, followed by a page at the same position.
    :param repeats_job: start the next page with the last job of this one. Ignored for a page of one job: the listing
        would never end.
    """
    start = bisect_left(keys, position.key)
    if empty:
        return PageSlice(
            start=start, end=start, next_position=Position(key=position.key, empty_pages=position.empty_pages + 1)
        )
    end = min(start + limit, len(keys))
    if end == len(keys):
        return PageSlice(start=start, end=end, next_position=None)
    next_start = end - 1 if repeats_job and end - start > 1 else end
    return PageSlice(start=start, end=end, next_position=Position(key=keys[next_start]))


def make_marker(vault_name: str, position: Position) -> str:
    """Return the opaque marker for a position in the listing of a vault."""
    content = json.dumps([vault_name, *position.key, position.empty_pages], separators=(",", ":")).encode()
    return base64.b64encode(hashlib.sha256(content).digest()[:_DIGEST_BYTES] + content).decode()


def parse_marker(vault_name: str, marker: str) -> Position:
    """Return the position of a marker.

    :raises ValueError: the marker does not come from a listing of this vault.
    """
    try:
        raw = base64.b64decode(marker, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not a marker: {marker}") from error
    digest, content = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest()[:_DIGEST_BYTES] != digest:
        raise ValueError(f"not a marker: {marker}")
    name, milliseconds, job_id, empty_pages = json.loads(content)
    if name != vault_name:
        raise ValueError(f"not a marker of the vault {vault_name}: {marker}")
    return Position(key=(milliseconds, job_id), empty_pages=empty_pages)
