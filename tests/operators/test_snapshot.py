from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.sdk import DAG

from glacier_jobs.errors import VaultsUnavailable
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import AirflowFailException

CONTEXT: Any = {
    "ti": SimpleNamespace(dag_id="my_dag", run_id="my_run", task_id="keep", map_index=-1, try_number=2),
}


def operator(connect: Connect, tmp_path: Path, **arguments: Any) -> GlacierJobsToParquetOperator:
    return GlacierJobsToParquetOperator(
        **{"task_id": "keep", "dataset_uri": f"file://{tmp_path}/records", "aws_conn_id": connect(), **arguments}
    )


def fill(local_aws: Control, **jobs_by_vault: int) -> None:
    for vault_name, jobs in jobs_by_vault.items():
        local_aws.add_jobs(vault_name, [{"JobId": f"{vault_name}-{number}"} for number in range(jobs)])


def test_it_returns_what_it_published_as_a_small_xcom(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    fill(local_aws, a=3, b=60)

    xcom = operator(connect, tmp_path, region_name="us-east-1").execute(CONTEXT)

    dataset = open_dataset(f"file://{tmp_path}/records")
    assert dataset.observation_ids() == [xcom["observation_id"]]
    age = datetime.now(timezone.utc) - datetime.fromisoformat(xcom["snapshot_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert {name: value for name, value in xcom.items() if name not in ("observation_id", "snapshot_at")} == {
        "account_id": "123456789012",
        "region": "us-east-1",
        "dataset_uri": f"file://{tmp_path}/records",
        "jobs": 63,
        "vaults": 2,
        "failed_vaults": [],
    }
    assert json.loads(json.dumps(xcom)) == xcom


def test_the_observation_names_the_task_that_made_it(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    operator(connect, tmp_path).execute(CONTEXT)

    [row] = open_dataset(f"file://{tmp_path}/records").scan("observations").to_table().to_pylist()
    assert (row["dag_id"], row["run_id"], row["task_id"], row["try_number"]) == ("my_dag", "my_run", "keep", 2)


def test_a_retry_makes_an_observation_of_its_own(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    task = operator(connect, tmp_path)

    first, second = task.execute(CONTEXT), task.execute(CONTEXT)

    assert first["observation_id"] != second["observation_id"]
    assert len(open_dataset(f"file://{tmp_path}/records").observation_ids()) == 2


def test_it_writes_to_s3_through_another_connection(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    fill(local_aws, a=3)
    uri = f"s3://{connect('bucket_owner')}@records/root"

    xcom = operator(connect, tmp_path, dataset_uri=uri).execute(CONTEXT)

    assert (xcom["dataset_uri"], xcom["jobs"]) == (uri, 3)
    assert open_dataset(uri).scan("jobs").count_rows() == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vault_names": ["a", "nowhere"]}, "nowhere"),
        ({"vault_names": []}, "vault_names is empty"),
        ({"vault_names": [None]}, "vault_names"),
        ({"vault_names": "[a,"}, "vault_names"),
        ({"on_vault_error": "ignore"}, "fail, record"),
        ({"account_id": "42"}, "12 digits"),
        ({"dataset_uri": "records"}, "file:///absolute/path"),
        ({"dataset_uri": "s3://nobody@records/x"}, "the Airflow connection in dataset_uri does not exist"),
        ({"aws_conn_id": "nobody"}, "'nobody' does not exist"),
        ({"max_requests": 0}, "max_requests"),
        ({"requests_per_second": 0}, "requests_per_second is 0; expected a number above 0"),
        ({"requests_per_second": "fast"}, "requests_per_second is 'fast'; expected a number above 0"),
        ({"exclude_vaults": ["a/*"]}, "pattern of vaults' names is 'a/.'"),
    ],
)
def test_an_error_that_a_retry_cannot_fix_fails_at_once(
    connect: Connect, local_aws: Control, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    fill(local_aws, a=1)

    with pytest.raises(AirflowFailException, match=message):
        operator(connect, tmp_path, **arguments).execute(CONTEXT)

    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("fault", ["access_denied", "no_longer_supported", "unrecognized_client", "invalid_signature"])
def test_a_permanent_refusal_by_aws_fails_at_once(
    connect: Connect, local_aws: Control, tmp_path: Path, fault: str
) -> None:
    fill(local_aws, a=1)
    local_aws.fault(fault, operation="ListVaults")

    with pytest.raises(AirflowFailException, match="List Vaults"):
        operator(connect, tmp_path).execute(CONTEXT)


@pytest.mark.usefixtures("no_backoff")
def test_an_error_that_a_retry_may_fix_is_left_to_airflow(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    fill(local_aws, a=1, b=1)
    local_aws.fault("service_unavailable", vault_name="b")

    with pytest.raises(VaultsUnavailable, match="- b: "):
        operator(connect, tmp_path).execute(CONTEXT)


def test_vault_names_may_be_rendered_to_text(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    fill(local_aws, a=1, b=2, c=4)

    assert operator(connect, tmp_path, vault_names="['a', 'c']").execute(CONTEXT)["jobs"] == 5


def test_vaults_are_left_out_by_name_and_by_pattern(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    fill(local_aws, a=1, b=2, test_1=4, test_2=8)

    excluded = operator(connect, tmp_path, exclude_vaults="['a', 'test_*']").execute(CONTEXT)

    assert (excluded["jobs"], excluded["vaults"]) == (2, 1)
    [row] = open_dataset(f"file://{tmp_path}/records").scan("observations").to_table().to_pylist()
    assert row["scope"] == "named"


def test_a_pattern_may_begin_with_a_bracket(connect: Connect, local_aws: Control, tmp_path: Path) -> None:
    fill(local_aws, a=1, b=2, c=4)

    assert operator(connect, tmp_path, exclude_vaults="[ab]*").execute(CONTEXT)["jobs"] == 4


def test_a_limit_of_requests_per_second_may_be_rendered_to_text(connect: Connect, tmp_path: Path) -> None:
    assert operator(connect, tmp_path, requests_per_second="2.5").hook._pace is not None
    assert operator(connect, tmp_path).hook._pace is None


def test_the_region_and_the_botocore_settings_reach_the_client(connect: Connect, tmp_path: Path) -> None:
    task = operator(
        connect, tmp_path, region_name="eu-west-1", verify=False, botocore_config={"read_timeout": 7}, max_requests=33
    )

    client: Any = task.hook.get_conn()
    assert client.meta.region_name == "eu-west-1"
    assert (client.meta.config.read_timeout, client.meta.config.max_pool_connections) == (7, 33)
    assert task.hook.verify is False


def test_a_misspelt_or_discarded_keyword_is_refused(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="region_name"):
        operator(connect, tmp_path, region="eu-west-1")
    with pytest.raises(TypeError, match="vault_name"):
        operator(connect, tmp_path, vault_name="photos")


def test_a_mapped_task_refuses_the_discarded_keyword_too(tmp_path: Path) -> None:
    with DAG("mapped", schedule=None):
        mapped = GlacierJobsToParquetOperator.partial(
            task_id="keep", dataset_uri="file:///x", region="eu-west-1"
        ).expand(aws_conn_id=["a"])

    with pytest.raises(TypeError, match="region_name"):
        mapped.unmap({"aws_conn_id": "a"})
