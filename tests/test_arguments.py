from __future__ import annotations

import pytest

from glacier_jobs.arguments import several
from glacier_jobs.errors import InvalidArgument


@pytest.mark.parametrize(
    "value",
    [
        ["a", "b"],
        ("a", "b"),
        ["a", "b", "a"],
        "['a', 'b']",
        '["a", "b"]',
        "('a', 'b')",
        ["a ", "\nb"],
        {"a": 1, "b": 2}.keys(),
    ],
)
def test_several_texts_may_come_in_any_shape_that_airflow_hands_on(value: object) -> None:
    assert several(value, "job_id") == ["a", "b"]


def test_one_text_is_a_list_of_one() -> None:
    assert several("photos", "vault_names") == ["photos"]


@pytest.mark.parametrize("value", [[], "[]", ()])
def test_nothing_at_all_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="job_id is empty"):
        several(value, "job_id")


@pytest.mark.parametrize("value", [None, 5, ["a", None], ["a", ""], [1], {"a": 1}, b"a", "", "  ", "[a, b", "[1, 2]"])
def test_anything_else_is_refused_with_what_was_found(value: object) -> None:
    with pytest.raises(InvalidArgument, match="expected one text or a list of texts"):
        several(value, "job_id")
