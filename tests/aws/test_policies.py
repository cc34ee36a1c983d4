"""The IAM policies allow exactly the calls that are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.observations import local_dataset

POLICIES = sorted((ROOT / "include" / "aws").glob("iam-*.json"))
RETRIEVAL = {"Action": "ArchiveRetrieval", "Completed": False, "StatusCode": "InProgress"}


def test_the_snapshot_makes_each_call_that_its_policy_allows_and_no_other(
    local_aws: Control, connect: Connect, tmp_path: Path
) -> None:
    local_aws.add_jobs("photos", [RETRIEVAL])
    local_aws.reset_calls()

    observe(GlacierJobsHook(connect()), local_dataset(tmp_path))

    made = {f"glacier:{operation}" for operation in local_aws.calls().by_operation}
    assert made == set(_actions("iam-snapshot-policy.json"))


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
def test_a_policy_allows_named_actions_on_resources_with_placeholders(file: Path) -> None:
    for statement in _statements(file.name):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in _listed(statement["Action"]))
        # IAM cannot restrict ListVaults to a resource.
        if statement["Action"] != "glacier:ListVaults":
            assert "ACCOUNT_ID" in statement["Resource"] or "BUCKET" in statement["Resource"]


def test_no_policy_allows_deletion() -> None:
    assert not [action for file in POLICIES for action in _actions(file.name) if "Delete" in action]


def _statements(name: str) -> list[dict[str, Any]]:
    policy = json.loads((ROOT / "include" / "aws" / name).read_text())
    assert policy["Version"] == "2012-10-17"
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def _actions(name: str) -> list[str]:
    return [action for statement in _statements(name) for action in _listed(statement["Action"])]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
