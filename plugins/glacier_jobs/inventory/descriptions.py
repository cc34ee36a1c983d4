"""The names of files in the descriptions of archives, which programs for backups write in formats of their own.

A name is what somebody wrote. It is a text for a column, and never used as a path here.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import json
import re
from datetime import datetime, timezone
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from glacier_jobs.glacier.values import encodable


class DescribedFiles(NamedTuple):
    """The files that descriptions name, one value a description.

    The path as the program stored it, the modification time in UTC, and the format: ``fastglacier``, ``cloudberry``,
    ``mt-aws-glacier``, ``windows-path`` or ``unix-path``. All are null where no format fits.
    """

    paths: pa.Array
    modified_at: pa.Array
    formats: pa.Array


def described_files(descriptions: pa.Array) -> DescribedFiles:
    """Return the files that descriptions name, each by the first format that fits.

    Example::

        described_files(pa.array(["photos/2019/a.jpg", "yes/no"])).paths  # "photos/2019/a.jpg", null

    :param descriptions: texts, some of which may be null.
    """
    is_windows = pc.match_substring_regex(descriptions, _WINDOWS)
    is_path = pc.or_(is_windows, pc.match_substring_regex(descriptions, _UNIX))
    nothing = pa.scalar(None, pa.string())
    paths = pc.if_else(is_path, descriptions, nothing)
    formats = pc.if_else(is_path, pc.if_else(is_windows, "windows-path", "unix-path"), nothing)
    modified_at = pa.nulls(len(descriptions), pa.timestamp("us", tz="UTC"))
    parsed = [
        (row, found)
        for row in pc.indices_nonzero(pc.match_substring_regex(descriptions, _STRUCTURED)).to_pylist()
        if (found := _parsed(descriptions[row].as_py())) is not None
    ]
    if not parsed:
        return DescribedFiles(paths, modified_at, formats)
    mask = np.zeros(len(descriptions), bool)
    mask[[row for row, _ in parsed]] = True
    replaced = [
        pc.replace_with_mask(column, mask, pa.array(values, column.type))
        for column, values in zip(
            (paths, modified_at, formats), zip(*(found for _, found in parsed), strict=True), strict=True
        )
    ]
    return DescribedFiles(*replaced)


# RE2's patterns, for many texts at once. Its time grows with the length of a text only.

#: A path from a drive or a server, or one of folders to a file with an extension.
_WINDOWS = (
    r"\A(?:(?:[A-Za-z]:[\\/]|\\\\[^\\/\s]+\\)[^\x00-\x1f<>\"|?*]+"
    r"|[^\x00-\x1f<>:\"|?*/]+\\[^\x00-\x1f<>:\"|?*/\\]+\.\w{1,10})\z"
)

#: A path from the root, the home or the working folder, or one of folders to a file with an extension. A text such as
#: "yes/no" is none, and a name without a folder neither.
_UNIX = (
    r"\A(?:(?:~|\.\.?)?/[^\x00-\x1f]*[^\x00-\x1f/]"
    r"|[^\x00-\x1f/\s](?:[^\x00-\x1f/]*[^\x00-\x1f/\s])?(?:/[^\x00-\x1f/]+)*/[^\x00-\x1f/]+\.\w{1,10})\z"
)

#: The beginning of the other formats. Some programs put quotes around them.
_STRUCTURED = r"\A[ \t\r\n\"]*(?:<|\{|mt[12] )"
_AROUND = ' \t\r\n"'

#: A path, a modification time, and a format's name.
_DescribedFile: TypeAlias = tuple[str, datetime | None, str]


def _parsed(description: str) -> _DescribedFile | None:
    text = description.strip(_AROUND)
    parse = {"<": _fast_glacier, "{": _cloud_berry, "m": _mt_aws_glacier}[text[0]]
    found = parse(text)
    if found is None or not found[0].strip():
        return None
    path, modified_at, name = found
    return encodable(path), modified_at, name


_FAST_GLACIER = re.compile(r"<m>\s*<v>\s*\d+\s*</v>\s*<p>([^<]*)</p>(?:\s*<lm>([^<]*)</lm>)?.*</m>", re.DOTALL)
_FAST_GLACIER_1 = re.compile(
    r"<ArchiveMetadata>.*?<Path>([^<]*)</Path>(?:.*?<Last\w*>([^<]*)</Last\w*>)?.*</ArchiveMetadata>", re.DOTALL
)


def _fast_glacier(description: str) -> _DescribedFile | None:
    """Parse FastGlacier's XML. Versions 1 to 4 differ in elements that are not used here.

    Source: https://fastglacier.com/fastglacier-metadata-format.aspx
    """
    found = _FAST_GLACIER.match(description) or _FAST_GLACIER_1.match(description)
    if found is None or not (stored := found[1].strip()):
        return None
    try:
        path = base64.b64decode(stored.encode("ascii"), validate=True).decode()
    except ValueError:
        # Some programs that imitate the format store the path itself.
        path = html.unescape(stored)
    return path, _moment(found[2]), "fastglacier"


def _cloud_berry(description: str) -> _DescribedFile | None:
    """Parse CloudBerry's JSON, whose path is in UTF-7.

    Source: an answer of CloudBerry's developers on Stack Overflow
    """
    fields = _fields(description)
    path = fields.get("Path")
    if not isinstance(path, str):
        return None
    # Not all versions encode it.
    with contextlib.suppress(UnicodeError):
        path = path.encode("ascii").decode("utf-7")
    return path, _moment(fields.get("UTCDateModified")), "cloudberry"


def _mt_aws_glacier(description: str) -> _DescribedFile | None:
    """Parse mt-aws-glacier's JSON in Base64. Version 1 encodes the JSON as UTF-8 twice.

    Source: https://metacpan.org/dist/App-MtAws, App::MtAws::MetaData
    """
    version, _, encoded = description.partition(" ")
    try:
        stored = encoded.strip().encode("ascii")
        text = base64.b64decode(stored + b"=" * (-len(stored) % 4), altchars=b"-_", validate=True).decode()
        fields = _fields(text.encode("latin-1").decode() if version == "mt1" else text)
    except (binascii.Error, UnicodeError):
        return None
    path = fields.get("filename")
    return (path, _moment(fields.get("mtime")), "mt-aws-glacier") if isinstance(path, str) else None


def _fields(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


_MOMENT = re.compile(r"\s*(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)(?:\.\d+)?Z\s*", re.ASCII)


def _moment(text: object) -> datetime | None:
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        return datetime(*map(int, found.groups()), tzinfo=timezone.utc)  # type: ignore[arg-type,misc]  # six numbers
    except ValueError:
        return None
