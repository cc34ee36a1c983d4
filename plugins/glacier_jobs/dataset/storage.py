"""Opens URIs through Airflow's object storage."""

from __future__ import annotations

from airflow.sdk import BaseHook, ObjectStoragePath, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.uris import check_uri, connection_of
from glacier_jobs.errors import ConnectionNotFound, InvalidArgument


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
    """
    path = open_path(uri, name)
    return Dataset(filesystem=path.fs, root=path.path.rstrip("/"))


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
