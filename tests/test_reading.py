from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from glacier_jobs import reading
from glacier_jobs.reading import read_files

SCHEMA = pa.schema([pa.field("number", pa.int64()), pa.field("text", pa.string())])


class CountingStore(MemoryFileSystem):  # type: ignore[misc]
    """A store that is not this machine's disk, and counts what is fetched at a time."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[list[str]] = []

    def cat(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        self.fetched.append(list(path))
        return super().cat(path, *args, **kwargs)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


def write(store: CountingStore, count: int, rows: int = 2) -> list[str]:
    paths = [f"/reading/{number:04}.parquet" for number in range(count)]
    for number, path in enumerate(paths):
        with store.open(path, "wb") as file:
            pq.write_table(pa.table({"number": [number] * rows, "text": [f"row {row}" for row in range(rows)]}), file)
    return paths


def test_all_rows_come_in_the_order_of_the_files(store: CountingStore) -> None:
    found = read_files(store, write(store, 30), SCHEMA).read_all()

    assert found.schema == SCHEMA
    assert found["number"].to_pylist() == [number for number in range(30) for _ in range(2)]


def test_only_what_is_wanted_comes(store: CountingStore) -> None:
    found = read_files(store, write(store, 3), SCHEMA, columns=["text"], where=pc.field("text") == "row 1").read_all()

    assert found.to_pylist() == [{"text": "row 1"}] * 3


def test_no_files_are_no_rows(store: CountingStore) -> None:
    assert read_files(store, [], SCHEMA).read_all().equals(SCHEMA.empty_table())


def test_every_file_is_fetched_once_and_many_at_a_time(store: CountingStore) -> None:
    paths = write(store, 100)

    read_files(store, paths, SCHEMA).read_all()

    assert [path for bundle in store.fetched for path in bundle] == paths
    assert len(store.fetched) == 4


def test_large_files_are_fetched_one_by_one(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BUNDLE_BYTES", 1000)

    read_files(store, write(store, 5, rows=5000), SCHEMA).read_all()

    assert [len(bundle) for bundle in store.fetched] == [1] * 5


def test_a_file_that_lacks_a_column_is_an_error(store: CountingStore) -> None:
    wider = SCHEMA.append(pa.field("other", pa.string()))

    with pytest.raises(ValueError, match="lacks the columns other"):
        read_files(store, write(store, 1), wider).read_all()


def test_files_on_this_machine_are_read_alike(store: CountingStore, tmp_path: Path) -> None:
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
