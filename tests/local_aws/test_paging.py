from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.paging import Position, SortKey, make_marker, parse_marker, slice_page

KEYS = st.lists(st.tuples(st.integers(-5, 5), st.text(max_size=3)), unique=True, max_size=40).map(sorted)


def joined(pages: list[list[SortKey]]) -> list[SortKey]:
    return list(itertools.chain.from_iterable(pages))


def walk(
    keys: list[SortKey], limits: list[int], *, repeats_job: bool = False, empty: list[bool] | None = None
) -> list[list[SortKey]]:
    pages, position, i = [], Position(), 0
    while True:
        page = slice_page(
            keys,
            position,
            limits[i % len(limits)],
            empty=bool(empty) and i < len(empty or []) and (empty or [])[i],
            repeats_job=repeats_job,
        )
        pages.append(keys[page.start : page.end])
        if page.next_position is None:
            return pages
        marker = make_marker("a vault/with odd?characters&", page.next_position)
        position = parse_marker("a vault/with odd?characters&", marker)
        i += 1


@given(KEYS, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_any_split_into_pages_gives_the_same_jobs(keys: list[SortKey], limits: list[int]) -> None:
    assert joined(walk(keys, limits)) == keys


@given(KEYS, st.lists(st.integers(1, 7), min_size=1), st.lists(st.booleans(), max_size=20))
def test_empty_pages_neither_lose_nor_repeat_jobs(keys: list[SortKey], limits: list[int], empty: list[bool]) -> None:
    assert joined(walk(keys, limits, empty=empty)) == keys


@given(KEYS, st.lists(st.integers(2, 7), min_size=1))
def test_a_repeating_marker_starts_the_page_with_the_last_job_of_the_previous_page(
    keys: list[SortKey], limits: list[int]
) -> None:
    pages = walk(keys, limits, repeats_job=True)
    assert all(after[0] == before[-1] for before, after in itertools.pairwise(pages))
    assert sorted(set(joined(pages))) == keys


def test_markers_of_consecutive_empty_pages_differ() -> None:
    first = slice_page([(1, "a")], Position(), 1, empty=True).next_position
    assert first is not None
    second = slice_page([(1, "a")], first, 1, empty=True).next_position
    assert second is not None
    assert make_marker("v", first) != make_marker("v", second)


def test_a_page_starts_after_a_removed_job() -> None:
    page = slice_page([(1, "a"), (3, "c")], Position(key=(2, "b")), 5)
    assert (page.start, page.end, page.next_position) == (1, 2, None)


@pytest.mark.parametrize("marker", ["", "x", "not base64!", base64.b64encode(b"123456[]").decode(), "é"])
def test_an_invalid_marker_is_rejected(marker: str) -> None:
    with pytest.raises(ValueError, match="not a marker"):
        parse_marker("v", marker)


def test_a_marker_of_another_vault_is_rejected() -> None:
    with pytest.raises(ValueError, match="not a marker of the vault w"):
        parse_marker("w", make_marker("v", Position()))
