from __future__ import annotations

import io
import threading
import time
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from glacier_jobs.dataset import arrow_files
from glacier_jobs.dataset.arrow_files import ArrowCalls, arrow_filesystem

FILES = 60


class HeldStore(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store whose reads wait for ``answer``, except those of the first file."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()
        self.reads = 0
        self.waiting = threading.Semaphore(0)

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super().open(path, mode, **kwargs)
        return _HeldFile(self, path, file.getvalue()) if mode == "rb" else file


class _HeldFile(io.BytesIO):
    def __init__(self, store: HeldStore, path: str, content: bytes) -> None:
        super().__init__(content)
        self._store = store
        self._is_first = path.endswith("/000.parquet")

    def read(self, size: int | None = -1) -> bytes:
        self._store.reads += 1
        if not self._is_first:
            self._store.waiting.release()
            self._store.answer.wait()
        return super().read(size)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


def scan(store: MemoryFileSystem, calls: ArrowCalls) -> pads.Dataset:
    paths = [f"/arrow/{number:03}.parquet" for number in range(FILES)]
    for path in paths:
        with store.open(path, "wb") as file:
            pq.write_table(pa.table({"number": [1, 2]}), file)
    return pads.FileSystemDataset.from_paths(
        paths,
        schema=pa.schema([("number", pa.int64())]),
        format=pads.ParquetFileFormat(),
        filesystem=arrow_filesystem(store, calls),
    )


def test_the_end_waits_for_running_calls_and_reads_no_further_file(store: HeldStore) -> None:
    calls = ArrowCalls()
    assert scan(store, calls).head(1).num_rows == 1
    store.waiting.acquire()

    end = threading.Thread(target=calls.end)
    end.start()
    end.join(0.5)
    waits = end.is_alive()
    reads = store.reads
    store.answer.set()
    end.join()

    assert waits
    assert store.reads == reads < 2 * FILES


@pytest.mark.parametrize(("cpu_threads", "io_threads"), [(1, 1), (2, 8), (8, 2), (32, 64)])
def test_the_end_comes_with_any_number_of_threads(cpu_threads: int, io_threads: int) -> None:
    before = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(cpu_threads)
    pa.set_io_thread_count(io_threads)
    try:
        ArrowCalls().end()
    finally:
        pa.set_cpu_count(before[0])
        pa.set_io_thread_count(before[1])


def test_the_end_waits_until_the_threads_have_released_its_own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, released = [], []
    open_file = arrow_files._MeetingFile.__init__

    def opens(self: Any, meeting: threading.Barrier) -> None:
        open_file(self, meeting)
        opened.append(id(self))

    def releases(self: Any) -> None:
        time.sleep(0.05)
        released.append(id(self))

    monkeypatch.setattr(arrow_files._MeetingFile, "__init__", opens)
    monkeypatch.setattr(arrow_files._MeetingFile, "__del__", releases, raising=False)

    ArrowCalls().end()

    assert len(released) == len(opened) >= pa.io_thread_count()


def test_a_scan_after_the_end_is_an_error_and_not_an_empty_answer(store: HeldStore) -> None:
    calls = ArrowCalls()
    jobs = scan(store, calls)
    store.answer.set()
    assert jobs.count_rows() == 2 * FILES

    calls.end()

    with pytest.raises((pa.ArrowInvalid, OSError)):
        jobs.to_table()


def test_files_of_this_machine_are_read_without_python() -> None:
    assert isinstance(arrow_filesystem(LocalFileSystem()), pafs.LocalFileSystem)
