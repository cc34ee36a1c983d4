"""The IAM policies allow exactly the calls that are made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import pytest

from glacier_jobs.compaction.tags import TAG
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.history.files import VERSION_FOLDER
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.s3_target import FOLDER, ObjectOptions, S3Target
from glacier_jobs.retrieval.source import job_source
from glacier_jobs.retrieval.targets import Published
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.observations import local_dataset
from tests.retrieval.outputs import PART, distinct_bytes, upload

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
            for resource in _listed(statement["Resource"]):
                assert "ACCOUNT_ID" in resource or "BUCKET" in resource


#: The placeholders of the policies, with values for each of AWS's partitions that has Amazon Glacier.
PARTITIONS = {
    "aws": {"REGION": "us-east-1", "DNS_SUFFIX": "amazonaws.com"},
    "aws-us-gov": {"REGION": "us-gov-west-1", "DNS_SUFFIX": "amazonaws.com"},
    "aws-cn": {"REGION": "cn-north-1", "DNS_SUFFIX": "amazonaws.com.cn"},
}


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.stem)
@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_policy_fits_each_partition(file: Path, partition: str) -> None:
    text = file.read_text()
    values = {"PARTITION": partition, **PARTITIONS[partition]}
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)

    resources = [each for statement in json.loads(text)["Statement"] for each in _listed(statement["Resource"])]
    arns = [resource for resource in resources if resource != "*"]
    expected = rf"arn:{partition}:((glacier|kms):{values['REGION']}:ACCOUNT_ID:|s3:::BUCKET).*"
    assert arns
    assert [arn for arn in arns if not re.fullmatch(expected, arn)] == []


def test_the_partitions_and_their_dns_suffixes_are_botocores_and_in_the_readme() -> None:
    known = {each["id"]: each for each in botocore.loaders.Loader().load_data("partitions")["partitions"]}
    readme = (ROOT / "README.md").read_text()

    for partition, values in PARTITIONS.items():
        assert known[partition]["outputs"]["dnsSuffix"] == values["DNS_SUFFIX"]
        assert re.fullmatch(known[partition]["regionRegex"], values["REGION"])
        assert f"`{partition}`" in readme


def test_a_dataset_with_a_kms_key_needs_this_key_only_and_only_through_s3() -> None:
    [statement] = _statements("iam-dataset-kms-policy.json")

    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert statement["Resource"].endswith(":key/KEY_ID")
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": "s3.REGION.DNS_SUFFIX"}}


def test_the_policy_of_an_mwaa_execution_role_grants_what_snapshot_wait_and_dataset_grant_and_no_more() -> None:
    parts = [f"iam-{name}-policy.json" for name in ("snapshot", "wait", "dataset")]

    granted = _statements("iam-mwaa-execution-role.json")

    assert granted == [statement for part in parts for statement in _statements(part)]
    # IAM rejects a policy with a statement ID twice.
    assert len({statement["Sid"] for statement in granted}) == len(granted)


def test_policies_allow_deletion_of_superseded_aggregates_and_of_checkpoints_only() -> None:
    deleting = [
        (statement["Action"], statement["Resource"])
        for file in POLICIES
        for statement in _statements(file.name)
        if any("Delete" in action for action in _listed(statement["Action"]))
    ]

    superseded = [
        f"arn:PARTITION:s3:::BUCKET/PREFIX/{VERSION_FOLDER}/{folder}/*" for folder in ("partials", "jobs_latest")
    ]
    checkpoints = [f"arn:PARTITION:s3:::BUCKET/PREFIX/{folder}/*" for folder in (FOLDER, f"*/{FOLDER}")]
    assert sorted(deleting, key=str) == sorted(
        [("s3:DeleteObject", checkpoints), *[("s3:DeleteObject", superseded)] * 2], key=str
    )


#: The actions that AWS requires for requests to S3 that are not named like them.
S3_ACTIONS = {
    "head_object": "GetObject",
    "create_multipart_upload": "PutObject",
    "upload_part": "PutObject",
    "complete_multipart_upload": "PutObject",
    "list_parts": "ListMultipartUploadParts",
}


def test_an_output_is_stored_by_each_call_that_its_policies_allow_and_no_other(
    local_aws: Control, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = upload(local_aws, distinct_bytes(2 * PART))
    job_id = archive.retrieve()
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="restored")
    local_aws.reset_calls()
    called, call = set(), S3Target.call

    def recording(self: S3Target, method: str, **arguments: Any) -> dict[str, Any]:
        called.add(S3_ACTIONS.get(method) or "".join(word.capitalize() for word in method.split("_")))
        return call(self, method, **arguments)

    monkeypatch.setattr(S3Target, "call", recording)
    source = job_source(GlacierJobsHook(connect()), "photos", job_id, "-")

    def store(key: str) -> None:
        uri = f"s3://{connect('bucket_owner')}@restored/{key}"
        target = open_target(uri, dest_aws_conn_id=None, options=ObjectOptions(), max_requests=1)
        store_output(source, target, uri, replace=False, max_ranges=1)

    monkeypatch.setattr(S3Target, "publish", lambda self, *_, **__: self.discard() or Published())
    store("aborted")
    monkeypatch.undo()
    monkeypatch.setattr(S3Target, "call", recording)
    connect("bucket_owner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Target, "publish", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            store("photo.jpg")
    store("photo.jpg")

    allowed = {action.removeprefix("s3:") for action in _actions("iam-destination-policy.json")}
    # List Bucket is not called: with it, AWS answers 404 and not 403 if there is no object.
    assert called == allowed - {"ListBucket"}
    made = {f"glacier:{operation}" for operation in local_aws.calls().by_operation}
    assert made == set(_actions("iam-retrieve-policy.json")) - {"glacier:InitiateJob"}


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_tags_are_allowed_with_what_reads_and_writes_the_dataset() -> None:
    actions = {"s3:GetObjectTagging", "s3:PutObjectTagging"}

    assert actions <= set(_actions("iam-dataset-policy.json"))
    assert not any(actions & set(_actions(f"iam-{name}-policy.json")) for name in ("snapshot", "wait", "retrieve"))


def test_only_raw_files_may_be_tagged() -> None:
    [tagging] = [each for each in _statements("iam-dataset-policy.json") if "Tag" in str(each["Action"])]

    assert tagging["Resource"] == [f"arn:PARTITION:s3:::BUCKET/PREFIX/{table}/*" for table in TABLES]


def test_the_lifecycle_rules_expire_only_raw_files_with_the_tag_and_no_others_by_their_age() -> None:
    rules = json.loads((ROOT / "include" / "aws" / "s3-lifecycle.json").read_text())["Rules"]

    expiring = [rule for rule in rules if rule.keys() - {"ID", "Status", "Filter", "AbortIncompleteMultipartUpload"}]
    tags = [{"Key": key, "Value": value} for key, value in TAG.items()]
    assert [rule["Filter"] for rule in expiring] == [
        {"And": {"Prefix": f"PREFIX/{table}/", "Tags": tags}} for table in TABLES
    ]
    for rule in expiring:
        assert rule.keys() == {"ID", "Status", "Filter", "Expiration"}


def _statements(name: str) -> list[dict[str, Any]]:
    policy = json.loads((ROOT / "include" / "aws" / name).read_text())
    assert policy["Version"] == "2012-10-17"
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def _actions(name: str) -> list[str]:
    return [action for statement in _statements(name) for action in _listed(statement["Action"])]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
