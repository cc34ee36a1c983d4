"""Run the snapshot DAG in Airflow against the local AWS."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pytest

from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, Runner

pytestmark = THIRD_PARTY_WARNINGS

VIRGINIA = {"aws_conn_id": "local_aws", "region_name": "us-east-1"}
IRELAND = {"aws_conn_id": "local_aws", "region_name": "eu-west-1"}
WITHOUT_CONNECTION = {"aws_conn_id": "missing", "region_name": "eu-west-3"}
RETRIEVAL = {"Action": "ArchiveRetrieval", "Completed": False, "StatusCode": "InProgress"}


@pytest.fixture(autouse=True)
def _vaults_in_two_regions(local_aws: Control, connect: Connect) -> None:
    connect()
    local_aws.add_jobs("photos", [RETRIEVAL] * 2)
    local_aws.add_jobs("ledgers", [RETRIEVAL] * 3)
    local_aws.add_jobs("photos", [RETRIEVAL] * 4, region="eu-west-1")


def test_each_target_becomes_one_observation_and_all_targets_become_one_event(
    snapshot_dag: Runner, dataset_root: Path
) -> None:
    run = snapshot_dag(targets=[VIRGINIA, IRELAND], dataset_uri=dataset_root.as_uri())

    assert run.state == "success"
    assert _jobs(dataset_root) == {("us-east-1", "photos"): 2, ("us-east-1", "ledgers"): 3, ("eu-west-1", "photos"): 4}
    [(asset, extra)] = run.events
    assert asset == "glacier_jobs"
    assert [(each["region"], each["jobs"], each["vaults"]) for each in extra["observations"]] == [
        ("us-east-1", 5, 2),
        ("eu-west-1", 4, 1),
    ]
    assert {each["observation_id"] for each in extra["observations"]} == _observation_ids(dataset_root)


def test_a_task_ends_within_seconds_of_its_execution_timeout_although_answers_do_not_end(
    snapshot_dag: Runner, dataset_root: Path, local_aws: Control
) -> None:
    local_aws.fault("dripping_body", operation="ListJobs")
    runner = replace(snapshot_dag, changed={"snapshot": {"execution_timeout": timedelta(seconds=4), "retries": 0}})
    began = time.monotonic()

    run = runner(targets=[VIRGINIA], dataset_uri=dataset_root.as_uri())

    assert time.monotonic() - began < 25
    assert run.tasks["snapshot", 0] == "failed"
    assert "Timeout" in run.errors["snapshot"]
    assert not list(dataset_root.rglob("*.p*"))
    assert not any(thread.name.startswith("list-jobs") for thread in threading.enumerate())


def test_params_exclude_vaults_and_set_the_pace_of_targets_without_their_own(
    snapshot_dag: Runner, dataset_root: Path
) -> None:
    own = {**IRELAND, "exclude_vaults": ["ledgers"], "requests_per_second": 100}

    run = snapshot_dag(
        targets=[VIRGINIA, own], dataset_uri=dataset_root.as_uri(), exclude_vaults=["pho*"], requests_per_second=50.5
    )

    assert run.state == "success"
    assert _jobs(dataset_root) == {("us-east-1", "ledgers"): 3, ("eu-west-1", "photos"): 4}


def test_a_mapped_task_is_labelled_with_its_target(snapshot_dag: Runner, dataset_root: Path) -> None:
    named = {**IRELAND, "account_id": "123456789012", "vault_names": ["photos"]}

    run = snapshot_dag(targets=[VIRGINIA, named], dataset_uri=dataset_root.as_uri())

    assert run.labels["snapshot", 0] == "local_aws us-east-1"
    assert run.labels["snapshot", 1] == "local_aws 123456789012 eu-west-1 (photos)"


def test_variables_set_what_is_observed_and_params_take_precedence(
    snapshot_dag: Runner, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_TARGETS", json.dumps([VIRGINIA]))
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", dataset_root.as_uri())

    assert snapshot_dag().state == "success"
    assert set(_jobs(dataset_root)) == {("us-east-1", "photos"), ("us-east-1", "ledgers")}
    other_root = dataset_root.with_name("other")
    assert snapshot_dag(targets=[IRELAND], dataset_uri=other_root.as_uri()).state == "success"
    assert set(_jobs(other_root)) == {("eu-west-1", "photos")}


def test_a_forbidden_vault_fails_the_run_by_name_and_the_other_vaults_and_the_event_are_published(
    snapshot_dag: Runner, dataset_root: Path, local_aws: Control
) -> None:
    local_aws.fault("access_denied", operation="ListJobs", vault_name="ledgers")

    run = snapshot_dag(targets=[VIRGINIA, IRELAND], dataset_uri=dataset_root.as_uri())

    assert run.state == "failed"
    assert _jobs(dataset_root) == {("us-east-1", "photos"): 2, ("eu-west-1", "photos"): 4}
    [(_, extra)] = run.events
    assert [each["failed_vaults"] for each in extra["observations"]] == [["ledgers"], []]
    assert run.errors == {
        "all_listed": "Not everything could be listed:\n"
        "target local_aws us-east-1: 1 of 2 vaults could not be listed: ledgers"
    }


def test_a_target_that_cannot_be_observed_fails_the_run_by_name_and_the_others_are_published(
    snapshot_dag: Runner, dataset_root: Path
) -> None:
    run = snapshot_dag(targets=[WITHOUT_CONNECTION, VIRGINIA], dataset_uri=dataset_root.as_uri())

    assert run.state == "failed"
    assert (run.tasks["snapshot", 0], run.tasks["snapshot", 1]) == ("failed", "success")
    [(_, extra)] = run.events
    assert [each["region"] for each in extra["observations"]] == ["us-east-1"]
    assert run.errors["all_listed"].splitlines()[1:] == [
        "target missing eu-west-3: not observed; the log of its task says why"
    ]


def test_no_event_is_emitted_if_nothing_was_observed(snapshot_dag: Runner, dataset_root: Path) -> None:
    run = snapshot_dag(targets=[WITHOUT_CONNECTION], dataset_uri=dataset_root.as_uri())

    assert run.state == "failed"
    assert run.events == []
    assert run.tasks["announce", -1] == "skipped"
    assert "target missing eu-west-3" in run.errors["all_listed"]


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "no targets: give the param targets, or set the Variable glacier_jobs_targets"),
        (
            {"targets": [VIRGINIA]},
            "no dataset: give the param dataset_uri, or set the Variable glacier_jobs_dataset_uri",
        ),
        (
            {"targets": [{**VIRGINIA, "region": "x"}], "dataset_uri": "file:///d"},
            "target 0 has the unknown keys 'region'",
        ),
        ({"targets": [], "dataset_uri": "file:///d"}, "targets are an empty list"),
    ],
)
def test_a_run_without_valid_settings_fails_at_once_and_says_why(
    snapshot_dag: Runner, conf: dict[str, Any], message: str
) -> None:
    run = snapshot_dag(**conf)

    assert run.state == "failed"
    assert run.tasks["targets", -1] == "failed"
    assert message in run.errors["targets"]
    assert run.events == []


def test_a_variable_that_is_not_json_is_named_in_the_error(
    snapshot_dag: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_TARGETS", "us-east-1")
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", "file:///d")

    run = snapshot_dag()

    assert "the Variable glacier_jobs_targets: targets are not JSON" in run.errors["targets"]


@pytest.mark.parametrize("given", ["targets", "dataset_uri"])
def test_a_run_with_params_fails_if_the_deployment_switches_them_off(
    given: str, snapshot_dag: Runner, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_TARGETS", json.dumps([VIRGINIA]))
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", dataset_root.as_uri())
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "false")
    other_root = dataset_root.with_name("other")
    params = {"targets": [IRELAND], "dataset_uri": other_root.as_uri()}

    run = snapshot_dag(**{given: params[given]})

    assert run.errors["targets"].startswith(f"the run gives the params {given}, which the Variable glacier_jobs_allow_")
    assert not dataset_root.exists()
    assert not other_root.exists()
    assert snapshot_dag().state == "success"
    assert set(_jobs(dataset_root)) == {("us-east-1", "photos"), ("us-east-1", "ledgers")}


def _jobs(root: Path) -> dict[tuple[str, str], int]:
    """Return the number of jobs in the dataset by Region and vault."""
    rows = pads.dataset(root / "jobs").to_table(columns=["region", "vault_name"]).to_pylist()
    return dict(Counter((row["region"], row["vault_name"]) for row in rows))


def _observation_ids(root: Path) -> set[str]:
    return {file.stem for file in root.glob("observations/*/*.parquet")}
