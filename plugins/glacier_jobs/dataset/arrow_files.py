"""The file systems that Arrow's threads read a dataset with.

Arrow reads ahead in threads of its own, which call Python for the bytes of an object store. They continue when the
caller has all rows that it wants, for example after ``LIMIT 1``. A call that is running or begins while Python ends
aborts the process. So no further bytes are read once Python begins to end, and Python waits until Arrow has stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import threading
import time
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

#: How long Python waits for a thread of Arrow before it ends regardless: for a request that an object store has not
#: answered by then.
_LONGEST_WAIT_SECONDS = 60


#: Returns the content of a file that does not exist any more, or raises :class:`FileNotFoundError`.
Substitute: TypeAlias = Callable[[str], bytes]


def arrow_filesystem(
    filesystem: AbstractFileSystem, calls: ArrowCalls | None = None, *, substitute: Substitute | None = None
) -> pafs.FileSystem:
    """Return the file system for :mod:`pyarrow.dataset`, which no thread of Arrow calls after Python has ended.

    :param filesystem: of this machine's disk, which Arrow reads without Python, or of an object store.
    :param calls: when to end the scans; ``None`` for when Python ends.
    :param substitute: for files that an object store does not have any more.
    """
    if isinstance(filesystem, LocalFileSystem):
        return pafs.LocalFileSystem()
    return pafs.PyFileSystem(_Handler(filesystem, calls or _calls_until_exit(), substitute))


class ArrowCalls:
    """Counts the calls of Arrow's threads, until Python ends."""

    def __init__(self) -> None:
        self.ended = False
        self.count = 0

    def end(self) -> None:
        """Let all scans end, and return when no thread of Arrow makes or will make a call for them."""
        self.ended = True
        count = -1
        while count != self.count:
            count = self.count
            _wait_for_cpu_threads()
            _wait_for_io_threads()
        _wait_for_cpu_threads()


@cache
def _calls_until_exit() -> ArrowCalls:
    calls = ArrowCalls()
    atexit.register(calls.end)
    return calls


class _Handler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Opens files that are empty from the end of Python on.

    They raise no exception then: Arrow frees exceptions later, which is a call to Python too.
    """

    def __init__(self, filesystem: AbstractFileSystem, calls: ArrowCalls, substitute: Substitute | None) -> None:
        super().__init__(filesystem)
        self._calls = calls
        self._substitute = substitute
        self._read: set[str] = set()

    def open_input_file(self, path: str) -> pa.PythonFile:
        self._calls.count += 1
        file = io.BytesIO() if self._calls.ended else self._opened(path)
        return pa.PythonFile(_File(file, self._calls), mode="r")

    def _opened(self, path: str) -> Any:
        try:
            file = self.fs.open(path, "rb")
        except FileNotFoundError as error:
            if path in self._read:
                # Arrow keeps what it knows of a file, which is not true of another file with the same rows.
                raise FileNotFoundError(f"{path} was compacted after this scan read it; call scan again") from error
            if self._substitute is None:
                raise
            return io.BytesIO(self._substitute(path))
        self._read.add(path)
        return file


class _File:
    """The methods of a file that Arrow calls."""

    def __init__(self, file: Any, calls: ArrowCalls) -> None:
        self._file = file
        self._calls = calls

    def read(self, size: int = -1) -> bytes:
        self._calls.count += 1
        data: bytes = b"" if self._calls.ended else self._file.read(size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


# Arrow has no function that waits for its threads. So each thread of a pool gets a task, and no task ends before all
# have begun: then each thread has finished all tasks that the pool was given before.


def _wait_for_io_threads() -> None:
    used = _meet_in_io_threads()
    # The threads release these objects after the scan has returned, which is a call to Python like any other.
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while any(reference() is not None for reference in used) and time.monotonic() < deadline:
        time.sleep(0.001)


def _meet_in_io_threads() -> list[weakref.ref[Any]]:
    """Return references to the objects that the threads hold, or have held."""
    threads = pa.io_thread_count()
    meeting = threading.Barrier(threads, timeout=_LONGEST_WAIT_SECONDS)
    used: list[weakref.ref[Any]] = []

    class Handler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
        def open_input_file(self, path: str) -> pa.PythonFile:
            file = _MeetingFile(meeting)
            used.append(weakref.ref(file))
            return pa.PythonFile(file, mode="r")

    handler = Handler(None)
    used.append(weakref.ref(handler))
    files = pads.FileSystemDataset.from_paths(
        [str(number) for number in range(threads)],
        schema=pa.schema([]),
        format=pads.ParquetFileFormat(),
        filesystem=pafs.PyFileSystem(handler),
    )
    # The files are not Parquet.
    with contextlib.suppress(pa.ArrowInvalid):
        files.scanner(fragment_readahead=threads, use_threads=False).to_table()
    return used


class _MeetingFile:
    """A file whose first read waits for those of other files."""

    closed = False

    def __init__(self, meeting: threading.Barrier) -> None:
        self._meeting = meeting

    def seek(self, position: int, whence: int = 0) -> int:
        return position

    def tell(self) -> int:
        return 1024

    def read(self, size: int = -1) -> bytes:
        self._meeting.wait()
        return bytes(size)

    def close(self) -> None:
        pass


def _wait_for_cpu_threads() -> None:
    threads = pa.cpu_count()
    meeting = threading.Barrier(threads, timeout=_LONGEST_WAIT_SECONDS)

    def attend(context: Any, numbers: pa.Array) -> pa.Array:
        meeting.wait()
        return numbers

    name = f"glacier_jobs_meeting_{id(meeting)}"
    pc.register_scalar_function(attend, name, {"summary": "", "description": ""}, {"number": pa.int64()}, pa.int64())
    numbers = pa.table({"number": list(range(threads))})
    batches = pads.InMemoryDataset(numbers.to_batches(max_chunksize=1))
    attended = pc.Expression._call(name, [pc.field("number")])
    batches.scanner(columns={"number": attended}, batch_readahead=threads, batch_size=1, use_threads=True).to_table()
