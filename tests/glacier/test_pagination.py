from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.errors import InvalidArgument, MalformedAnswer, MarkerRepeated
from glacier_jobs.glacier.pagination import (
    JobDescription,
    MarkerTrail,
    RepeatFilter,
    check_marker,
    list_jobs_parameters,
)


def test_parameters_are_the_strings_that_list_jobs_takes() -> None:
    parameters = list_jobs_parameters(statuscode="Succeeded", completed=False, page_size=7)

    assert parameters == {"statuscode": "Succeeded", "completed": "false", "limit": "7"}


def test_a_filter_that_is_not_given_is_not_sent() -> None:
    assert list_jobs_parameters() == {}


@pytest.mark.parametrize("marker", [None, "m", "m\u00fc/+="])
def test_a_listing_resumes_at_a_marker_or_begins_without_one(marker: str | None) -> None:
    assert check_marker(marker) == marker


@pytest.mark.parametrize("page_size", [1, 1000])
def test_the_smallest_and_the_largest_page_are_allowed(page_size: int) -> None:
    assert list_jobs_parameters(page_size=page_size) == {"limit": str(page_size)}


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({"statuscode": "succeeded"}, "InProgress, Succeeded, Failed"),
        ({"statuscode": ["Succeeded"]}, "InProgress, Succeeded, Failed"),
        ({"completed": "true"}, "True, False"),
        ({"completed": 1}, "True, False"),
        ({"page_size": 0}, "1 to 1000"),
        ({"page_size": 1001}, "1 to 1000"),
        ({"page_size": True}, "1 to 1000"),
        ({"page_size": "50"}, "1 to 1000"),
    ],
)
def test_an_argument_that_list_jobs_does_not_know_is_refused_with_the_allowed_values(
    arguments: dict[str, object], allowed: str
) -> None:
    with pytest.raises(InvalidArgument, match=allowed):
        list_jobs_parameters(**arguments)


@pytest.mark.parametrize("marker", ["", 5, b"x"])
def test_a_marker_is_text_or_none(marker: object) -> None:
    with pytest.raises(InvalidArgument, match="the marker of an earlier page"):
        check_marker(marker)


@pytest.mark.parametrize("last", [None, ""])
def test_a_listing_ends_where_there_is_no_marker(last: str | None) -> None:
    assert MarkerTrail("the listing").follow(last) is None


def test_a_marker_that_is_repeated_directly_is_an_error_that_names_it() -> None:
    trail = MarkerTrail("List Jobs of vault photos")
    trail.follow("a")

    with pytest.raises(MarkerRepeated, match=r"vault photos.*'a'"):
        trail.follow("a")


def test_a_marker_that_is_repeated_after_others_is_an_error_too() -> None:
    trail = MarkerTrail("the listing", start="a")
    for marker in "bcd":
        trail.follow(marker)

    with pytest.raises(MarkerRepeated, match="'a'"):
        trail.follow("a")


def test_a_marker_that_is_not_text_is_malformed() -> None:
    with pytest.raises(MalformedAnswer, match="5"):
        MarkerTrail("the listing").follow(5)


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 5)))
def test_any_split_into_pages_with_any_duplicates_gives_each_job_once_in_order(
    ids: list[int], sizes: list[int]
) -> None:
    jobs = [{"VaultARN": "arn", "JobId": str(number)} for number in ids]
    repeats = RepeatFilter()

    seen: list[JobDescription] = []
    for size in [*sizes, len(jobs)]:
        page, jobs = jobs[:size], jobs[size:]
        seen += repeats.new(page)

    assert [job["JobId"] for job in seen] == list(dict.fromkeys(map(str, ids)))


def test_jobs_of_two_vaults_with_the_same_id_are_two_jobs() -> None:
    jobs = [{"VaultARN": arn, "JobId": "a"} for arn in ("one", "other")]

    assert list(RepeatFilter().new(jobs)) == jobs
