from __future__ import annotations

from datetime import timedelta

import pytest

from glacier_jobs.arguments import check_params_allowed, checked_seconds, params_allowed, several, switched_on
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
def test_several_texts_are_accepted_in_every_form_that_airflow_passes(value: object) -> None:
    assert several(value, "job_id") == ["a", "b"]


def test_one_text_is_a_list_of_one() -> None:
    assert several("photos", "vault_names") == ["photos"]


@pytest.mark.parametrize("value", [[], "[]", ()])
def test_an_empty_argument_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="job_id is empty"):
        several(value, "job_id")


@pytest.mark.parametrize("value", [None, 5, ["a", None], ["a", ""], [1], {"a": 1}, b"a", "", "  ", "[a, b", "[1, 2]"])
def test_anything_else_is_refused_with_what_was_found(value: object) -> None:
    with pytest.raises(InvalidArgument, match="expected one text or a list of texts"):
        several(value, "job_id")


@pytest.mark.parametrize("value", [90, 90.0, timedelta(seconds=90)])
def test_a_time_is_given_in_seconds_or_as_a_timedelta(value: object) -> None:
    assert checked_seconds(value, "poll_seconds") == 90.0


def test_zero_seconds_are_accepted_only_where_they_are_allowed() -> None:
    assert checked_seconds(0, "missing_grace", zero=True) == 0.0
    with pytest.raises(InvalidArgument, match="poll_seconds is 0; expected a number of seconds above 0"):
        checked_seconds(0, "poll_seconds")


@pytest.mark.parametrize(
    "value", [-1, True, "90", None, float("nan"), float("inf"), timedelta(seconds=-1), timedelta(days=3651), 1e15]
)
def test_a_value_that_is_no_time_is_refused_with_the_value(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"missing_grace is .* expected a number of seconds of at least 0"):
        checked_seconds(value, "missing_grace", zero=True)


@pytest.mark.parametrize("setting", [None, "true", "True", " on\n", "YES", "1"])
def test_params_are_allowed_by_default_and_if_the_variable_says_so(setting: str | None) -> None:
    assert params_allowed(setting)
    check_params_allowed({"targets": []}, setting)


@pytest.mark.parametrize("setting", ["false", "False", " off\n", "NO", "0"])
def test_params_that_were_given_are_refused_if_the_variable_switches_them_off(setting: str) -> None:
    assert not params_allowed(setting)
    check_params_allowed({"targets": None, "dataset_uri": None}, setting)
    with pytest.raises(
        InvalidArgument, match="gives the params targets, dataset_uri, which the Variable glacier_jobs_"
    ):
        check_params_allowed({"targets": [], "dataset_uri": "file:///x", "other": None}, setting)


@pytest.mark.parametrize("setting", ["", "flase", "2", "null"])
def test_a_variable_of_another_value_allows_nothing(setting: str) -> None:
    with pytest.raises(
        InvalidArgument, match=r"glacier_jobs_allow_params is '.*'; expected one of true, on, yes, 1, false"
    ):
        check_params_allowed({}, setting)


def test_a_switch_of_another_value_is_refused_by_the_name_of_its_variable() -> None:
    assert switched_on(None, "glacier_jobs_compaction")
    assert not switched_on("off", "glacier_jobs_compaction")
    with pytest.raises(InvalidArgument, match="the Variable glacier_jobs_compaction is 'maybe'; expected one of true"):
        switched_on("maybe", "glacier_jobs_compaction")
