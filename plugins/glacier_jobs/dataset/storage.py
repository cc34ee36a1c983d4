"""Opens URIs through Airflow's object storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import ObjectStoragePath, Variable
from airflow.sdk.io import attach
from fsspec import AbstractFileSystem

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.compat import AirflowNotFoundException, BaseHook
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.uris import check_uri, connection_of
from glacier_jobs.errors import (
    ConnectionNotFound,
    CredentialsUnavailable,
    GlacierJobsError,
    InvalidArgument,
    ServiceUnavailable,
)


def open_dataset(uri: str, name: str = "dataset_uri") -> Dataset:
    """Open the dataset at a URI; it need not exist yet.

    Example::

        dataset = open_dataset("s3://aws_archive@my-bucket/glacier")
        jobs = dataset.scan("jobs").to_table()

    :param uri: ``file:///absolute/path``, ``s3://bucket/path``, or ``s3://conn_id@bucket/path`` with the Airflow
        connection of the bucket.
    :param name: the name of the argument in error messages.
    :raises InvalidArgument: the URI is not valid; the message names what was found and what was expected.
    :raises ConnectionNotFound: the connection does not exist.
    :raises ServiceUnavailable: what is needed to open the store, for example AWS's STS, gave no usable answer.
    :raises CredentialsUnavailable: the source of the store's credentials gave none.
    :raises AccessDenied: the store's credentials are not usable.
    """
    filesystem, path = open_location(uri, name)
    return Dataset(filesystem=filesystem, root=path.path.rstrip("/"))


def open_location(uri: str, name: str) -> tuple[AbstractFileSystem, ObjectStoragePath]:
    """Open the file system of a URI, with its credentials, and return it with the path; the path need not exist.

    URIs and errors are those of :func:`open_dataset`.
    """
    check_location(uri, name)
    store = attach(uri.partition("://")[0], connection_of(uri))
    try:
        with translated(f"open {name} {uri!r}"):
            # Before the path, whose constructor opens it too, and hides why that fails.
            filesystem = store.fs
    except GlacierJobsError:
        raise
    except ValueError as error:
        raise InvalidArgument(f"{name} is {uri!r}, which Airflow's object storage cannot open: {error}") from error
    except OSError as error:
        raise ServiceUnavailable(f"{name} is {uri!r}, which cannot be opened now ({error}); try again later") from error
    path = open_path(uri, name)
    if _is_anonymous(filesystem):
        # Airflow keeps it for as long as the process runs, also where the source of the credentials was only away.
        store.__dict__.pop("fs", None)
    return filesystem, path


@contextmanager
def denials_without_credentials(filesystem: AbstractFileSystem, uri: str, name: str) -> Iterator[None]:
    """Tell a denial of a request without credentials from the denial of credentials.

    Airflow uses S3 without credentials if there are none, which is right for a public bucket, and also if their source
    is away. The next :func:`open_location` searches for credentials again.

    :raises CredentialsUnavailable: the store denied a request without credentials.
    """
    try:
        yield
    except PermissionError as error:
        if not _is_anonymous(filesystem):
            raise
        raise CredentialsUnavailable(
            f"{name} is {uri!r}, which may not be used without credentials, and none were found ({error}); check the "
            "Airflow connection, or the source of the environment's credentials. If they are set up, try again later"
        ) from error


def _is_anonymous(filesystem: AbstractFileSystem) -> bool:
    return bool(getattr(filesystem, "anon", False))


def open_path(uri: str, name: str) -> ObjectStoragePath:
    """Open the path at a URI; the path need not exist.

    :param name: the name of the argument in error messages.

    URIs and errors are those of :func:`open_dataset`.
    """
    check_location(uri, name)
    try:
        path = ObjectStoragePath(uri)
    except ValueError as error:
        raise InvalidArgument(f"{name} is {uri!r}, which Airflow's object storage cannot open: {error}") from error
    return path


def check_location(uri: object, name: str) -> str:
    """Return a URI, checked, and with a connection that exists; nothing is opened.

    URIs and errors are those of :func:`open_dataset`. A task that stores a URI, for example as XCom, calls this first.
    """
    checked = check_uri(uri, name)
    conn_id = connection_of(checked)
    if conn_id is not None:
        try:
            BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            # Object storage would use other credentials without an error. Without the cause, which shows the text: a
            # secret that was pasted in place of an id can look like one.
            raise ConnectionNotFound(
                f"the Airflow connection in {name} does not exist: the text of {len(conn_id)} characters before '@' "
                "(not shown: it may hold a secret); create the connection, or use another"
            ) from None
    return checked


def configured_location(param: str | None, variable: str) -> str:
    """Return the URI of the dataset of a run, checked as :func:`check_location` does.

    :param param: the param ``dataset_uri`` of the run; it overrides the Variable.
    :param variable: the name of the Airflow Variable.
    :raises InvalidArgument: neither is set, or the URI is not valid.
    :raises ConnectionNotFound: the connection does not exist.
    """
    uri = param or Variable.get(variable, default=None)
    if not uri:
        raise InvalidArgument(f"no dataset: give the param dataset_uri, or set the Variable {variable}")
    return check_location(uri, "the param dataset_uri" if param else f"the Variable {variable}")
