"""The URIs of files and objects in which outputs are stored, checked without any request; light, for DAG files."""

from __future__ import annotations

from typing import Final

from glacier_jobs.dataset.uris import check_uri, connection_of
from glacier_jobs.errors import InvalidArgument

_LONGEST_KEY_BYTES: Final = 1024


def check_destination_uri(uri: object, name: str) -> str:
    """Return the URI of a destination, checked; whether its connection exists is not.

    :param uri: ``file:///absolute/path/of/the/file``, ``s3://bucket/key`` or ``s3://conn_id@bucket/key``.
    :param name: the name of the argument in error messages.
    :raises InvalidArgument: names what was found and what was expected, but never shows what may be a secret.
    """
    checked = check_uri(uri, name)
    scheme, _, path = checked.partition("://")
    if path.endswith("/"):
        raise InvalidArgument(f"{name} ends with '/'; expected the URI of a file, not of a folder")
    if dots := next((each for each in path.split("/") if each in (".", "..")), None):
        raise InvalidArgument(f"{name} contains {dots!r} as a folder, which a destination may not contain")
    if scheme.lower() == "file":
        return checked
    if scheme.lower() != "s3":
        raise InvalidArgument(f"{name} has the scheme {scheme!r}; expected file:// or s3://")
    _, key = bucket_and_key(checked)
    if not key or len(key.encode()) > _LONGEST_KEY_BYTES:
        raise InvalidArgument(f"{name} has no key, or one of more than {_LONGEST_KEY_BYTES} bytes")
    return checked


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Return the bucket, or the ARN of an access point, and the key of a checked URI of S3."""
    _, _, place = uri.partition("://")
    if connection_of(uri) is not None:
        _, _, place = place.partition("@")
    bucket, _, key = place.partition("/")
    if bucket.startswith("arn:") and bucket.endswith(":accesspoint"):
        access_point, _, key = key.partition("/")
        bucket = f"{bucket}/{access_point}"
    return bucket, key
