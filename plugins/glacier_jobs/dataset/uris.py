"""The URIs of datasets and files, checked before they are stored, logged or opened.

A URI names an Airflow connection, never its credentials. Whoever pastes credentials into it all the same must not find
them in a log or in Airflow's database. So no error shows the part before the ``@``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from glacier_jobs.arguments import TEMPLATE_MARKS, is_aws_key, shown
from glacier_jobs.errors import InvalidArgument

EXPECTED = "file:///absolute/path, s3://bucket/path, or s3://conn_id@bucket/path with the id of an Airflow connection"

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)")

# Airflow's own rule allows more characters: # : / \ have a meaning in URIs.
_CONNECTION_ID = re.compile(r"[\w.\-!()]{1,250}")

# s3://arn:aws:s3:us-east-1:123456789012:accesspoint/name/path: the one kind of authority with ":".
_S3_ARN = re.compile(r"arn:[a-z-]+:s3[a-z-]*:[a-z0-9-]*:[0-9]{12}:[a-z]+(?::[a-z0-9-]+)?")


def is_uri(value: object) -> bool:
    """Return whether a value is to be read as a URI; it may not be a valid one."""
    return isinstance(value, str) and "://" in value


def check_uri(uri: object, name: str) -> str:
    """Return the URI of a dataset or a file, checked.

    :param uri: ``file:///absolute/path``, ``s3://bucket/path``, or ``s3://conn_id@bucket/path`` with the id of an
        Airflow connection (letters, digits, ``_ . - ! ( )``). Other schemes have the forms of ``s3``. It contains no
        template mark, no other ``@`` in a form of ``s3``, and neither ``?`` nor ``#`` nor an unprintable character,
        which object storage may drop. Nothing is decoded: ``%20`` stays ``%20``.
    :param name: the name of the argument in error messages.
    :raises InvalidArgument: names what was found and what was expected, but never shows what may be a secret.
    """
    if not isinstance(uri, str):
        raise InvalidArgument(f"{name} is {shown(uri)}; expected {EXPECTED}")
    if fault := _fault(uri):
        raise InvalidArgument(f"{name} {fault}; expected {EXPECTED}")
    return uri


def check_literal_uri(value: object, name: str, check: Callable[[object, str], str] = check_uri) -> None:
    """Check an argument when a DAG is parsed, unless a template or an upstream task gives the URI only in a run.

    Airflow stores the arguments of a task before the task can check them.

    :param check: makes the check without any request.
    :raises InvalidArgument: as :func:`check_uri`.
    """
    if isinstance(value, str) and not any(mark in value for mark in TEMPLATE_MARKS):
        check(value, name)


def connection_of(uri: str) -> str | None:
    """Return the id of the Airflow connection in a checked URI; ``None`` if it names none."""
    _, _, rest = uri.partition("://")
    conn_id, found, _ = rest.partition("/")[0].partition("@")
    return conn_id if found else None


def _fault(uri: str) -> str | None:
    """Return what is wrong with a URI, in words that follow its name; ``None`` if nothing is."""
    if mark := next((mark for mark in TEMPLATE_MARKS if mark in uri), None):
        return f"contains {mark!r}, with which a template begins, and is not rendered"
    if not uri.isprintable():
        return "contains a control character or another character that cannot be printed"
    match = _URI.fullmatch(uri)
    if match is None:
        return f"is {shown(uri)}"
    rest = match["rest"]
    if "?" in rest or "#" in rest:
        return "contains '?' or '#', which a URI of a dataset or file may not contain"
    # A file URI has no host: file://data/x would be data/x below the working directory of each process.
    if match["scheme"].lower() == "file":
        return None if rest.startswith("/") else f"is {shown(uri)}"
    user, found, place = rest.partition("@")
    if not found:
        user, place = "", rest
    elif is_aws_key(user) or not _CONNECTION_ID.fullmatch(user):
        return (
            f"has a text of {len(user)} characters before '@' that is not the id of a connection "
            "(not shown: it may hold a secret); a path may not contain '@'"
        )
    if "@" in place:
        return "contains more than one '@'"
    authority = place.partition("/")[0]
    return None if authority and (":" not in authority or _S3_ARN.fullmatch(authority)) else f"is {shown(uri)}"
