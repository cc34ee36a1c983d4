"""Targets as a user configures them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glacier_jobs.errors import InvalidArgument
from glacier_jobs.snapshot.targets import MAX_TARGETS, parse_targets, shortfalls, target_name

HOME: dict[str, Any] = {"aws_conn_id": "aws_default", "region_name": "us-east-1"}


def test_a_target_needs_a_connection_and_a_region_and_gets_all_vaults_of_the_credentials_account() -> None:
    assert parse_targets([HOME]) == [
        {
            "aws_conn_id": "aws_default",
            "region_name": "us-east-1",
            "account_id": "-",
            "vault_names": None,
            "exclude_vaults": None,
            "requests_per_second": None,
        }
    ]


def test_account_and_vaults_are_kept() -> None:
    target = {
        **HOME,
        "account_id": "123456789012",
        "vault_names": ["photos", "Legal-Hold_2.0"],
        "exclude_vaults": ["test-*", "[a-c]?"],
        "requests_per_second": 2.5,
    }

    assert parse_targets([target]) == [target]


def test_targets_without_exclusion_and_pace_get_the_given_ones() -> None:
    own = {**HOME, "exclude_vaults": None, "requests_per_second": 9}

    first, second = parse_targets([HOME, own], exclude_vaults=["test-*"], requests_per_second=2)

    assert (first["exclude_vaults"], first["requests_per_second"]) == (["test-*"], 2.0)
    assert (second["exclude_vaults"], second["requests_per_second"]) == (None, 9.0)


def test_json_text_gives_the_same_targets_as_a_list() -> None:
    targets = [HOME, {"aws_conn_id": None, "region_name": "us-gov-west-1"}]

    assert parse_targets(json.dumps(targets)) == parse_targets(targets)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "targets are None; expected a list"),
        ("", "targets are not JSON"),
        ("[{]", "targets are not JSON"),
        (HOME, "expected a list of 1 or more objects"),
        ([], "targets are an empty list"),
        (["us-east-1"], "target 0 is 'us-east-1'; expected an object"),
        ([HOME, {"aws_conn_id": "other"}], "target 1 has no region_name; expected a Region"),
        ([{"region_name": "us-east-1"}], "target 0 has no aws_conn_id; expected the id of an Airflow connection"),
        ([{**HOME, "region": "us-east-1"}], "target 0 has the unknown keys 'region'; allowed are aws_conn_id, "),
        ([{**HOME, "aws_conn_id": ""}], "target 0: aws_conn_id is ''; expected the id"),
        ([{**HOME, "aws_conn_id": ["a"]}], r"target 0: aws_conn_id is \['a'\]; expected the id"),
        ([{**HOME, "region_name": None}], "target 0: region_name is None; expected a Region"),
        ([{**HOME, "region_name": "US East"}], "target 0: region_name is 'US East'; expected a Region"),
        ([{**HOME, "account_id": 123456789012}], "target 0: account_id is 123456789012; expected a string of 12"),
        ([{**HOME, "vault_names": "photos"}], "target 0: vault_names is 'photos'; expected a list of 1 or more"),
        ([{**HOME, "vault_names": []}], r"target 0: vault_names is \[\]; expected a list of 1 or more"),
        ([{**HOME, "vault_names": ["a/b"]}], r"target 0: vault_names is \['a/b'\]; expected a list of 1 or more"),
        ([{**HOME, "vault_names": ["a", "a"]}], r"target 0: vault_names is \['a', 'a'\]; expected a list"),
        ([{**HOME, "exclude_vaults": "test-*"}], "target 0: exclude_vaults is 'test-.'; expected a list of 1 or more"),
        ([{**HOME, "exclude_vaults": []}], r"target 0: exclude_vaults is \[\]; expected a list of 1 or more"),
        ([{**HOME, "exclude_vaults": ["{{ x }}"]}], r"target 0: exclude_vaults is .*; expected a list of 1 or more"),
        ([{**HOME, "requests_per_second": 0}], "target 0: requests_per_second is 0; expected a number above 0"),
        ([{**HOME, "requests_per_second": "5"}], "target 0: requests_per_second is '5'; expected a number above 0"),
        ([{**HOME, "requests_per_second": True}], "target 0: requests_per_second is True; expected a number above 0"),
        ([HOME, HOME], "target 1 is the same as target 0"),
    ],
)
def test_a_malformed_target_is_named_with_its_key_and_what_was_expected(given: object, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_targets(given)


def test_as_many_targets_as_a_task_can_be_mapped_over_are_accepted_and_one_more_is_refused() -> None:
    targets = [{**HOME, "account_id": f"{number:012}"} for number in range(MAX_TARGETS + 1)]

    assert len(parse_targets(targets[:-1])) == MAX_TARGETS
    with pytest.raises(InvalidArgument, match="there are 1025 targets"):
        parse_targets(targets)


@pytest.mark.parametrize(
    "target",
    [
        {**HOME, "aws_conn_id": "aws://AKIAEXAMPLE:hunter2secret@"},
        {**HOME, "aws_secret_access_key": "hunter2secret"},
        {**HOME, "region_name": "s3://AKIA:hunter2secret@bucket"},
        {**HOME, "aws_conn_id": ["aws://AKIAEXAMPLE:hunter2secret@"]},
        {**HOME, "aws://AKIAEXAMPLE:hunter2secret@": None},
        {**HOME, "aws_conn_id": "AKIAIOSFODNN7EXAMPLE:hunter2secret"},
        {**HOME, "aws_conn_id": "hunter2secret/K7MDENG/bPxRfiCYEXAMPLEKEY"},
        {**HOME, "aws_conn_id": "hunter2secret+K7MDENG/bPxRfiCYEXAMPLEKEY"},
        {**HOME, "aws_conn_id": "hunter2secretXK7MDENGXbPxRfiCYEXAMPLEKEY"},
        {**HOME, "hunter2secretXK7MDENGXbPxRfiCYEXAMPLEKEY": "x"},
    ],
)
def test_a_value_that_may_be_a_secret_is_refused_without_showing_it(target: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_targets([target])

    assert "target 0" in str(caught.value)
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (HOME, "aws_default us-east-1"),
        ({**HOME, "aws_conn_id": None}, "environment us-east-1"),
        ({**HOME, "account_id": "123456789012"}, "aws_default 123456789012 us-east-1"),
        ({**HOME, "vault_names": ["photos"]}, "aws_default us-east-1 (photos)"),
        ({**HOME, "vault_names": ["photos", "films", "notes"]}, "aws_default us-east-1 (photos and 2 more)"),
    ],
)
def test_a_target_is_named_by_its_given_keys(target: dict[str, Any], name: str) -> None:
    assert target_name(**target) == name


def test_shortfalls_name_targets_that_were_not_observed_and_vaults_that_could_not_be_listed() -> None:
    targets = parse_targets([HOME, {**HOME, "region_name": "eu-west-1"}, {**HOME, "region_name": "eu-west-3"}])
    observed = [{"vaults": 7, "failed_vaults": ["a", "b"]}, None, {"vaults": 3, "failed_vaults": []}]

    assert shortfalls(targets, observed) == [
        "target aws_default us-east-1: 2 of 7 vaults could not be listed: a, b",
        "target aws_default eu-west-1: not observed; the log of its task says why",
    ]
