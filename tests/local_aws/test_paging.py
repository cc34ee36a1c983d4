from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.paging import Key, Place, cut, marker_of, place_of

KEYS = st.lists(st.tuples(st.integers(-5, 5), st.text(max_size=3)), unique=True, max_size=40).map(sorted)


def joined(pages: list[list[Key]]) -> list[Key]:
    return list(itertools.chain.from_iterable(pages))


def walk(
    keys: list[Key], limits: list[int], *, repeats_job: bool = False, empty: list[bool] | None = None
) -> list[list[Key]]:
    pages, place, i = [], Place(), 0
    while True:
        page = cut(
            keys,
            place,
            limits[i % len(limits)],
            empty=bool(empty) and i < len(empty or []) and (empty or [])[i],
            repeats_job=repeats_job,
        )
        pages.append(keys[page.start : page.end])
        if page.following is None:
            return pages
        marker = marker_of("a vault/with odd?characters&", page.following)
        place = place_of("a vault/with odd?characters&", marker)
        i += 1


@given(KEYS, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_any_split_into_pages_gives_the_same_jobs(keys: list[Key], limits: list[int]) -> None:
    assert joined(walk(keys, limits)) == keys


@given(KEYS, st.lists(st.integers(1, 7), min_size=1), st.lists(st.booleans(), max_size=20))
def test_empty_pages_lose_and_repeat_nothing(keys: list[Key], limits: list[int], empty: list[bool]) -> None:
    assert joined(walk(keys, limits, empty=empty)) == keys


@given(KEYS, st.lists(st.integers(2, 7), min_size=1))
def test_a_marker_that_repeats_begins_the_page_with_the_last_job_of_the_one_before(
    keys: list[Key], limits: list[int]
) -> None:
    pages = walk(keys, limits, repeats_job=True)
    assert all(after[0] == before[-1] for before, after in itertools.pairwise(pages))
    assert sorted(set(joined(pages))) == keys


def test_markers_of_empty_pages_in_a_row_differ() -> None:
    first = cut([(1, "a")], Place(), 1, empty=True).following
    assert first is not None
    second = cut([(1, "a")], first, 1, empty=True).following
    assert second is not None
    assert marker_of("v", first) != marker_of("v", second)


def test_a_page_begins_after_a_job_that_is_gone() -> None:
    page = cut([(1, "a"), (3, "c")], Place(key=(2, "b")), 5)
    assert (page.start, page.end, page.following) == (1, 2, None)


@pytest.mark.parametrize("marker", ["", "x", "not base64!", base64.b64encode(b"123456[]").decode(), "é"])
def test_a_marker_that_was_never_given_is_refused(marker: str) -> None:
    with pytest.raises(ValueError, match="not a marker"):
        place_of("v", marker)


def test_a_marker_of_another_vault_is_refused() -> None:
    with pytest.raises(ValueError, match="not a marker of the vault w"):
        place_of("w", marker_of("v", Place()))
