"""The local Glacier compared with the service model and the examples of botocore."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import botocore
import botocore.loaders
import pytest
import urllib3
from botocore.exceptions import ClientError
from botocore.model import ServiceModel, Shape
from mypy_boto3_glacier import GlacierClient

from local_aws import errors
from local_aws.client import Control
from tests.local_aws.conftest import Description, signed_headers

MODEL = ServiceModel(botocore.loaders.Loader().load_service_model("glacier", "service-2"))
EXAMPLES = json.loads(
    (Path(botocore.__file__).parent / "data/glacier/2012-06-01/examples-1.json").read_text(encoding="utf-8")
)["examples"]
REGION = "us-west-2"

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "long": (int,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}


def violations(shape: Shape, value: Any, where: str) -> Iterable[str]:
    """Yield where a JSON value violates the shape of the model."""
    if value is None:
        return
    if not isinstance(value, _TYPES[shape.type_name]) or (shape.type_name == "long" and isinstance(value, bool)):
        yield f"{where} is {value!r}, expected {shape.type_name}"
    enumerated = shape.metadata.get("enum")
    if enumerated and value not in enumerated:
        yield f"{where} is {value!r}, expected one of {enumerated}"
    if shape.type_name == "structure":
        members = cast(Any, shape).members
        for key, member in value.items():
            if key not in members:
                yield f"{where}.{key} is unknown"
            else:
                yield from violations(members[key], member, f"{where}.{key}")
    if shape.type_name == "list":
        for i, member in enumerate(value):
            yield from violations(cast(Any, shape).member, member, f"{where}[{i}]")


def raw(local_aws: Control, path: str) -> Any:
    """Return the JSON of a response, before botocore parses it."""
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", local_aws.endpoint + path, headers=signed_headers(REGION))
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["x-amzn-RequestId"]
    return response.json()


def test_every_description_of_the_demo_has_the_types_of_the_model(local_aws: Control) -> None:
    local_aws.seed("demo")
    local_aws.settings(max_limit=1000)
    described = MODEL.shape_for("GlacierJobDescription")
    for job in local_aws.jobs() + local_aws.jobs(region="eu-west-1"):
        assert list(violations(described, job, "job")) == []


def test_responses_have_the_shapes_of_the_model(local_aws: Control) -> None:
    local_aws.add_vaults("v", "w", region=REGION)
    local_aws.add_jobs("v", [{"StatusCode": "Succeeded"}, {"StatusCode": "Failed"}, {}], region=REGION)
    job_id = local_aws.jobs("v", region=REGION)[0]["JobId"]
    for path, shape in (
        ("/-/vaults?limit=1", "ListVaultsOutput"),
        ("/-/vaults", "ListVaultsOutput"),
        ("/-/vaults/v", "DescribeVaultOutput"),
        ("/-/vaults/v/jobs?limit=1", "ListJobsOutput"),
        ("/-/vaults/v/jobs", "ListJobsOutput"),
        (f"/-/vaults/v/jobs/{job_id}", "GlacierJobDescription"),
    ):
        answer = raw(local_aws, path)
        assert list(violations(MODEL.shape_for(shape), answer, shape)) == []
        if shape.startswith("List"):
            assert set(answer) == set(cast(Any, MODEL.shape_for(shape)).members)


def test_a_null_is_sent_as_a_null(local_aws: Control) -> None:
    local_aws.add_jobs("v", [{"JobDescription": None}], region=REGION)
    answer = raw(local_aws, "/-/vaults/v/jobs")
    assert answer["Marker"] is None
    assert answer["JobList"][0]["JobDescription"] is None
    assert "ArchiveId" not in answer["JobList"][0]


def test_every_error_of_the_model_is_available_with_its_status() -> None:
    modelled = {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for shape in map(MODEL.shape_for, MODEL.shape_names)
        if shape.metadata.get("exception")
    }
    served = {code: status for code, status, _ in errors.FAULT_ERRORS.values()}
    for made in (errors.invalid_parameter(""), errors.missing_parameter(""), errors.vault_not_found("")):
        served[made.code] = made.status
    # 400 in the model, 503 in the developer guide.
    assert served.pop("InsufficientCapacityException") == 503
    modelled.pop("InsufficientCapacityException")
    assert {code: served[code] for code in modelled} == modelled


def test_an_error_is_the_models_exception_with_code_message_and_type(
    local_aws: Control, glacier: GlacierClient
) -> None:
    with pytest.raises(glacier.exceptions.ResourceNotFoundException) as caught:
        glacier.describe_vault(vaultName="nowhere")
    response = cast(Description, caught.value.response)
    message = "Vault not found for ARN: arn:aws:glacier:us-east-1:123456789012:vaults/nowhere"
    assert (response["code"], response["message"], response["type"]) == ("ResourceNotFoundException", message, "Client")


def example(operation: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the published input without its empty parameters, and the published output."""
    published = EXAMPLES[operation][0]
    return {key: value for key, value in published["input"].items() if value != ""}, published["output"]


def call(glacier: GlacierClient, operation: str, given: dict[str, Any]) -> Description:
    answer = cast(Description, getattr(glacier, operation)(**given))
    answer.pop("ResponseMetadata")
    return answer


def test_list_jobs_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("ListJobs")
    local_aws.add_jobs("my-vault", [{**job, "_life": {"verbatim": True}} for job in expected["JobList"]])
    local_aws.settings(newest_first=True)
    assert call(glacier, "list_jobs", given) == expected


def test_describe_job_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("DescribeJob")
    local_aws.add_jobs("my-vault", [{**expected, "JobId": given["jobId"], "_life": {"verbatim": True}}])
    assert call(glacier, "describe_job", given) == {**expected, "JobId": given["jobId"]}


def test_list_vaults_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    _, expected = example("ListVaults")
    local_aws.add_vaults(*expected["VaultList"])
    assert call(glacier, "list_vaults", EXAMPLES["ListVaults"][0]["input"]) == expected


def test_describe_vault_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("DescribeVault")
    local_aws.add_vaults({**expected, "LastInventoryDate": None})
    assert call(glacier, "describe_vault", given) == expected


def test_creating_and_deleting_a_vault_responds_as_in_the_published_examples(
    local_aws: Control, glacier: GlacierClient
) -> None:
    given, expected = example("CreateVault")
    own = {"location": expected["location"].replace("111122223333", "123456789012")}
    assert call(glacier, "create_vault", given) == own
    assert call(glacier, "delete_vault", EXAMPLES["DeleteVault"][0]["input"]) == {}


def test_initiating_a_job_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("InitiateJob")
    local_aws.add_vaults("examplevault")
    answer = call(glacier, "initiate_job", given)
    assert set(answer) == set(expected)
    assert answer["location"] == f"/123456789012/vaults/examplevault/jobs/{answer['jobId']}"
    (job,) = local_aws.jobs("examplevault")
    assert (job["JobDescription"], job["InventoryRetrievalParameters"]["Format"]) == ("My inventory job", "CSV")


def test_uploading_an_archive_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("UploadArchive")
    local_aws.add_vaults("my-vault")
    answer = call(glacier, "upload_archive", given)
    assert set(answer) == set(expected)
    assert answer["location"] == f"/123456789012/vaults/my-vault/archives/{answer['archiveId']}"


def test_getting_an_output_responds_as_in_the_published_example(local_aws: Control, glacier: GlacierClient) -> None:
    given, expected = example("GetJobOutput")
    local_aws.add_jobs(given["vaultName"], [{"JobId": given["jobId"], "StatusCode": "Succeeded"}])
    answer = call(glacier, "get_job_output", {**given, "range": ""})
    assert answer.pop("body").read().startswith(b'{"VaultARN":')
    expected.pop("body")
    assert answer == expected


def test_a_code_that_is_not_in_the_model_reaches_the_client(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.fault("throttling")
    with pytest.raises(ClientError) as caught:
        glacier.list_vaults()
    assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
