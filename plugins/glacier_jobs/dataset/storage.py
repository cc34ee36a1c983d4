"""Opens URIs through Airflow's object storage."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from airflow.sdk import BaseHook, ObjectStoragePath
from airflow.sdk.exceptions import AirflowNotFoundException

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import ConnectionNotFound, InvalidArgument

_EXPECTED = "file:///absolute/path, s3://bucket/path, or s3://conn_id@bucket/path with the id of an Airflow connection"

#: Matches ``login:password@``, which the expected URIs do not contain.
_CREDENTIALS = re.compile(r":(?!//)[^@]*@")


def open_dataset(uri: str) -> Dataset:
    """Open the dataset at a URI; it need not exist yet.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        jobs = dataset.scan("jobs").to_table()

    :param uri: ``file:///absolute/path``, ``s3://bucket/path``, or ``s3://conn_id@bucket/path`` with the Airflow
        connection of the bucket.
    :raises InvalidArgument: the URI is not valid; the message names what was found and what was expected.
    :raises ConnectionNotFound: the connection does not exist.
    """
    path = open_path(uri, "dataset_uri")
    return Dataset(filesystem=path.fs, root=path.path.rstrip("/"))


def open_path(uri: str, name: str) -> ObjectStoragePath:
    """Open the path at a URI; the path need not exist.

    :param name: the name of the argument in error messages.

    URIs and errors are those of :func:`open_dataset`.
    """
    parts = urlsplit(uri) if isinstance(uri, str) else None
    # A file URI has no host: file://data/x would be data/x below the working directory of each process.
    if parts is None or not parts.scheme or bool(parts.netloc) is (parts.scheme == "file") or not _is_rooted(parts):
        raise InvalidArgument(f"{name} is {_shown(uri)}; expected {_EXPECTED}")
    if parts.password is not None:
        raise InvalidArgument(f"{name} holds a login and a password, which are not shown; expected {_EXPECTED}")
    if parts.username:
        _refuse_missing_connection(parts.username, uri)
    try:
        path = ObjectStoragePath(uri)
    except ValueError as error:
        raise InvalidArgument(f"{name} is {uri!r}, which Airflow's object storage cannot open: {error}") from error
    return path


def _is_rooted(parts: SplitResult) -> bool:
    return parts.path.startswith("/") or (parts.scheme != "file" and not parts.path)


def _shown(uri: object) -> str:
    text = repr(uri)
    return f"a text of {len(text)} characters (not shown: it may hold a secret)" if _CREDENTIALS.search(text) else text


def _refuse_missing_connection(conn_id: str, uri: str) -> None:
    """Refuse a connection that does not exist: object storage would use other credentials without an error."""
    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        raise ConnectionNotFound(
            f"the Airflow connection {conn_id!r} of {uri} does not exist; create it, or use another"
        ) from error
