"""Which target a URI means."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.config import Config

from glacier_jobs.aws_errors.error_mapping import translated
from glacier_jobs.dataset.storage import check_location
from glacier_jobs.dataset.uris import connection_of
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.glacier.deadlines import limit_answers
from glacier_jobs.retrieval.destination_uris import bucket_and_key, check_destination_uri
from glacier_jobs.retrieval.local_target import LocalTarget
from glacier_jobs.retrieval.s3_target import ObjectOptions, S3Target
from glacier_jobs.retrieval.targets import Target

_ATTEMPTS: Final = 8


def open_target(
    uri: str, *, dest_aws_conn_id: str | None, options: ObjectOptions, max_requests: int, name: str = "destination_uri"
) -> Target:
    """Return the target at a URI.

    :param uri: ``file:///absolute/path/of/the/file``, ``s3://bucket/key`` or ``s3://conn_id@bucket/key``.
    :param dest_aws_conn_id: the Airflow connection of the bucket, if the URI names none; with neither, ``aws_default``.
    :param max_requests: the maximum number of concurrent requests to S3.
    :param name: the name of the argument in error messages.
    :raises InvalidArgument: the URI is not valid, or names another connection than ``dest_aws_conn_id``; or options for
        S3 are given with another URI.
    :raises ConnectionNotFound: the connection does not exist.
    """
    check_destination(uri, name)
    scheme, _, path = uri.partition("://")
    if scheme.lower() == "file":
        given = {"dest_aws_conn_id": dest_aws_conn_id, **vars(options)}
        if names := [each for each, value in given.items() if value is not None]:
            raise InvalidArgument(f"{name} is {uri!r}; expected an S3 URI, because {', '.join(names)} are given")
        return LocalTarget(Path(path))
    bucket, key = bucket_and_key(uri)
    conn_id = connection_of(uri)
    if dest_aws_conn_id is not None:
        if conn_id not in (None, dest_aws_conn_id):
            raise InvalidArgument(
                f"{name} names another Airflow connection than dest_aws_conn_id, {dest_aws_conn_id!r}; give one of them"
            )
        check_location(f"s3://{dest_aws_conn_id}@{bucket}/{key}", "dest_aws_conn_id")
        conn_id = dest_aws_conn_id
    return S3Target(_client(conn_id, max_requests), bucket=bucket, key=key, uri=f"s3://{bucket}/{key}", options=options)


def check_destination(uri: object, name: str) -> str:
    """Return the URI of a destination, checked, and with a connection that exists; nothing is opened.

    Example::

        check_destination("s3://aws_archive@my-bucket/photos/2015.tar", "destination_uri")

    Arguments and errors are those of :func:`open_target`.
    """
    check_destination_uri(uri, name)
    return check_location(uri, name)


def _client(conn_id: str | None, max_requests: int) -> Any:
    defaults = Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}, max_pool_connections=max_requests)
    # With the id, and not with None, which would ignore a default connection that exists.
    conn_id = conn_id or S3Hook.default_conn_name
    with translated("build a client for Amazon S3"):
        config = defaults.merge(S3Hook(aws_conn_id=conn_id).config)
        client: Any = S3Hook(aws_conn_id=conn_id, config=config).get_conn()
    # After an error, the uploads of other parts end at once.
    limit_answers(client)
    return client
