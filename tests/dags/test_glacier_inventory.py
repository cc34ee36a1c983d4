"""Run the inventory DAG in Airflow against the local AWS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, Runner
from tests.versions import DagBag

pytestmark = [*THIRD_PARTY_WARNINGS, pytest.mark.usefixtures("without_delays")]

VIRGINIA = {"aws_conn_id": "local_aws", "region_name": "us-east-1"}
IRELAND = {"aws_conn_id": "local_aws", "region_name": "eu-west-1"}


@pytest.fixture
def inventory_dag(dag_bag: DagBag) -> Runner:
    """A runner for the inventory DAG, which polls often and does not retry."""
    return Runner(
        dag_id="glacier_inventory",
        changed={"inventory": {"poll_interval": 0.05, "retries": 0}, "vaults": {"retries": 0}},
    )


@pytest.fixture(autouse=True)
def _vaults_in_two_regions(local_aws: Control, connect: Connect) -> None:
    connect()
    for region, counts in (("us-east-1", {"photos": 2, "ledgers": 3}), ("eu-west-1", {"photos": 4})):
        for vault_name, count in counts.items():
            local_aws.add_vaults({"VaultName": vault_name, "CreationDate": "2025-01-01T00:00:00.000Z"}, region=region)
            local_aws.add_archives(vault_name, [{"Size": 5}] * count, region=region)
    local_aws.add_vaults("new")
    local_aws.settings(duration_seconds={"Standard": 0.2})


def archives(root: Path) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for row in open_dataset(root.as_uri()).scan("archives").to_table(columns=["region", "vault_name"]).to_pylist():
        key = row["region"], row["vault_name"]
        found[key] = found.get(key, 0) + 1
    return found


def test_each_vault_becomes_one_inventory_and_all_become_one_event(
    inventory_dag: Runner, dataset_root: Path, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_TARGETS", json.dumps([VIRGINIA, IRELAND]))
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", dataset_root.as_uri())

    local_aws.reset_calls()

    run = inventory_dag()

    assert (run.state, run.errors) == ("success", {})
    policy = json.loads((ROOT / "include" / "aws" / "iam-inventory-policy.json").read_text())
    [listing, others] = policy["Statement"]
    assert sorted([listing["Action"], *others["Action"]]) == sorted(
        f"glacier:{operation}" for operation in local_aws.calls().by_operation
    )
    assert archives(dataset_root) == {
        ("us-east-1", "ledgers"): 3, ("us-east-1", "photos"): 2, ("eu-west-1", "photos"): 4,
    }  # fmt: skip
    [(asset, extra)] = run.events
    assert asset == "glacier_inventories"
    assert [(each["region"], each["vault_name"], each["archives"]) for each in extra["inventories"]] == [
        ("us-east-1", "ledgers", 3), ("us-east-1", "photos", 2), ("eu-west-1", "photos", 4),
    ]  # fmt: skip
    assert run.labels["inventory", 0] == "ledgers, local_aws us-east-1"


def test_params_choose_vaults_the_dataset_and_a_limit(
    inventory_dag: Runner, dataset_root: Path, local_aws: Control
) -> None:
    run = inventory_dag(targets=[VIRGINIA], dataset_uri=dataset_root.as_uri(), vault_names=["ledgers"], limit=2)

    assert (run.state, run.errors) == ("success", {})
    assert archives(dataset_root) == {("us-east-1", "ledgers"): 3}
    assert local_aws.calls().by_operation["InitiateJob"] == 2


def test_the_vaults_of_a_target_apply(inventory_dag: Runner, dataset_root: Path) -> None:
    targets = [{**VIRGINIA, "exclude_vaults": ["led*"]}, {**IRELAND, "vault_names": ["photos"]}]

    assert inventory_dag(targets=targets, dataset_uri=dataset_root.as_uri()).state == "success"
    assert archives(dataset_root) == {("us-east-1", "photos"): 2, ("eu-west-1", "photos"): 4}


def test_one_vault_that_fails_does_not_stop_the_others_and_fails_the_run_by_name(
    inventory_dag: Runner, dataset_root: Path, local_aws: Control
) -> None:
    local_aws.fault("access_denied", operation="GetJobOutput", vault_name="ledgers")

    run = inventory_dag(targets=[VIRGINIA], dataset_uri=dataset_root.as_uri())

    assert run.state == "failed"
    assert archives(dataset_root) == {("us-east-1", "photos"): 2}
    [(_, extra)] = run.events
    assert [each["vault_name"] for each in extra["inventories"]] == ["photos"]
    assert run.errors["all_stored"] == (
        "Not every inventory could be stored:\n"
        "vault ledgers of local_aws us-east-1: no inventory was stored; the log of its task says why"
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"targets": [VIRGINIA], "vault_names": ["nowhere"]}, "no target has the vaults nowhere"),
        ({"targets": []}, "empty list"),
        ({}, "no targets: give the param targets, or set the Variable glacier_jobs_targets"),
    ],
)
def test_a_run_that_cannot_begin_fails_and_says_why(
    inventory_dag: Runner, dataset_root: Path, params: dict[str, Any], message: str
) -> None:
    run = inventory_dag(dataset_uri=dataset_root.as_uri(), **params)

    assert run.state == "failed"
    assert message in run.errors["vaults"]


def test_params_that_a_deployment_does_not_allow_are_refused(
    inventory_dag: Runner, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "false")

    run = inventory_dag(targets=[VIRGINIA], dataset_uri=dataset_root.as_uri())

    assert "targets, dataset_uri" in run.errors["vaults"]


def test_a_template_in_the_params_is_not_rendered(inventory_dag: Runner, dataset_root: Path) -> None:
    run = inventory_dag(
        targets=[{**VIRGINIA, "vault_names": ["photos"]}],
        dataset_uri=dataset_root.as_uri(),
        vault_names=["{{ 7 * 7 }}"],
    )

    assert "no target has the vaults {{ 7 * 7 }}" in run.errors["vaults"]
