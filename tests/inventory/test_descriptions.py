"""The names of files in descriptions, in each format that a program for backups writes."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.inventory.descriptions import described_files
from tests.inventory.documents import HOSTILE

NOON = datetime(2012, 8, 21, 12, 8, 24, tzinfo=timezone.utc)
FILES = ["photos/ä b.jpg", "../../etc/passwd", 'a"b<c>&.txt', "C:\\dir\\x", "日本/語.txt"]


def found(description: str | None) -> tuple[Any, Any, Any]:
    """Return path, time and format of one description."""
    path, modified_at, name = (each[0].as_py() for each in described_files(pa.array([description], pa.string())))
    return path, modified_at, name


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    "form",
    [
        "<m><v>4</v><p>{}</p><lm>20120821T120824Z</lm><ce>1:1:4340ebcf:54687</ce></m>",
        "<m><v>3</v><p>{}</p><lm>20120821T120824Z</lm><ce>0:0:4340ebcf</ce></m>",
        "<m><v>2</v><p>{}</p><lm>20120821T120824Z</lm></m>",
        '"  <m>\n <v>2</v>\n <p> {} </p>\n <lm> 20120821T120824Z </lm>\n</m>"',
    ],
)
def test_fastglaciers_names_are_in_base64(form: str, path: str) -> None:
    assert found(form.format(base64_of(path))) == (path, NOON, "fastglacier")


def test_version_1_of_fastglaciers_format_has_other_elements() -> None:
    description = f"<ArchiveMetadata>  <Path> {base64_of('RENDER/B:/one')}  </Path></ArchiveMetadata>"

    assert found(description) == ("RENDER/B:/one", None, "fastglacier")


def test_a_name_in_fastglaciers_format_may_be_plain() -> None:
    assert found("<m><v>4</v><p>photos/a &amp; b.jpg</p><lm></lm></m>") == ("photos/a & b.jpg", None, "fastglacier")


@pytest.mark.parametrize("path", FILES)
def test_cloudberrys_names_are_in_utf_7(path: str) -> None:
    stored = path.encode("utf-7").decode("ascii")

    description = json.dumps({"Path": stored, "UTCDateModified": "20120821T120824Z", "Flags": 1})

    assert found(description) == (path, NOON, "cloudberry")


@pytest.mark.parametrize("path", ["CB+F8-M5/B:/c01.dpx", "日本/語.txt"])
def test_a_name_that_is_not_in_utf_7_is_kept(path: str) -> None:
    assert found(json.dumps({"Path": path}, ensure_ascii=False)) == (path, None, "cloudberry")


@pytest.mark.parametrize("path", FILES)
def test_mt_aws_glaciers_names_are_in_base64url_and_in_its_first_version_encoded_twice(path: str) -> None:
    content = json.dumps({"filename": path, "mtime": "20120821T120824Z"}, ensure_ascii=False).encode()

    assert found(f"mt2 {base64url(content)}") == (path, NOON, "mt-aws-glacier")
    assert found(f"mt1 {base64url(content.decode('latin-1').encode())}") == (path, NOON, "mt-aws-glacier")


@pytest.mark.parametrize("path", [r"C:\dir\a,b", r"C:\\dir\\x.txt", r"\\server\share\x", r"dir\f.txt", "C:/dir/x"])
def test_windows_paths_are_kept_as_they_are(path: str) -> None:
    assert found(path) == (path, None, "windows-path")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "~/a", "./a", "2019/IMG_1.jpg", "a b/c d.tar.gz", "/one", "x: y/z.q"]
)
def test_unix_paths_are_kept_as_they_are(path: str) -> None:
    assert found(path) == (path, None, "unix-path")


@pytest.mark.parametrize(
    "description",
    [
        None, "", " ", "yes/no", "holiday.jpg", "http://example.org/a.html", "a\x00/b.txt", "/a\nb", "C:", "/", "<m>",
        "<m><v>4</v><p></p><lm>20120821T120824Z</lm></m>", "{}", '{"Path": 7}', '{"Path": " "}', "{" * 1024,
        "mt2 %%%", "mt2 bnVsbA", "mt1 gA", "mt2 eyJmaWxlbmFtZSI6IiJ9", "mt3 eyJmaWxlbmFtZSI6ImEifQ",
    ],
)  # fmt: skip
def test_any_other_description_names_no_file(description: str | None) -> None:
    assert found(description) == (None, None, None)


@pytest.mark.parametrize("moment", ["20121321T120824Z", "20120821T120824", "soon", "00000101T000000Z"])
def test_a_time_that_is_none_is_null(moment: str) -> None:
    assert found(f"<m><v>4</v><p>{base64_of('a')}</p><lm>{moment}</lm></m>") == ("a", None, "fastglacier")


def test_a_lone_surrogate_in_a_name_is_kept_as_its_escape() -> None:
    content = rb'{"filename": "a\ud800"}'

    assert found(f"mt2 {base64url(content)}")[0] == "a\\ud800"


@given(
    st.lists(
        st.none()
        | st.text(st.characters(codec="utf-8"), max_size=30)
        | st.sampled_from([each for each in HOSTILE if each != "\ud800"])
        | st.sampled_from(["<m>", "{", "mt2 ", '"<', "<m><v>4</v><p>", "{}"]).map(lambda begin: begin * 40),
        max_size=8,
    )
)
def test_descriptions_are_judged_alone_whatever_is_beside_them(descriptions: list[str | None]) -> None:
    together = zip(*(each.to_pylist() for each in described_files(pa.array(descriptions, pa.string()))), strict=True)

    assert list(together) == [found(each) for each in descriptions]
