"""Writes what became of each awaited job to a Parquet file."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from glacier_jobs.errors import AccessDenied, InvalidArgument, ServiceUnavailable

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from glacier_jobs.dataset.publisher import Publisher
    from glacier_jobs.waiting.state import Wait

_NAME = "outcome_uri"


def check_outcome_uri(uri: str) -> None:
    """Check a URI before a wait begins, which takes hours: the store is opened, but not written to.

    To open a store can take requests for its credentials, for example to AWS's STS.

    :raises InvalidArgument: the URI is not valid, or names a folder.
    :raises ConnectionNotFound: the connection does not exist.
    :raises AccessDenied: the credentials are not usable.
    :raises CredentialsUnavailable: the source of the credentials gave none.
    :raises ServiceUnavailable: the store cannot be opened now.
    :raises StoreNotSuitable: the store cannot create an object atomically.
    """
    _opened(uri)


def write_outcomes(uri: str, vault_name: str, wait: Wait) -> None:
    """Write one row for each awaited job, as a whole or not at all; a file that exists is replaced.

    The columns are texts: ``vault_name``, ``job_id``, ``outcome`` (``succeeded``, ``failed``, ``missing`` or
    ``pending``) and ``status_message`` (Glacier's, of a job that failed; otherwise null).

    Example::

        write_outcomes("s3://aws_archive@my-bucket/outcomes/today.parquet", "photos", wait)

    :param uri: ``file:///absolute/path``, ``s3://bucket/path`` or ``s3://conn_id@bucket/path`` of the file.
    :raises AccessDenied: the file may not be written.
    :raises CredentialsUnavailable: the file may not be written without credentials, and there are none now.
    :raises ServiceUnavailable: the store gave no usable answer; a later try may succeed.

    Other errors are those of :func:`check_outcome_uri`.
    """
    # Imported here, like the publisher: DAG files import this module, and their parsing must be fast.
    import pyarrow as pa
    import pyarrow.parquet as pq

    from glacier_jobs.dataset.storage import denials_without_credentials
    from glacier_jobs.glacier.values import encodable

    publisher, filesystem, path = _opened(uri)
    job_ids = list(wait.verdicts)
    table = pa.table(
        {
            "vault_name": pa.array([vault_name] * len(job_ids), pa.string()),
            "job_id": pa.array(job_ids, pa.string()),
            "outcome": pa.array([verdict.value for verdict in wait.verdicts.values()], pa.string()),
            "status_message": pa.array(
                [encodable(wait.messages[job_id]) if job_id in wait.messages else None for job_id in job_ids],
                pa.string(),
            ),
        }
    )
    try:
        folder = publisher.stage(f"outcomes-{secrets.token_hex(8)}", only_replaces=True)
        try:
            staged = folder / "outcomes.part"
            pq.write_table(table, staged, compression="zstd")
            with denials_without_credentials(filesystem, uri, _NAME):
                publisher.replace(staged, path)
        finally:
            publisher.discard(folder)
    except PermissionError as error:
        raise AccessDenied(f"{_NAME} is {uri!r}, which may not be written ({error})") from error
    except (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidArgument(f"{_NAME} is {uri!r}, which names no place for a file ({error})") from error
    except OSError as error:
        raise ServiceUnavailable(f"{_NAME} is {uri!r}, which cannot be written now ({error})") from error


def _opened(uri: str) -> tuple[Publisher, AbstractFileSystem, str]:
    """Return the publisher for the URI's folder, its file system, and the path of the file there."""
    from glacier_jobs.dataset.publisher import publisher_for
    from glacier_jobs.dataset.storage import open_location

    filesystem, path = open_location(uri, _NAME)
    if path.path.endswith("/") or uri.endswith("/"):
        raise InvalidArgument(f"{_NAME} is {uri!r}; expected the URI of a file, not of a folder")
    return publisher_for(filesystem, path.parent.path), filesystem, path.path
