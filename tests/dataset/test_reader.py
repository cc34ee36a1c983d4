from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from glacier_jobs.dataset import reader as reading
from glacier_jobs.dataset.reader import read_files
from glacier_jobs.errors import MalformedFile
from local_aws.client import Control

SCHEMA = pa.schema([pa.field("number", pa.int64()), pa.field("text", pa.string())])


class CountingStore(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that is not this machine's disk, and knows what was fetched at a time, and what whole."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[list[str]] = []
        self.whole: list[str] = []

    def cat_ranges(self, paths: list[str], *args: Any, **kwargs: Any) -> Any:
        self.fetched.append(paths)
        return super().cat_ranges(paths, *args, **kwargs)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> Any:
        if end is None:
            self.whole.append(path)
        return super().cat_file(path, start, end, **kwargs)

    def info(self, path: str, **kwargs: Any) -> Any:
        raise AssertionError(f"{path} was requested before it was fetched")


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def write(store: CountingStore, count: int, rows: int = 2) -> list[str]:
    paths = [f"/reading/{number:04}.parquet" for number in range(count)]
    for number, path in enumerate(paths):
        with store.open(path, "wb") as file:
            pq.write_table(pa.table({"number": [number] * rows, "text": [f"row {row}" for row in range(rows)]}), file)
    return paths


def test_all_rows_are_in_the_order_of_the_files(store: CountingStore) -> None:
    found = read_files(store, write(store, 30), SCHEMA).read_all()

    assert found.schema == SCHEMA
    assert found["number"].to_pylist() == [number for number in range(30) for _ in range(2)]


def test_only_the_requested_columns_and_rows_are_returned(store: CountingStore) -> None:
    found = read_files(store, write(store, 3), SCHEMA, columns=["text"], where=pc.field("text") == "row 1").read_all()

    assert found.to_pylist() == [{"text": "row 1"}] * 3


def test_no_files_are_no_rows(store: CountingStore) -> None:
    assert read_files(store, [], SCHEMA).read_all().equals(SCHEMA.empty_table())


@pytest.mark.parametrize("rows", [2, 60_000])
def test_files_that_do_not_exist_are_passed_over_only_if_the_caller_wants_to_know(
    store: CountingStore, rows: int
) -> None:
    first, second, third = write(store, 3, rows)
    store.rm(second)
    missing: dict[str, FileNotFoundError] = {}

    found = read_files(store, [first, second, third], SCHEMA, missing=missing).read_all()

    assert found["number"].unique().to_pylist() == [0, 2]
    assert list(missing) == [second]
    with pytest.raises(FileNotFoundError, match=second):
        read_files(store, [first, second, third], SCHEMA).read_all()


def test_every_file_is_fetched_once_and_many_at_a_time(store: CountingStore) -> None:
    paths = write(store, 300)

    read_files(store, paths, SCHEMA).read_all()

    assert [path for bundle in store.fetched for path in bundle] == paths
    assert len(store.fetched) == 2
    assert store.whole == []


def test_no_file_is_fetched_before_its_rows_are_requested(store: CountingStore) -> None:
    found = read_files(store, write(store, 600, rows=100), SCHEMA)
    assert store.fetched == []

    found.read_next_batch()

    assert len(store.fetched) == 1


def test_a_large_file_is_fetched_alone_and_in_order(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = write(store, 5), "/reading/large.parquet"
    with store.open(large, "wb") as file:
        pq.write_table(
            pa.table({"number": range(100, 50_100), "text": ["large"] * 50_000}), file, row_group_size=20_000
        )
    monkeypatch.setattr(reading, "_SMALL_BYTES", 10_000)

    found = read_files(store, [*small[:2], large, *small[2:]], SCHEMA).read_all()

    assert found["number"].to_pylist() == [0, 0, 1, 1, *range(100, 50_100), 2, 2, 3, 3, 4, 4]
    assert store.whole == [large]


def test_on_s3_a_small_file_costs_one_request(local_aws: Control) -> None:
    class CountingS3(S3FileSystem):  # type: ignore[misc]  # fsspec has no types
        requests: list[tuple[str, str]]

        async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
            self.requests.append((method, kwargs["Key"]))
            return await super()._call_s3(method, *args, **kwargs)

    arguments = local_aws.boto3_arguments()
    client = boto3.client("s3", **arguments)
    client.create_bucket(Bucket="records")
    for number in range(3):
        body = io.BytesIO()
        pq.write_table(pa.table({"number": [number], "text": ["row"]}), body)
        client.put_object(Bucket="records", Key=f"{number}.parquet", Body=body.getvalue())
    store = CountingS3(
        key=arguments["aws_access_key_id"],
        secret=arguments["aws_secret_access_key"],
        endpoint_url=local_aws.endpoint,
        skip_instance_cache=True,
    )
    store.requests = []

    found = read_files(store, [f"records/{number}.parquet" for number in range(3)], SCHEMA).read_all()

    assert found["number"].to_pylist() == [0, 1, 2]
    assert sorted(store.requests) == [("get_object", f"{number}.parquet") for number in range(3)]


def test_the_rows_of_many_small_files_come_in_few_batches(store: CountingStore) -> None:
    batches = list(read_files(store, write(store, 300, rows=100), SCHEMA))

    assert len(batches) == 2
    assert sum(batch.num_rows for batch in batches) == 30_000


def test_a_file_that_lacks_a_column_is_an_error_that_names_both(store: CountingStore) -> None:
    wider = SCHEMA.append(pa.field("other", pa.string()))

    with pytest.raises(MalformedFile, match=r"/reading/0000\.parquet lacks the columns other"):
        read_files(store, write(store, 1), wider).read_all()


def test_a_file_that_is_not_parquet_is_an_error_that_names_it(store: CountingStore) -> None:
    paths = write(store, 3)
    store.pipe_file(paths[1], b"not Parquet")

    with pytest.raises(OSError, match=r"/reading/0001\.parquet cannot be read as Parquet") as caught:
        read_files(store, paths, SCHEMA).read_all()

    assert isinstance(caught.value, MalformedFile)


def test_an_error_of_the_stores_client_is_an_os_error_that_names_the_file(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndpointConnectionError(Exception):
        pass

    real = CountingStore.cat_file

    def cut_off(self: CountingStore, path: str, *args: Any, **kwargs: Any) -> Any:
        if path.endswith("0001.parquet"):
            raise EndpointConnectionError("no route")
        return real(self, path, *args, **kwargs)

    paths = write(store, 3)
    monkeypatch.setattr(CountingStore, "cat_file", cut_off)

    with pytest.raises(OSError, match=r"/reading/0001\.parquet could not be read: no route"):
        read_files(store, paths, SCHEMA).read_all()


def test_local_files_give_the_same_rows(store: CountingStore, tmp_path: Path) -> None:
    paths = write(store, 5)
    local = []
    for path in paths:
        local.append(str(tmp_path / Path(path).name))
        Path(local[-1]).write_bytes(store.cat_file(path))
    wanted: dict[str, Any] = {"columns": ["text", "number"], "where": pc.field("number") > 1}

    here = read_files(LocalFileSystem(), local, SCHEMA, **wanted).read_all()

    assert here.equals(read_files(store, paths, SCHEMA, **wanted).read_all())
    assert here.num_rows == 6


def test_a_file_that_is_missing_is_an_error(store: CountingStore) -> None:
    paths = write(store, 2)

    with pytest.raises(FileNotFoundError):
        read_files(store, [*paths, "/reading/missing.parquet"], SCHEMA).read_all()
