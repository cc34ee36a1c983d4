from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import botocore.exceptions
import pandas as pd
import pyarrow as pa
import pytest
from airflow.providers.amazon.aws.hooks.glacier import GlacierHook
from botocore.stub import Stubber

from glacier_jobs.dataset.schema import JOBS
from glacier_jobs.errors import (
    AccessDenied,
    ConnectionNotFound,
    CredentialsUnavailable,
    FinalError,
    InvalidArgument,
    JobNotFound,
    MalformedAnswer,
    MarkerRepeated,
    NotSupported,
    ServiceUnavailable,
    Throttled,
    TransientError,
    VaultNotFound,
)
from glacier_jobs.glacier.client import DEFAULT_RETRY_SECONDS
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from tests.conftest import Connect
from tests.credential_source import CredentialProcess, CredentialSource


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect())


def fill(local_aws: Control, jobs: int, vault_name: str = "photos") -> list[str]:
    """Put jobs into a vault, an equal share of them in progress, succeeded and failed; return their ids in order."""
    status_codes = ("InProgress", "Succeeded", "Failed")
    return local_aws.add_jobs(
        vault_name, [{"JobId": f"job-{number:05}", "StatusCode": status_codes[number % 3]} for number in range(jobs)]
    )


def client_of(hook: GlacierJobsHook) -> Any:
    return hook.get_conn()


def ids(jobs: Any) -> list[str]:
    return [job["JobId"] for job in jobs]


def test_the_hook_is_the_providers_hook() -> None:
    assert issubclass(GlacierJobsHook, GlacierHook)


def test_all_vaults_are_listed_over_several_pages(hook: GlacierJobsHook, local_aws: Control) -> None:
    names = [f"vault-{number:02}" for number in range(23)]
    local_aws.add_vaults(*names)

    assert [vault["VaultName"] for vault in hook.list_vaults()] == names
    assert local_aws.calls().by_operation["ListVaults"] == 3


def test_a_listing_of_vaults_continues_after_empty_and_short_pages(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_vaults(*[f"vault-{number:02}" for number in range(23)])
    local_aws.fault("empty_page", operation="ListVaults")
    local_aws.fault("short_page", operation="ListVaults", size=4)

    assert len(list(hook.list_vaults())) == 23


def test_a_listing_of_vaults_with_a_repeated_marker_is_an_error(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_vaults(*[f"vault-{number:02}" for number in range(23)])
    local_aws.fault("marker_cycle", operation="ListVaults", skip=1)

    with pytest.raises(MarkerRepeated, match=r"List Vaults.*us-east-1"):
        list(hook.list_vaults())


def test_all_jobs_are_listed_as_boto3_would_give_them(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.seed("demo")

    for vault in hook.list_vaults():
        paginator = client_of(hook).get_paginator("list_jobs")
        as_boto3 = [job for page in paginator.paginate(vaultName=vault["VaultName"]) for job in page["JobList"]]
        assert list(hook.list_jobs(vault["VaultName"])) == as_boto3


def test_the_jobs_of_another_account_and_region_are_listed_when_they_are_named(
    connect: Connect, local_aws: Control
) -> None:
    local_aws.add_jobs("theirs", [{"JobId": "a"}], account_id="210987654321", region="eu-west-1")
    hook = GlacierJobsHook(aws_conn_id=connect(), region_name="eu-west-1")

    assert ids(hook.list_jobs("theirs", account_id="210987654321")) == ["a"]
    assert [vault["VaultName"] for vault in hook.list_vaults("210987654321")] == ["theirs"]


def test_filters_and_page_size_reach_aws_as_its_strings(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 9)

    succeeded = list(hook.list_jobs("photos", statuscode="Succeeded", completed=True, page_size=2))

    assert ids(succeeded) == ["job-00001", "job-00004", "job-00007"]
    query = local_aws.requests("ListJobs")[0]["query"]
    assert (query["statuscode"], query["completed"], query["limit"]) == ("Succeeded", "true", "2")


def test_completed_false_is_a_filter_too(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 3)

    assert ids(hook.list_jobs("photos", completed=False)) == ["job-00000"]


def test_contradictory_filters_give_no_jobs(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 3)

    assert list(hook.list_jobs("photos", statuscode="InProgress", completed=True)) == []


def test_no_limit_is_sent_unless_a_page_size_is_given(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 120)

    assert len(list(hook.list_jobs("photos"))) == 120
    assert all("limit" not in request["query"] for request in local_aws.requests("ListJobs"))


def test_a_listing_resumes_at_its_marker(hook: GlacierJobsHook, local_aws: Control) -> None:
    expected = fill(local_aws, 25)
    first = next(hook.list_job_pages("photos", page_size=10))

    rest = hook.list_jobs("photos", marker=first.marker)

    assert ids(first.jobs) + ids(rest) == expected


@pytest.mark.parametrize("size", [1, 3])
def test_a_listing_continues_after_empty_and_short_pages(hook: GlacierJobsHook, local_aws: Control, size: int) -> None:
    expected = fill(local_aws, 20)
    local_aws.fault("short_page", size=size)
    local_aws.fault("empty_page", probability=0.5)

    assert ids(hook.list_jobs("photos")) == expected


def test_a_job_on_two_pages_is_listed_once(hook: GlacierJobsHook, local_aws: Control) -> None:
    expected = fill(local_aws, 20)
    local_aws.settings(marker_repeats_job=True)

    pages = list(hook.list_job_pages("photos", page_size=7))

    assert ids(hook.list_jobs("photos", page_size=7)) == expected
    assert sum(len(page.jobs) for page in pages) > 20


@pytest.mark.parametrize("length", [1, 3])
def test_a_repeated_marker_is_an_error_that_names_vault_and_marker(
    hook: GlacierJobsHook, local_aws: Control, length: int
) -> None:
    fill(local_aws, 60)
    local_aws.fault("marker_cycle", length=length, skip=length)

    with pytest.raises(MarkerRepeated, match=r"vault photos in us-east-1.*marker"):
        list(hook.list_jobs("photos", page_size=10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statuscode": "Done"}, "InProgress, Succeeded, Failed"),
        ({"completed": "true"}, "True, False"),
        ({"page_size": 0}, "1 to 1000"),
        ({"marker": ""}, "marker of an earlier page"),
        ({"account_id": "123"}, "12 digits"),
        ({"vault_name": "no/slash"}, "1 to 255 characters"),
    ],
)
@pytest.mark.parametrize("method", ["list_job_pages", "list_jobs", "get_jobs_df"])
def test_a_wrong_argument_is_refused_without_a_request(
    hook: GlacierJobsHook, local_aws: Control, method: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        getattr(hook, method)(**{"vault_name": "photos", **arguments})

    assert local_aws.calls().total == 0


def test_jobs_are_found_by_id_and_the_listing_stops_once_all_are_found(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    fill(local_aws, 500)

    found = hook.find_jobs("photos", ["job-00060", "job-00001"])

    assert list(found) == ["job-00060", "job-00001"]
    assert found["job-00060"]["StatusCode"] == "InProgress"
    assert local_aws.calls().by_operation["ListJobs"] == 2


def test_a_job_that_is_not_listed_is_absent_from_the_result(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 70)

    assert list(hook.find_jobs("photos", ["nowhere", "job-00001"])) == ["job-00001"]


def test_without_ids_to_find_no_request_is_made(hook: GlacierJobsHook, local_aws: Control) -> None:
    assert hook.find_jobs("photos", []) == {}
    assert local_aws.calls().total == 0


def test_a_single_text_is_refused_as_a_list_of_ids(hook: GlacierJobsHook) -> None:
    with pytest.raises(InvalidArgument, match="as a list"):
        hook.find_jobs("photos", "job-00001")


@pytest.mark.parametrize("jobs", [0, 1, 70])
def test_the_data_frame_has_the_parquet_tables_columns_and_types(
    hook: GlacierJobsHook, local_aws: Control, jobs: int
) -> None:
    local_aws.add_vaults("photos")
    expected = fill(local_aws, jobs) if jobs else []

    frame = hook.get_jobs_df("photos")

    assert list(frame["job_id"]) == expected
    assert (
        pa.Schema.from_pandas(frame)
        .remove_metadata()
        .equals(pa.schema([pa.field(field.name, field.type) for field in JOBS]))
    )
    assert isinstance(frame.dtypes["archive_size_in_bytes"], pd.ArrowDtype)


def test_a_field_that_botocore_does_not_know_is_kept(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "Priority": 7}])

    assert [job["Priority"] for job in hook.list_jobs("photos")] == [7]


def test_a_client_taken_from_the_hook_answers_as_boto3_does(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 2)

    answer = client_of(hook).list_jobs(vaultName="photos")

    assert ids(answer["JobList"]) == ["job-00000", "job-00001"]
    assert set(answer) == {"JobList", "ResponseMetadata"}


def test_the_hook_works_with_botocores_stubber(hook: GlacierJobsHook) -> None:
    job = {"JobId": "a", "VaultARN": "arn:aws:glacier:us-east-1:123456789012:vaults/photos"}
    with Stubber(client_of(hook)) as stubber:
        stubber.add_response("list_jobs", {"JobList": [job]}, {"vaultName": "photos", "accountId": "-"})

        assert list(hook.list_jobs("photos")) == [job]


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("throttling", Throttled, "attempt 3"),
        ("service_unavailable", ServiceUnavailable, "HTTP 500"),
        ("request_timeout", ServiceUnavailable, "HTTP 408"),
        ("dropped_connection", ServiceUnavailable, "try again later"),
        ("truncated_body", ServiceUnavailable, "try again later"),
        ("cut_json", ServiceUnavailable, "not JSON"),
        ("not_json", ServiceUnavailable, "not JSON"),
        ("access_denied", AccessDenied, "not authorized to perform: glacier:ListJobs"),
        ("expired_token", AccessDenied, "could not be renewed"),
        ("invalid_signature", AccessDenied, "clock"),
        ("unrecognized_client", AccessDenied, "access key id"),
        ("no_longer_supported", NotSupported, "no vaults"),
    ],
)
@pytest.mark.usefixtures("no_backoff")
def test_an_error_from_aws_becomes_an_error_with_advice(
    hook: GlacierJobsHook, local_aws: Control, fault: str, error: type[Exception], message: str
) -> None:
    fill(local_aws, 3)
    local_aws.fault(fault)

    with pytest.raises(error, match=message) as caught:
        list(hook.list_jobs("photos"))

    assert "vault photos in us-east-1" in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "fault", ["throttling", "service_unavailable", "dropped_connection", "truncated_body", "cut_json", "not_json"]
)
@pytest.mark.usefixtures("no_backoff")
def test_a_transient_fault_loses_no_job(hook: GlacierJobsHook, local_aws: Control, fault: str) -> None:
    expected = fill(local_aws, 120)
    local_aws.fault(fault, skip=1, count=2)

    assert ids(hook.list_jobs("photos")) == expected


@pytest.mark.usefixtures("no_backoff")
def test_an_error_with_a_truncated_body_is_transient(hook: GlacierJobsHook, local_aws: Control) -> None:
    fill(local_aws, 1)
    local_aws.fault("throttling")
    local_aws.fault("cut_json")

    with pytest.raises(ServiceUnavailable, match="HTTP 400"):
        list(hook.list_jobs("photos"))


@pytest.mark.parametrize("fault", ["cut_json", "not_json"])
def test_an_unreadable_list_of_vaults_is_never_treated_as_an_empty_one(
    hook: GlacierJobsHook, local_aws: Control, fault: str
) -> None:
    local_aws.add_vaults("photos")
    local_aws.fault(fault, operation="ListVaults")

    with pytest.raises(ServiceUnavailable, match="not JSON"):
        list(hook.list_vaults())


def test_a_vault_that_does_not_exist_is_named_with_its_region(hook: GlacierJobsHook) -> None:
    with pytest.raises(VaultNotFound, match="vault nowhere in us-east-1"):
        list(hook.list_jobs("nowhere"))


@pytest.mark.parametrize("field", ["JobId", "VaultARN"])
def test_a_job_without_the_fields_that_name_it_is_malformed(
    hook: GlacierJobsHook, local_aws: Control, field: str
) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", field: 5, "_life": {"verbatim": True}}])

    with pytest.raises(MalformedAnswer, match=f"{field} is 5"):
        list(hook.list_jobs("photos"))


def test_an_expired_token_is_renewed_once(hook: GlacierJobsHook, local_aws: Control) -> None:
    expected = fill(local_aws, 120)
    local_aws.fault("expired_token", skip=1, count=1)

    assert ids(hook.list_jobs("photos")) == expected


@pytest.mark.parametrize(("place", "times"), [("container", 2), ("instance", 1)])
def test_a_source_of_credentials_that_is_away_is_a_transient_error(
    place: str,
    times: int,
    connect: Connect,
    local_aws: Control,
    credentials: CredentialSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same hook gets credentials as soon as the source is back.

    botocore itself uses those of an instance for longer if they cannot be renewed.
    """
    fill(local_aws, 1)
    serve = credentials.serve_a_container if place == "container" else credentials.serve_an_instance
    serve(monkeypatch)
    hook = GlacierJobsHook(aws_conn_id=connect(access_key=None))

    for _ in range(times):
        credentials.is_away()
        with pytest.raises(CredentialsUnavailable, match="check the Airflow connection"):
            list(hook.list_jobs("photos"))
        credentials.is_away(count=0)

        assert len(list(hook.list_jobs("photos"))) == 1


@pytest.mark.parametrize("failures", [1, 2], ids=["in a call", "while a client is built"])
def test_a_corrected_connection_replaces_a_source_of_credentials_that_is_away(
    failures: int, connect: Connect, local_aws: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(local_aws, 1)
    process = CredentialProcess(tmp_path, monkeypatch)
    hook = GlacierJobsHook(aws_conn_id=connect(access_key=None, profile_name="archive"))
    assert len(list(hook.list_jobs("photos"))) == 1

    process.breaks()
    for _ in range(failures):
        with pytest.raises(CredentialsUnavailable, match="check the Airflow connection"):
            list(hook.list_jobs("photos"))
    connect()

    assert len(list(hook.list_jobs("photos"))) == 1


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ("[profile archive]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
         "[sso-session s]\nsso_region = us-east-1\nsso_start_url = http://127.0.0.1:1/\n", "SSO"),
        ("[profile other]\n", "archive"),
        ("[profile archive]\naws_access_key_id = LOCALAWSACCESSKEY000\n", "aws_secret_access_key"),
    ],
    ids=["a person must sign in", "no such profile", "half of the credentials"],
)  # fmt: skip
def test_credentials_that_only_a_person_can_correct_are_refused(
    configuration: str,
    message: str,
    connect: Connect,
    local_aws: Control,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text(configuration)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "archive")
    hook = GlacierJobsHook(aws_conn_id=connect(access_key=None))

    with pytest.raises(AccessDenied, match=f"no usable credentials.*{message}.*check the Airflow connection"):
        list(hook.list_jobs("photos"))


def test_a_named_connection_that_does_not_exist_is_refused_each_time() -> None:
    hook = GlacierJobsHook(aws_conn_id="no_such", region_name="us-east-1")

    for _ in range(2):
        with pytest.raises(ConnectionNotFound, match="'no_such' does not exist"):
            hook.list_vaults().__next__()


def test_without_the_default_connection_the_credentials_of_the_environment_apply_and_the_account_is_logged(
    local_aws: Control, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in local_aws.environment().items():
        monkeypatch.setenv(name, value)
    fill(local_aws, 1)

    jobs = list(GlacierJobsHook().list_jobs("photos"))

    assert ids(jobs) == ["job-00000"]
    assert "credentials of the environment are used, account 123456789012" in capsys.readouterr().out


def test_without_credentials_the_error_names_the_connection_to_check_at_once() -> None:
    hook = GlacierJobsHook(aws_conn_id=None, region_name="us-east-1")
    began = time.monotonic()

    with pytest.raises(CredentialsUnavailable, match=r"Unable to locate credentials.*check the Airflow connection"):
        list(hook.list_vaults())

    assert time.monotonic() - began < DEFAULT_RETRY_SECONDS / 3


def test_without_a_region_the_error_names_where_to_set_one(connect: Connect) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(region_name=None))

    with pytest.raises(InvalidArgument, match="region_name"):
        list(hook.list_vaults())


def test_a_refused_connection_is_a_transient_error(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=endpoint_url, attempts=1))

        with pytest.raises(ServiceUnavailable):
            list(hook.list_vaults())


def test_every_error_is_either_final_or_transient_and_none_is_airflows() -> None:
    from glacier_jobs import errors
    from tests.versions import AirflowException

    tree = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert len(tree) > 10
    for error in tree:
        assert error is errors.GlacierJobsError or issubclass(error, (FinalError, TransientError))
        assert not issubclass(error, AirflowException | botocore.exceptions.BotoCoreError)


def test_one_job_is_described_with_all_fields_of_the_answer(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Failed", "StatusMessage": "Torn", "AddedLater": [1]}])

    job = hook.get_job("photos", "a")

    assert (job["JobId"], job["StatusMessage"], job["AddedLater"]) == ("a", "Torn", [1])
    assert "ArchiveId" not in job


def test_a_description_equals_that_of_the_listing(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.seed("demo")

    listed = list(hook.list_jobs("photo-archive"))[:20]

    assert [hook.get_job("photo-archive", job["JobId"]) for job in listed] == listed


def test_an_unknown_job_and_an_unknown_vault_are_different_errors(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    with pytest.raises(JobNotFound, match="Describe Job a of vault photos in us-east-1"):
        hook.get_job("photos", "a")
    with pytest.raises(VaultNotFound, match="Describe Job a of vault job-films in us-east-1"):
        hook.get_job("job-films", "a")


@pytest.mark.parametrize("kind", ["not_json", "cut_json"])
def test_an_unreadable_description_is_an_error(kind: str, hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    local_aws.fault(kind, operation="DescribeJob", count=2)
    assert hook.get_job("photos", "a")["JobId"] == "a"

    local_aws.fault(kind, operation="DescribeJob")
    with pytest.raises(ServiceUnavailable):
        hook.get_job("photos", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("no/vault", "a"), "vault_name is"), (("photos", ""), "job_id is"), (("photos", "a", "12"), "account_id is")],
)
def test_a_wrong_argument_of_get_job_is_refused_without_a_request(
    arguments: tuple[str, ...], message: str, hook: GlacierJobsHook, local_aws: Control
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        hook.get_job(*arguments)
    assert local_aws.calls().total == 0


def test_the_providers_own_describe_job_works_as_it_does_there(hook: GlacierJobsHook, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])

    answer = hook.describe_job("photos", "a")

    assert answer["StatusCode"] == "InProgress"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
