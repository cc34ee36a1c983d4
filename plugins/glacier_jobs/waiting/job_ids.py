"""Which jobs are awaited: one id, several, an upstream task's XCom, or a URI of ids."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from io import BytesIO

from glacier_jobs.arguments import several
from glacier_jobs.errors import AccessDenied, InvalidArgument, ServiceUnavailable

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\r\n]+")
_ID = re.compile(r"[^\s,/]+")
_PARQUET_MAGIC = b"PAR1"


def is_single(value: object) -> bool:
    """Tell whether a sensor's ``job_id`` means one id, and not a list or file that may happen to hold one."""
    value = _unrendered(value)
    return isinstance(value, Mapping) or (isinstance(value, str) and not _URI.fullmatch(value.strip()))


def awaited_ids(value: object) -> tuple[str, ...]:
    """Return the ids that a sensor's ``job_id`` means, in their order, each once.

    :param value: an id; several, also lazily from XCom or rendered to text; what Initiate Job answers (``{"jobId"}``)
        in place of an id; or a URI of a text with an id a line, or of a Parquet file with a column ``job_id``.
    :raises InvalidArgument: names what was found and what was expected.
    :raises ConnectionNotFound: the URI names a connection that does not exist.
    :raises AccessDenied: the URI's file may not be read.
    :raises ServiceUnavailable: the URI's store gave no usable answer; the same call may succeed later.
    """
    value = _unrendered(value)
    if isinstance(value, str) and _URI.fullmatch(value.strip()):
        return _checked(_read(value.strip()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        value = [_plain(item) for item in value]
    return _checked(several(_plain(value), "job_id"))


def _unrendered(value: object) -> object:
    """Return what Jinja made text of; an id or a URI never begins with a bracket."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "(", "{")):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError) as error:
        raise InvalidArgument(f"job_id is {value[:200]!r}; expected one id, several, or a URI of ids") from error


def _plain(item: object) -> object:
    return item.get("jobId") if isinstance(item, Mapping) else item


def _checked(job_ids: Iterable[str]) -> tuple[str, ...]:
    checked = tuple(job_ids)
    for job_id in checked:
        if job_id == "None":
            raise InvalidArgument("job_id is 'None', which Jinja makes of nothing; is the upstream task upstream?")
        if not _ID.fullmatch(job_id):
            raise InvalidArgument(f"job_id holds {job_id[:200]!r}, which is no job's id; expected one id an entry")
    return checked


def _read(uri: str) -> list[str]:
    # Late, like pyarrow: DAG files import this module.
    from glacier_jobs.dataset.reader import unreadable_as_os_error
    from glacier_jobs.dataset.storage import open_path

    path = open_path(uri, "job_id")
    try:
        with unreadable_as_os_error(uri):
            content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidArgument(f"job_id is {uri!r}, which is no file") from error
    except PermissionError as error:
        raise AccessDenied(f"job_id is {uri!r}, which may not be read ({error})") from error
    except OSError as error:
        raise ServiceUnavailable(f"job_id is {uri!r}, which cannot be read now ({error}); try again later") from error
    if content.startswith(_PARQUET_MAGIC):
        return several(_parquet_column(content, uri), f"the column job_id of {uri}")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{uri} is neither Parquet nor UTF-8 text with an id a line") from error
    return several([line for line in lines if line.strip()], uri)


def _parquet_column(content: bytes, uri: str) -> list[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(BytesIO(content))
        if "job_id" not in file.schema_arrow.names:
            raise InvalidArgument(f"{uri} has the columns {', '.join(file.schema_arrow.names)}; expected one job_id")
        column: list[object] = file.read(columns=["job_id"])["job_id"].to_pylist()
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f"{uri} is not a readable Parquet file: {error}") from error
    return column
