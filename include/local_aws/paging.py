"""Where a page of a listing begins, where it ends, and which marker it carries."""

import base64
import binascii
import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

Key = tuple[int, str]
"""A job's place in a listing: its creation in milliseconds (negated where the newest comes first), then its id."""

_DIGEST_BYTES = 6
BEGINNING: Key = (-(2**62), "")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a page begins: at the job that stands there, or at the next if that one is gone."""

    key: Key = BEGINNING
    empty_pages: int = 0
    """How many empty pages in a row led here; it makes their markers differ."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A page: the slice of the listing that it shows, and where the next one begins (``None`` after the last)."""

    start: int
    end: int
    following: Place | None


def cut(keys: Sequence[Key], place: Place, limit: int, *, empty: bool = False, repeats_job: bool = False) -> Cut:
    """The page of at most ``limit`` jobs that begins at a place.

    :param keys: of the whole listing, ascending.
    :param empty: show nothing, and carry a marker to the same place.
    :param repeats_job: let the next page begin with the last job of this one. A page of one job cannot do so: the
        listing would never go on.
    """
    start = bisect_left(keys, place.key)
    if empty:
        return Cut(start=start, end=start, following=Place(key=place.key, empty_pages=place.empty_pages + 1))
    end = min(start + limit, len(keys))
    if end == len(keys):
        return Cut(start=start, end=end, following=None)
    begins_next = end - 1 if repeats_job and end - start > 1 else end
    return Cut(start=start, end=end, following=Place(key=keys[begins_next]))


def marker_of(vault_name: str, place: Place) -> str:
    """The opaque marker for a place in the listing of a vault."""
    content = json.dumps([vault_name, *place.key, place.empty_pages], separators=(",", ":")).encode()
    return base64.b64encode(hashlib.sha256(content).digest()[:_DIGEST_BYTES] + content).decode()


def place_of(vault_name: str, marker: str) -> Place:
    """The place that a marker of this vault names.

    :raises ValueError: no listing of this vault has given this marker.
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
    return Place(key=(milliseconds, job_id), empty_pages=empty_pages)
