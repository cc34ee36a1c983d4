"""Which URIs are accepted, and that an error never shows what may be a secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs import reports
from glacier_jobs.dataset.storage import check_location, open_path
from glacier_jobs.dataset.uris import check_literal_uri, check_uri, connection_of, is_uri
from glacier_jobs.errors import ConnectionNotFound, GlacierJobsError, InvalidArgument
from glacier_jobs.history.__main__ import main
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.storage import open_dataset
from glacier_jobs.waiting.job_ids import awaited_ids
from local_aws.client import Control
from tests.conftest import Connect
from tests.versions import OPENS_ARNS, AirflowFailException

PASTED_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PASTED_TEXT = "hunter2"

ACCEPTED = [
    ("file:///data/glacier", None),
    ("file:///data/with space/%20/x@y:z", None),
    ("file:///", None),
    ("s3://bucket", None),
    ("s3://my-bucket/glacier/", None),
    ("s3://aws_archive@my-bucket/glacier", "aws_archive"),
    ("s3://team.a-1!(eu)@my-bucket", "team.a-1!(eu)"),
    ("s3://bucket/a:b", None),
    ("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/name/x", None),
    ("s3://aws_archive@arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint:name/x", "aws_archive"),
    ("gs://conn@bucket/x", "conn"),
]

#: Each with a secret that no error, log or stored value may show.
WITH_A_SECRET = [
    f"s3://AKIAIOSFODNN7EXAMPLE:{PASTED_KEY}@bucket/x",
    f"s3://AKIA:{PASTED_TEXT}@bucket/x",
    f"s3://AKIA:{PASTED_TEXT}/y@bucket/x",
    f"s3://AKIA:{PASTED_TEXT}#y@bucket/x",
    f"s3://AKIA:{PASTED_TEXT}?y@bucket/x",
    f"s3://AKIA:{PASTED_TEXT}/bucket",
    f"s3://{PASTED_KEY}@bucket/x",
    f"s3://{PASTED_KEY.replace('/', 'x').replace('+', 'x')}@bucket/x",
    f"s3://conn@{PASTED_TEXT}@bucket/x",
    f"s3://bucket/x@{PASTED_TEXT}",
    f"s3://bucket/x?secret={PASTED_TEXT}",
    f"s3://bucket/x#{PASTED_TEXT}",
    f"s3://conn@bucket:{PASTED_TEXT}/x",
    f"file://AKIA:{PASTED_TEXT}@data/x",
    f"AKIA:{PASTED_TEXT}@bucket/x",
    f"s3://bucket/{PASTED_TEXT}\n",
    f"s3://bucket/{PASTED_TEXT}\u200b",
    f"s3://bucket/{{{{ {PASTED_TEXT} }}}}",
    f"file:///data/{{% {PASTED_TEXT} %}}",
    f"file:///data/{{# {PASTED_TEXT} #}}",
]


@pytest.mark.parametrize(("uri", "conn_id"), ACCEPTED)
def test_a_uri_of_a_path_is_accepted_with_the_id_of_its_connection(uri: str, conn_id: str | None) -> None:
    assert check_uri(uri, "dataset_uri") == uri
    assert connection_of(uri) == conn_id
    assert is_uri(uri)


def _opens(uri: str) -> bool:
    return not uri.startswith("gs:") and (OPENS_ARNS or "arn:" not in uri)


@pytest.mark.parametrize(("uri", "conn_id"), [each for each in ACCEPTED if _opens(each[0])])
def test_object_storage_finds_the_same_connection_in_the_uri(uri: str, conn_id: str | None, connect: Connect) -> None:
    if conn_id == "aws_archive":
        connect(conn_id)
    elif conn_id is not None:
        return

    path = open_path(uri, "dataset_uri")

    # Airflow 3.0 has no attribute for it.
    assert (path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")) == conn_id
    assert path.path.rstrip("/") == uri.partition("://")[2].removeprefix(f"{conn_id}@").rstrip("/")


@pytest.mark.parametrize("uri", WITH_A_SECRET)
def test_a_uri_with_a_secret_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^the Variable x .*; expected file:///absolute/path") as caught:
        check_uri(uri, "the Variable x")

    assert_shows_no_secret(caught.value)


@pytest.mark.parametrize("given", [None, 5, b"s3://bucket", ["s3://bucket"], f"s3://a b@{PASTED_TEXT}", "s3://@bucket"])
def test_anything_else_is_refused(given: object) -> None:
    with pytest.raises(InvalidArgument, match="expected file:///absolute/path") as caught:
        check_uri(given, "dataset_uri")

    assert_shows_no_secret(caught.value)


def test_an_error_says_that_a_path_may_not_contain_another_at_sign() -> None:
    with pytest.raises(InvalidArgument, match="a path may not contain '@'"):
        check_uri("s3://bucket/team@corp/glacier", "dataset_uri")


def test_an_error_shows_what_was_found_where_it_cannot_be_a_secret() -> None:
    with pytest.raises(InvalidArgument, match="dataset_uri is 'file://data/x'; expected"):
        check_uri("file://data/x", "dataset_uri")


@pytest.mark.parametrize("uri", ["s3://{{ var.value.bucket }}/x", "{% if ds %}s3://bucket{% endif %}", None, object()])
def test_an_argument_that_only_a_run_knows_is_not_checked_before(uri: object) -> None:
    check_literal_uri(uri, "dataset_uri")


def test_a_connection_that_does_not_exist_is_refused_without_showing_its_id() -> None:
    with pytest.raises(
        ConnectionNotFound, match="the Airflow connection in dataset_uri does not exist: the text of 7 "
    ) as caught:
        check_location(f"s3://{PASTED_TEXT}@bucket/x", "dataset_uri")

    assert_shows_no_secret(caught.value)


def test_a_connection_that_exists_is_accepted(connect: Connect) -> None:
    uri = f"s3://{connect()}@bucket/x"

    assert check_location(uri, "dataset_uri") == uri


def of_operator(uri: str) -> object:
    operator = GlacierJobsToParquetOperator(task_id="keep", dataset_uri="{{ params.uri }}", aws_conn_id="local_aws")
    operator.dataset_uri = uri
    return operator.execute({})


def of_sensor(uri: str) -> object:
    sensor = GlacierJobSensor(task_id="wait", vault_name="photos", job_id="{{ params.uri }}", aws_conn_id="local_aws")
    sensor.job_id = uri
    return sensor.poke({})


USES: list[Callable[[str], object]] = [
    lambda uri: open_dataset(uri),
    lambda uri: open_path(uri, "x"),
    lambda uri: awaited_ids(uri),
    lambda uri: awaited_ids([uri]),
    lambda uri: awaited_ids(f"[{uri}"),
    lambda uri: awaited_ids(f"['a', '{uri}']"),
    lambda uri: reports.run("failures", uri),
    lambda uri: reports.run("failures", "file:///nowhere", history_uri=uri),
    lambda uri: GlacierJobsToParquetOperator(task_id="keep", dataset_uri=uri).execute({}),
    lambda uri: GlacierJobSensor(task_id="wait", vault_name="photos", job_id=uri).poke({}),
    of_operator,
    of_sensor,
]


@pytest.mark.parametrize("use", range(len(USES)))
@pytest.mark.parametrize("uri", [uri for uri in WITH_A_SECRET if "\n" not in uri])
def test_each_use_of_a_uri_refuses_a_secret_before_any_request_and_without_showing_it(
    use: int, uri: str, connect: Connect, local_aws: Control, caplog: pytest.LogCaptureFixture
) -> None:
    connect()
    local_aws.add_jobs("photos", [{"JobId": "a"}])

    with pytest.raises((GlacierJobsError, AirflowFailException)) as caught:
        USES[use](uri)

    assert_shows_no_secret(caught.value)
    assert PASTED_TEXT not in caplog.text
    assert PASTED_KEY not in caplog.text
    assert not local_aws.calls().by_operation


@pytest.mark.parametrize("uri", WITH_A_SECRET)
def test_the_command_line_of_the_history_does_not_print_it(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fold", uri]) == 1
    assert main(["rebuild", tmp_path.as_uri(), uri]) == 1

    printed = capsys.readouterr()
    assert "dataset_uri" in printed.err
    assert "history_uri" in printed.err
    assert PASTED_TEXT not in printed.err + printed.out
    assert PASTED_KEY not in printed.err + printed.out


def assert_shows_no_secret(error: Any) -> None:
    """Check the whole traceback, with all causes, as a task's log shows it."""
    shown = "".join(traceback.format_exception_only(error))
    while (error := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        shown += "".join(traceback.format_exception_only(error))
    assert PASTED_TEXT not in shown
    assert PASTED_KEY not in shown
    assert PASTED_KEY.replace("/", "x").replace("+", "x") not in shown
