"""The operator that stores an inventory: with jobs that it starts, waits for or is given, across its deferrals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.sdk import DAG, Variable

from glacier_jobs.errors import InvalidArgument, ServiceUnavailable
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators import GlacierInventoryToParquetOperator
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import AirflowFailException, TaskDeferred
from tests.waits import StateStore, TaskInstance, rebuilt, run


@dataclass
class Instance(TaskInstance):
    """The part of a task instance that the operator uses."""

    dag_id: str = "keep"
    run_id: str = "manual__1"
    task_id: str = "inventory"
    map_index: int = -1
    max_tries: int = 0

    def xcom_pull(self, *, task_ids: str, map_indexes: int, key: str) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))


def context(**ti: Any) -> Any:
    return {"ti": Instance(**ti), "task_state_store": StateStore()}


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as Airflow does for a Variable that is not set; there is no database in these tests."""
    monkeypatch.setattr(Variable, "get", lambda name, default=None: default)


@pytest.fixture
def arguments(connect: Connect, local_aws: Control, tmp_path: Path) -> dict[str, Any]:
    local_aws.add_vaults("photos")
    local_aws.settings(duration_seconds={"Standard": 0.2})
    local_aws.add_archives(
        "photos",
        [{"ArchiveId": f"a{number}", "ArchiveDescription": f"2019/{number}.jpg", "Size": 7} for number in range(5)],
    )
    return {
        "task_id": "inventory",
        "vault_name": "photos",
        "dataset_uri": f"file://{tmp_path}/records",
        "aws_conn_id": connect(),
        "poll_interval": 0.05,
    }


def start(local_aws: Control, **parameters: Any) -> str:
    """Start a job as another program does, and let it succeed."""
    job_id = initiated(local_aws, **parameters)
    local_aws.advance(60)
    return job_id


def initiated(local_aws: Control, **parameters: Any) -> str:
    glacier: Any = boto3.client("glacier", **local_aws.boto3_arguments())
    job = glacier.initiate_job(vaultName="photos", jobParameters={"Type": "inventory-retrieval", **parameters})
    return str(job["jobId"])


def stored(arguments: dict[str, Any], known: Any, *, deferrable: bool) -> Any:
    """Run the operator until its wait ends, as Airflow does."""
    operator = GlacierInventoryToParquetOperator(**arguments, deferrable=deferrable)
    try:
        return operator.execute(known)
    except TaskDeferred as error:
        deferred = error
    while True:
        event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
        resumed = GlacierInventoryToParquetOperator(**arguments, deferrable=True)
        try:
            return resumed.resume_execution(deferred.method_name, {"event": event.payload}, known)
        except TaskDeferred as error:
            deferred = error


def paths(arguments: dict[str, Any]) -> list[str]:
    rows = open_dataset(arguments["dataset_uri"]).scan("archives").to_table(columns=["file_path"])
    return sorted(rows["file_path"].to_pylist())


ALL = [f"2019/{number}.jpg" for number in range(5)]


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_starts_a_job_waits_for_it_and_stores_its_inventory(
    arguments: dict[str, Any], local_aws: Control, deferrable: bool
) -> None:

    xcom = stored(arguments, context(), deferrable=deferrable)

    assert paths(arguments) == ALL
    assert {name: value for name, value in xcom.items() if name not in ("inventory_id", "inventory_at", "rows_in")} == {
        "account_id": "123456789012",
        "region": "us-east-1",
        "vault_name": "photos",
        "dataset_uri": arguments["dataset_uri"],
        "archives": 5,
        "size_in_bytes": 35,
        "scope": "full",
    }
    assert xcom["rows_in"] == xcom["inventory_id"]
    [mark] = open_dataset(arguments["dataset_uri"]).scan("inventories").to_table().to_pylist()
    assert (mark["inventory_id"], mark["inventory_at"].isoformat()) == (xcom["inventory_id"], xcom["inventory_at"])
    assert (mark["dag_id"], mark["task_id"], mark["try_number"]) == ("keep", "inventory", 1)
    assert json.loads(json.dumps(xcom)) == xcom


@pytest.mark.parametrize("deferrable", [False, True])
def test_with_a_limit_the_pages_of_several_jobs_become_one_inventory(
    arguments: dict[str, Any], local_aws: Control, deferrable: bool
) -> None:

    xcom = stored({**arguments, "limit": 2}, context(), deferrable=deferrable)

    assert (xcom["archives"], paths(arguments)) == (5, ALL)
    assert local_aws.calls().by_operation["InitiateJob"] == 3
    assert len(open_dataset(arguments["dataset_uri"]).inventory_ids()) == 1


def test_a_retry_finds_the_jobs_of_all_pages(arguments: dict[str, Any], local_aws: Control) -> None:
    local_aws.fault("access_denied", operation="GetJobOutput", count=1)
    known = context()
    with pytest.raises(AirflowFailException):
        stored({**arguments, "limit": 2}, known, deferrable=False)
    known["ti"].try_number, known["ti"].max_tries = 2, 1

    assert stored({**arguments, "limit": 2}, known, deferrable=False)["archives"] == 5
    assert local_aws.calls().by_operation["InitiateJob"] == 3


def test_an_inventory_that_did_not_change_is_stored_once(arguments: dict[str, Any], local_aws: Control) -> None:
    first = stored(arguments, context(), deferrable=False)

    second = stored({**arguments, "reuse": "never"}, context(run_id="manual__2"), deferrable=False)

    assert local_aws.calls().by_operation["InitiateJob"] == 2
    assert second["inventory_id"] != first["inventory_id"]
    assert second["rows_in"] == first["inventory_id"]
    assert paths(arguments) == ALL


@pytest.mark.parametrize("form", ["id", "description", "text", "list"])
def test_it_stores_the_inventory_of_a_job_that_it_is_given(
    arguments: dict[str, Any], local_aws: Control, form: str
) -> None:
    job_id = start(local_aws)
    description = GlacierJobsHook(aws_conn_id=arguments["aws_conn_id"]).get_job("photos", job_id)
    given = {"id": job_id, "description": description, "text": str(description), "list": [job_id]}[form]

    xcom = stored({**arguments, "job_id": given}, context(), deferrable=True)

    assert (xcom["archives"], local_aws.calls().by_operation["InitiateJob"]) == (5, 1)


def test_it_stores_all_pages_of_the_jobs_that_it_is_given(arguments: dict[str, Any], local_aws: Control) -> None:
    first = start(local_aws, InventoryRetrievalParameters={"Limit": "3"})
    [job] = [job for job in local_aws.jobs("photos") if job["JobId"] == first]
    marker = job["InventoryRetrievalParameters"]["Marker"]
    second = start(local_aws, InventoryRetrievalParameters={"Limit": "3", "Marker": marker})

    assert stored({**arguments, "job_id": [first, second]}, context(), deferrable=False)["archives"] == 5


def test_it_writes_to_s3_through_another_connection(
    arguments: dict[str, Any], local_aws: Control, connect: Connect
) -> None:
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    arguments["dataset_uri"] = f"s3://{connect('bucket_owner')}@records/root"

    assert stored({**arguments, "job_id": start(local_aws)}, context(), deferrable=False)["archives"] == 5
    assert paths(arguments) == ALL


def test_an_inventory_in_csv_is_refused_before_the_wait(arguments: dict[str, Any], local_aws: Control) -> None:
    local_aws.settings(duration_seconds={"Standard": 6 * 3600})
    job_id = initiated(local_aws, Format="CSV")

    with pytest.raises(AirflowFailException, match=r"an inventory in CSV.*initiate a job with Format JSON"):
        stored({**arguments, "job_id": job_id}, context(), deferrable=False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vault_name": "a/b"}, "vault_name"),
        ({"limit": 0}, "Limit"),
        ({"reuse": "always"}, "reuse is 'always'"),
        ({"job_id": "nowhere"}, "nowhere"),
        ({"job_id": []}, "job_id is empty"),
        ({"aws_conn_id": "nobody"}, "'nobody' does not exist"),
    ],
)
def test_an_error_that_a_retry_cannot_fix_fails_at_once(
    arguments: dict[str, Any], tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        stored({**arguments, **changed}, context(), deferrable=False)

    assert not list(tmp_path.rglob("*.p*"))


def test_a_job_that_fails_fails_the_task(arguments: dict[str, Any], local_aws: Control) -> None:
    local_aws.next_outcome("Failed", status_message="no inventory yet", duration_seconds=0.2)

    with pytest.raises(AirflowFailException, match="no inventory yet"):
        stored(arguments, context(), deferrable=False)


@pytest.mark.usefixtures("no_backoff")
def test_an_error_that_may_pass_is_left_to_airflow(arguments: dict[str, Any], local_aws: Control) -> None:
    job_id = start(local_aws)
    local_aws.fault("service_unavailable", operation="GetJobOutput")

    with pytest.raises(ServiceUnavailable):
        stored({**arguments, "job_id": job_id}, context(), deferrable=False)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"wait_timeout": "long"}, InvalidArgument),
        ({"dataset_uri": "records"}, InvalidArgument),
        ({"region": "us-east-1"}, TypeError),
    ],
)
def test_an_argument_that_no_run_can_use_is_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], changed: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(changed))):
        GlacierInventoryToParquetOperator(**{**arguments, **changed})


def test_all_that_a_user_may_want_to_template_is_rendered(arguments: dict[str, Any]) -> None:
    names = set(GlacierInventoryToParquetOperator.template_fields) - {"botocore_config", "verify", "dataset_uri"}
    templated = dict.fromkeys(names, "{{ 'x' }}")
    with DAG("keep", schedule=None):
        operator = GlacierInventoryToParquetOperator(**{**arguments, **templated})

    operator.render_template_fields({})

    assert {name: getattr(operator, name) for name in templated} == dict.fromkeys(templated, "x")
