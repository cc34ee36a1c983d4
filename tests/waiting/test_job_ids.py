from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glacier_jobs.errors import AccessDenied, ConnectionNotFound, InvalidArgument, ServiceUnavailable
from glacier_jobs.waiting.job_ids import awaited_ids, is_single
from local_aws.client import Control
from local_aws.faulty_proxy import Fault
from tests.conftest import Connect, IdsOnS3


class Lazily(Sequence[Any]):
    """A sequence that is read by requests, as Airflow passes mapped results: one for an item, and one for a slice."""

    def __init__(self, *items: Any) -> None:
        self._items = items
        self.requests = 0

    def __getitem__(self, key: Any) -> Any:
        self.requests += 1
        return self._items[key]

    def __len__(self) -> int:
        self.requests += 1
        return len(self._items)


def test_a_lazy_sequence_is_read_by_one_request() -> None:
    ids = Lazily(*[f"job-{number}" for number in range(1_000)])

    assert len(awaited_ids(ids)) == 1_000
    assert ids.requests == 1


@pytest.mark.parametrize(
    ("value", "job_ids", "single"),
    [
        ("a", ("a",), True),
        (" a\n", ("a",), True),
        (["a", "b", "a"], ("a", "b"), False),
        (("a",), ("a",), False),
        (Lazily("a", "b"), ("a", "b"), False),
        ("['a', 'b']", ("a", "b"), False),
        ("('a', 'b')", ("a", "b"), False),
        ({"jobId": "a", "location": "/123/vaults/photos/jobs/a"}, ("a",), True),
        ("{'jobId': 'a', 'location': '/123/vaults/photos/jobs/a'}", ("a",), True),
        ({"JobId": "a", "StatusCode": "InProgress"}, ("a",), True),
        ("{'JobId': 'a'}", ("a",), True),
        ([{"JobId": "a"}, {"jobId": "b"}], ("a", "b"), False),
        (Lazily({"jobId": "a"}, {"jobId": "b"}), ("a", "b"), False),
        ("[{'jobId': 'a'}, {'jobId': 'b'}]", ("a", "b"), False),
    ],
)
def test_ids_are_accepted_in_every_form_that_airflow_passes(value: Any, job_ids: tuple[str, ...], single: bool) -> None:
    assert awaited_ids(value) == job_ids
    assert is_single(value) is single


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "  ",
        [],
        "[]",
        7,
        ["a", 7],
        ["a", ""],
        {"id": "a"},
        [{"id": "a"}],
        "[a",
        "a,b",
        "a b",
        b"a",
        "None",
        ["None"],
    ],
)
def test_a_value_that_is_no_id_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="job_id"):
        awaited_ids(value)


@pytest.mark.parametrize("content", ["a\nb\n", "a\r\nb", "\ufeffa\n\n  b  \na\n"])
def test_a_text_file_has_one_id_a_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(content.encode())

    assert awaited_ids(f"file://{tmp_path}/ids") == ("a", "b")
    assert not is_single(f"file://{tmp_path}/ids")


def test_a_uri_may_contain_spaces_but_no_line_breaks(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/my ids.txt"
    (tmp_path / "my ids.txt").write_text("a\nb\n")

    assert awaited_ids(f" {uri}\n") == ("a", "b")
    assert not is_single(uri)
    with pytest.raises(InvalidArgument, match="job_id contains a control character"):
        awaited_ids(f"{uri}\n{uri}")


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_parquet_file_has_the_ids_in_the_column_job_id(type_: pa.DataType, tmp_path: Path) -> None:
    ids = pa.array(["a", "b", "a"]).cast(type_)
    pq.write_table(pa.table({"other": [1, 2, 3], "job_id": ids}), tmp_path / "ids")

    assert awaited_ids(f"file://{tmp_path}/ids") == ("a", "b")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["a"]}, "has the columns id"),
        ({"job_id": [1]}, "the column job_id of"),
        ({"job_id": ["a", None]}, "the column job_id of"),
        ({"job_id": pa.array([], pa.string())}, "is empty"),
    ],
)
def test_a_parquet_file_without_ids_is_refused(table: Any, message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "ids")

    with pytest.raises(InvalidArgument, match=message):
        awaited_ids(f"file://{tmp_path}/ids")


@pytest.mark.parametrize("content", [b"PAR1 and nothing", b"\xff\xfe", b"\n\n", b"a b\n"])
def test_a_file_without_ids_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(content)

    with pytest.raises(InvalidArgument):
        awaited_ids(f"file://{tmp_path}/ids")


@pytest.mark.parametrize("uri", ["file:///no/such/file", "file:///tmp", "file://tmp", "nothing://bucket/ids"])
def test_a_uri_of_no_file_is_refused(uri: str) -> None:
    with pytest.raises(InvalidArgument, match="job_id is"):
        awaited_ids(uri)


def test_ids_are_read_from_a_bucket(connect: Connect, local_aws: Control) -> None:
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="ids")
    s3.put_object(Bucket="ids", Key="today.txt", Body=b"a\nb\n")

    assert awaited_ids(f"s3://{connect()}@ids/today.txt") == ("a", "b")


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=503, code="ServiceUnavailable"), Fault(dropped=True)]
)
def test_a_bucket_that_does_not_answer_is_a_transient_error(fault: Fault, ids_on_s3: IdsOnS3) -> None:
    ids_on_s3.fail(fault)
    with pytest.raises(ServiceUnavailable, match=ids_on_s3.uri):
        awaited_ids(ids_on_s3.uri)
    ids_on_s3.fail(fault, count=0)

    assert awaited_ids(ids_on_s3.uri) == ("a", "b")


def test_a_bucket_that_may_not_be_read_is_refused(ids_on_s3: IdsOnS3) -> None:
    ids_on_s3.fail(Fault(status=403, code="AccessDenied"))

    with pytest.raises(AccessDenied, match=ids_on_s3.uri):
        awaited_ids(ids_on_s3.uri)


def test_a_connection_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConnectionNotFound, match="the Airflow connection in job_id does not exist"):
        awaited_ids("s3://nowhere@ids/today.txt")
