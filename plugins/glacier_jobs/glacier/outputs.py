"""The output of a job, read as a stream: one answer of Get Job Output, or as many as it takes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import urllib3.exceptions
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.errors import (
    FinalError,
    InvalidArgument,
    JobFailed,
    JobNotFound,
    JobOutputExpired,
    JobOutputNotReady,
    MalformedAnswer,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)
from glacier_jobs.glacier.deadlines import BodyReads, pause
from glacier_jobs.glacier.expiry import KEPT_FOR
from glacier_jobs.glacier.pagination import JobDescription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glacier_jobs.glacier.client import GlacierCalls

#: How many bytes of a body must arrive within the deadline of an answer.
READ_BYTES: Final = 1024 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True)
class OutputRequest:
    """Which job's output is requested; ``describe`` returns the description of the job."""

    vault_name: str
    job_id: str
    account_id: str
    describe: Callable[[], JobDescription]

    def __str__(self) -> str:
        return f"Get Job Output of job {self.job_id} of vault {self.vault_name}"


class JobOutput(io.RawIOBase):
    """The body of one answer of Get Job Output, as a binary stream. Not safe to use from several threads at once.

    :ivar size_in_bytes: the size of this body.
    :ivar total_size_in_bytes: the size of the job's whole output.
    :ivar sha256_tree_hash: the tree hash of this body, 64 hexadecimal digits; ``None`` for the output of an inventory
        job, and for ranges that are not aligned for tree hashes.
    :ivar archive_description: the description of the archive; ``None`` if it has none.
    :ivar content_type: for example ``application/octet-stream`` or ``application/json``.
    """

    def __init__(
        self,
        *,
        action: str,
        body: Any,
        reads: BodyReads,
        read_seconds: float,
        size_in_bytes: int,
        total_size_in_bytes: int,
        sha256_tree_hash: str | None,
        archive_description: str | None,
        content_type: str | None,
    ) -> None:
        super().__init__()
        self._action = action
        self._body = body
        self._reads = reads
        self._read_seconds = read_seconds
        self._position = 0
        self.size_in_bytes = size_in_bytes
        self.total_size_in_bytes = total_size_in_bytes
        self.sha256_tree_hash = sha256_tree_hash
        self.archive_description = archive_description
        self.content_type = content_type

    def readable(self) -> bool:
        """Return true."""
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end of the body; with -1, all that is left.

        :raises ServiceUnavailable: the body was cut, or too slow.
        """
        wanted = self._wanted(size)
        first = self._read_some(wanted)
        if len(first) == wanted:
            return first
        parts = [first]
        while wanted := wanted - len(parts[-1]):
            parts.append(self._read_some(wanted))
        return b"".join(parts)

    def read_some(self, size: int) -> bytes:
        """Return at least 1 of the next ``size`` bytes, and at most 1 MiB; nothing only at the end of the body.

        :raises ServiceUnavailable: the body was cut, or too slow.
        """
        wanted = self._wanted(size)
        return self._read_some(wanted) if wanted else b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, and return how many bytes were read; fewer than it holds only at the end of the body."""
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the stream. If some of the body was not read, its connection is closed, too."""
        if not self.closed:
            self._body.close()
        super().close()

    def _wanted(self, size: int) -> int:
        if self.closed:
            raise ValueError(f"{self._action}: the stream is closed")
        rest = self.size_in_bytes - self._position
        return rest if size < 0 else min(size, rest)

    def _read_some(self, wanted: int) -> bytes:
        if not wanted:
            return b""
        with _readable(self._action), self._reads.within(self._read_seconds):
            content: bytes = self._body.read(min(wanted, READ_BYTES))
        if not content:
            raise ServiceUnavailable(
                f"{self._action}: the body ended after {self._position} of {self.size_in_bytes} bytes; try again"
            )
        self._position += len(content)
        return content


class ResumingJobOutput(io.RawIOBase):
    """The whole output of a job as a binary stream, requested again after dropped connections.

    Not safe to use from several threads at once.

    :ivar total_size_in_bytes: the size of the job's whole output.
    :ivar archive_description: the description of the archive; ``None`` if it has none.
    :ivar content_type: for example ``application/octet-stream`` or ``application/json``.
    :ivar sha256_tree_hash: the tree hash of the whole output; ``None`` if AWS gives none. It is not checked.
    """

    def __init__(self, calls: GlacierCalls, request: OutputRequest) -> None:
        super().__init__()
        self._calls = calls
        self._request = request
        self._position = 0
        self._open: JobOutput | None = requested_output(calls, request, None, None)
        self.total_size_in_bytes = self._open.total_size_in_bytes
        self.archive_description = self._open.archive_description
        self.content_type = self._open.content_type
        self.sha256_tree_hash = self._open.sha256_tree_hash

    def readable(self) -> bool:
        """Return true."""
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end of the output; with -1, all that is left.

        :raises TransientError: the connection was dropped again and again, without further bytes.
        :raises FinalError: the output can no longer be read, for example because it has expired.
        """
        if self.closed:
            raise ValueError(f"{self._request}: the stream is closed")
        rest = self.total_size_in_bytes - self._position
        wanted = rest if size < 0 else min(size, rest)
        parts = []
        while wanted:
            parts.append(self._read_some(wanted))
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, and return how many bytes were read; fewer than it holds only at the end of the output."""
        view = memoryview(buffer).cast("B")
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the stream. If some of the body was not read, its connection is closed, too."""
        self._drop()
        super().close()

    def _read_some(self, wanted: int) -> bytes:
        """Return some bytes; after a failure, request the rest of the output."""
        try:
            return self._attempt(wanted)
        except (Throttled, ServiceUnavailable) as error:
            failed = [error]

        def attempt() -> bytes:
            if failed:
                raise failed.pop()
            return self._attempt(wanted)

        policy = self._calls.retry_policy
        repeated = Retrying(
            retry=retry_if_exception_type((Throttled, ServiceUnavailable)),
            wait=wait_random_exponential(max=15),
            # The first failure counts as an attempt.
            stop=stop_after_attempt(policy.attempts),
            sleep=pause,
            before_sleep=self._log_retry,
            reraise=True,
        )
        return repeated(attempt)

    def _attempt(self, wanted: int) -> bytes:
        if self._open is None:
            self._open = self._reopened()
        try:
            content = self._open.read_some(wanted)
        except BaseException:
            self._drop()
            raise
        self._position += len(content)
        return content

    def _reopened(self) -> JobOutput:
        end = self.total_size_in_bytes - 1
        output = requested_output(self._calls, self._request, self._position, end)
        if output.total_size_in_bytes != self.total_size_in_bytes:
            output.close()
            raise MalformedAnswer(
                f"{self._request}: the output has {output.total_size_in_bytes} bytes now, and had "
                f"{self.total_size_in_bytes} when byte {self._position} was reached; read it from its beginning"
            )
        return output

    def _drop(self) -> None:
        output, self._open = getattr(self, "_open", None), None
        if output is not None:
            output.close()

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._calls.log.warning(
            "%s Continuing at byte %d of %d in %.0f s",
            error,
            self._position,
            self.total_size_in_bytes,
            state.upcoming_sleep,
        )


def requested_output(calls: GlacierCalls, request: OutputRequest, start: int | None, end: int | None) -> JobOutput:
    """Request the output of a job, or a range of it, and return its body as a stream.

    Arguments and errors are those of :meth:`glacier_jobs.glacier.hook.GlacierJobsHook.open_job_output`.
    """
    parameters = {"vaultName": request.vault_name, "jobId": request.job_id, "accountId": request.account_id}
    action = f"{request} in {calls.get_conn().meta.region_name}"
    if (span := _checked_range(start, end)) is not None:
        parameters["range"] = f"bytes={span[0]}-{span[1]}"
        action = f"{action}, bytes {span[0]} to {span[1]}"
    reads = BodyReads()

    def get(client: Any) -> dict[str, Any]:
        with reads.of_next_answer():
            answer: dict[str, Any] = client.get_job_output(**parameters)
        return answer

    try:
        answer = calls._call(action, get)
    except JobNotFound as error:
        raise _expired(request, error) from error
    except RequestRefused as error:
        raise _unavailable(action, request, error) from error
    body = answer["body"]
    try:
        size, total = _sizes(action, answer, span)
    except BaseException:
        body.close()
        raise
    return JobOutput(
        action=action,
        body=body,
        reads=reads,
        read_seconds=calls.retry_policy.answer_timeout_seconds,
        size_in_bytes=size,
        total_size_in_bytes=total,
        sha256_tree_hash=answer.get("checksum"),
        archive_description=answer.get("archiveDescription"),
        content_type=answer.get("contentType"),
    )


@contextmanager
def _readable(action: str) -> Iterator[None]:
    """Raise a failure to read a body as an error of this package."""
    with translated(action):
        try:
            yield
        except (OSError, urllib3.exceptions.HTTPError) as error:
            # botocore translates some of them only.
            raise ServiceUnavailable(f"{action}: the body could not be read ({error}); try again") from error


def _checked_range(start: object, end: object) -> tuple[int, int] | None:
    if start is None and end is None:
        return None
    if _is_position(start) and _is_position(end) and 0 <= start <= end:
        return start, end
    raise InvalidArgument(
        f"start is {start!r} and end is {end!r}; expected the numbers of the first and the last byte, from 0 on, or "
        "None for both"
    )


def _is_position(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _sizes(action: str, answer: dict[str, Any], span: tuple[int, int] | None) -> tuple[int, int]:
    """Return the sizes of an answer's body and of the whole output.

    :raises MalformedAnswer: the answer does not say them, or has another range than was requested.
    """
    length = str(answer["ResponseMetadata"]["HTTPHeaders"].get("content-length"))
    if not re.fullmatch(r"[0-9]+", length):
        raise MalformedAnswer(f"{action}: the answer's Content-Length is {length}; expected a number of bytes")
    size = int(length)
    if span is None:
        if answer["status"] != 200:
            raise MalformedAnswer(f"{action}: the answer has HTTP status {answer['status']}; expected 200")
        return size, size
    if answer["status"] == 200 and span[0] == 0 and span[1] >= size - 1:
        # The range is the whole output.
        return size, size
    content_range = answer.get("contentRange")
    found = _CONTENT_RANGE.fullmatch(content_range or "")
    if answer["status"] != 206 or found is None:
        raise MalformedAnswer(
            f"{action}: the answer has HTTP status {answer['status']} and Content-Range {content_range!r}; expected "
            "206 and the requested range. A proxy may remove the header Range"
        )
    first, last, total = (int(number) for number in found.groups())
    if first != span[0] or last != min(span[1], total - 1) or size != last - first + 1:
        raise MalformedAnswer(
            f"{action}: the answer has Content-Range {content_range!r} and {size} bytes; expected the requested range"
        )
    return size, total


def _expired(request: OutputRequest, error: JobNotFound) -> JobOutputExpired:
    return JobOutputExpired(
        f"{error}. The job, and its output, have expired, or there was no such job. Initiate a new job, wait for it, "
        f"and read its output within {KEPT_FOR.total_seconds() / 3600:.0f} hours after its completion"
    )


def _unavailable(action: str, request: OutputRequest, error: RequestRefused) -> Exception:
    """Return the error that says why there is no output, with the description of the job."""
    if not _is_invalid_parameter(error):
        return error
    try:
        job = request.describe()
    except JobNotFound as gone:
        return _expired(request, gone)
    except FinalError:
        # For example: the credentials may get the output, but not describe the job.
        return error
    try:
        check_has_output(job, action)
    except FinalError as reason:
        return reason
    if "not currently available" in str(error):
        return ServiceUnavailable(
            f"{action}: the job has the status {job.get('StatusCode')}, but AWS does not return its output yet "
            f"({error}); try again later"
        )
    return error


def check_has_output(job: JobDescription, action: str) -> None:
    """Check by the description of a job that Get Job Output can return its output.

    :param action: the beginning of the messages.
    :raises RequestRefused: it is a select job, whose output is on S3.
    :raises JobFailed: the job failed.
    :raises JobOutputNotReady: the job is in progress.
    """
    named = f"{action}: the job has the status {job.get('StatusCode')}"
    if job.get("Action") == "Select":
        location = job.get("JobOutputPath") or job.get("OutputLocation")
        raise RequestRefused(
            f"{action}: it is a select job, whose output is on S3 ({location}), and not returned by Get Job Output"
        )
    if job.get("StatusCode") == "Failed":
        raise JobFailed(
            f"{named} ({job.get('StatusMessage') or 'AWS gives no reason'}), and so no output; initiate a new job"
        )
    if job.get("StatusCode") == "InProgress":
        raise JobOutputNotReady(
            f"{named}: it has no output yet. Wait for the job first, with GlacierJobSensor or with "
            "GlacierInitiateJobOperator(wait_for_completion=True)"
        )


def _is_invalid_parameter(error: RequestRefused) -> bool:
    answer: dict[str, Any] = getattr(error.__cause__, "response", {})
    return bool(answer.get("Error", {}).get("Code") == "InvalidParameterValueException")
