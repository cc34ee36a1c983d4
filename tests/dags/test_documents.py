"""Run the example DAGs of the documents in Airflow against the local AWS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from glacier_jobs.storage import open_dataset
from local_aws import tree_hash
from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, parse_dags
from tests.test_docs import PIPELINES, README, python_blocks

pytestmark = [*THIRD_PARTY_WARNINGS, pytest.mark.usefixtures("without_delays", "dag_bag")]

HOUR = 3600
DATASET = "s3://aws_archive@my-bucket/glacier"


@pytest.fixture(autouse=True)
def _account(connect: Connect, local_aws: Control) -> None:
    connect("aws_archive")
    local_aws.add_vaults("photos")
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="my-bucket")


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    """The folder that stands for ``/data/restored``."""
    folder = tmp_path / "restored"
    folder.mkdir()
    return folder


def run(dag_id: str, text: str, folder: Path, conf: dict[str, Any], **replaced: str) -> Mapping[str, str]:
    """Run the DAG of a document; return the states of its tasks."""
    [block] = [block for block in python_blocks(text) if f"def {dag_id}(" in block]
    for found, value in replaced.items():
        assert found in block
        block = block.replace(found, value)
    dag = parse_dags(folder / f"{dag_id}.py", block)[dag_id]
    return {each.task_id: str(each.state) for each in dag.test(run_conf=conf).get_task_instances()}


def test_an_archive_is_restored_to_a_file_and_the_record_is_kept(
    local_aws: Control, tmp_path: Path, restored: Path
) -> None:
    [archive_id] = local_aws.add_archives("photos", [{"Size": 3 * 1024 * 1024 + 5}])
    local_aws.next_outcome(duration_seconds=4 * HOUR)
    local_aws.hook("advance", {"seconds": 5 * HOUR}, operation="DescribeJob", count=1)

    states = run("restore", PIPELINES, tmp_path, {"archive_id": archive_id}, **{"/data/restored": str(restored)})

    assert set(states.values()) == {"success"}
    [file] = restored.iterdir()
    assert (file.name, file.stat().st_size) == (archive_id, 3 * 1024 * 1024 + 5)
    [job] = open_dataset(DATASET).scan("jobs").to_table().to_pylist()
    assert job["archive_sha256_tree_hash"] == tree_hash.of_bytes(file.read_bytes())
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_a_retrieval_that_was_accepted_without_an_answer_is_not_initiated_again(
    local_aws: Control, tmp_path: Path, restored: Path
) -> None:
    [archive_id] = local_aws.add_archives("photos", [{"Size": 5}])
    local_aws.next_outcome(duration_seconds=0)
    local_aws.fault("service_unavailable", operation="InitiateJob", after_effect=True)

    states = run("restore", PIPELINES, tmp_path, {"archive_id": archive_id}, **{"/data/restored": str(restored)})

    assert set(states.values()) == {"success"}
    assert local_aws.calls().by_operation["InitiateJob"] == 1


def test_an_output_that_differs_from_the_archive_is_not_taken_for_restored(
    local_aws: Control, tmp_path: Path, restored: Path
) -> None:
    [archive_id] = local_aws.add_archives("photos", [{"Size": 5}])
    local_aws.next_outcome(duration_seconds=0)
    local_aws.fault("corrupted_body", operation="GetJobOutput", position=3)

    states = run("restore", PIPELINES, tmp_path, {"archive_id": archive_id}, **{"/data/restored": str(restored)})

    assert (states["wait"], states["keep"], states["store"]) == ("success", "success", "failed")
    assert not (restored / archive_id).exists()


def test_the_readmes_first_example_waits_and_keeps(local_aws: Control, tmp_path: Path, connect: Connect) -> None:
    connect("aws_default")
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded"}])

    states = run("wait_and_keep", README, tmp_path, {"job_id": "a"}, **{"s3://my-bucket/glacier": DATASET})

    assert states == {"wait": "success", "keep": "success"}
    assert open_dataset(DATASET).scan("jobs").to_table()["job_id"].to_pylist() == ["a"]
