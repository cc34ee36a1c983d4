"""Which jobs are awaited: one id, several, an upstream task's XCom, or a URI of ids."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from io import BytesIO

from glacier_jobs.arguments import several, shown, whole
from glacier_jobs.dataset.uris import is_uri
from glacier_jobs.errors import AccessDenied, InvalidArgument, ServiceUnavailable

_ID = re.compile(r"[^\s,/]+")
_PARQUET_MAGIC = b"PAR1"


def is_single(value: object) -> bool:
    """Tell whether a sensor's ``job_id`` is a single id, and not a list or file, which may contain one id only."""
    value = _unrendered(value)
    return isinstance(value, Mapping) or (isinstance(value, str) and not is_uri(value))


def awaited_ids(value: object) -> tuple[str, ...]:
    """Return the ids of a sensor's ``job_id`` in their order, each once.

    :param value: an id; several ids, also as a lazy sequence from XCom, which is read by one request, or rendered to
        text; the answer to Initiate Job (``{"jobId"}``) or a job's description (``{"JobId"}``) in place of an id; or
        the URI of a text with one id a line, or of a Parquet file with a column ``job_id``.
    :raises InvalidArgument: names what was found and what was expected.
    :raises ConnectionNotFound: the URI names a connection that does not exist.
    :raises AccessDenied: the URI's file may not be read.
    :raises CredentialsUnavailable: there are no credentials now to read the URI's file.
    :raises ServiceUnavailable: the URI's store gave no usable answer; the same call may succeed later.
    """
    value = _unrendered(value)
    if isinstance(value, str) and is_uri(value):
        return _checked(_read(value.strip()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        value = [_plain(item) for item in whole(value)]
    return _checked(several(_plain(value), "job_id"))


def _unrendered(value: object) -> object:
    """Return the value that Jinja rendered to text; an id or a URI never begins with a bracket."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "(", "{")):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        # Without the cause: a syntax error shows the text, which may hold a secret.
        raise InvalidArgument(f"job_id is {shown(value)}; expected one id, several ids, or a URI of ids") from None


def _plain(item: object) -> object:
    """Return the id in an answer to Initiate Job, or in a job's description."""
    return item.get("jobId", item.get("JobId")) if isinstance(item, Mapping) else item


def _checked(job_ids: Iterable[str]) -> tuple[str, ...]:
    checked = tuple(job_ids)
    for job_id in checked:
        if job_id == "None":
            raise InvalidArgument(
                "job_id is 'None', which Jinja renders for a missing value; expected an id. Check that the task that "
                "returns it runs upstream of this one"
            )
        if not _ID.fullmatch(job_id):
            raise InvalidArgument(f"job_id holds {shown(job_id)}, which is not a job id; expected one id in each entry")
    return checked


def _read(uri: str) -> list[str]:
    # Imported here, like pyarrow: DAG files import this module, and their parsing must be fast.
    from glacier_jobs.dataset.reader import unreadable_as_os_error
    from glacier_jobs.dataset.storage import denials_without_credentials, open_location

    filesystem, path = open_location(uri, "job_id")
    try:
        with denials_without_credentials(filesystem, uri, "job_id"), unreadable_as_os_error(uri):
            # Not path.read_bytes(), which without a connection uses another file system.
            content: bytes = filesystem.cat_file(path.path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidArgument(f"job_id is {uri!r}, which is not a file") from error
    except PermissionError as error:
        raise AccessDenied(f"job_id is {uri!r}, which may not be read ({error})") from error
    except OSError as error:
        raise ServiceUnavailable(f"job_id is {uri!r}, which cannot be read now ({error}); try again later") from error
    if content.startswith(_PARQUET_MAGIC):
        return several(_parquet_column(content, uri), f"the column job_id of {uri}")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{uri} is neither Parquet nor UTF-8 text with one id a line") from error
    return several([line for line in lines if line.strip()], uri)


def _parquet_column(content: bytes, uri: str) -> list[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(BytesIO(content))
        if "job_id" not in file.schema_arrow.names:
            raise InvalidArgument(
                f"{uri} has the columns {', '.join(file.schema_arrow.names)}; expected a column job_id"
            )
        column: list[object] = file.read(columns=["job_id"])["job_id"].to_pylist()
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f"{uri} is not a readable Parquet file: {error}") from error
    return column
