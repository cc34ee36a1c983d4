"""Inventories are read piece by piece: the same archives as a whole document holds, or an error."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.errors import GlacierJobsError, MalformedAnswer, ServiceUnavailable
from glacier_jobs.inventory import reader
from glacier_jobs.inventory.reader import InventoryReader
from tests.examples import examples
from tests.inventory.documents import HOSTILE, PHOTOS, TAKEN_AT, Dripping, archive, archives, bodies, document, values


def read(body: Any, *, piece_bytes: int = 1024 * 1024) -> dict[str, Any]:
    """Return all fields of an inventory, with ``ArchiveList``, as the reader finds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_READ_BYTES", piece_bytes)
        found = InventoryReader(body, "vault photos, job j")
        found.begin()
        listed = [each for piece in found.pieces() for each in msgspec.to_builtins(list(piece), str_keys=False)]
    return {**found.fields, "ArchiveList": listed}


def without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out the null fields of archives: a record has null for each field that is absent."""
    listed = [{name: value for name, value in each.items() if value is not None} for each in found["ArchiveList"]]
    return {**found, "ArchiveList": listed}


inventories = st.builds(
    lambda listed, more: {**more, **document(listed)},
    st.lists(archives, max_size=8),
    st.dictionaries(st.text(max_size=8), values, max_size=2).map(
        lambda more: {name: value for name, value in more.items() if name not in document([])}
    ),
)


@examples(60, in_drills=1000)
@given(data=st.data(), made=bodies(inventories), piece_bytes=st.integers(1, 400))
def test_it_reads_what_the_whole_document_holds_however_the_body_arrives(
    data: st.DataObject, made: tuple[dict[str, Any], bytes], piece_bytes: int
) -> None:
    fields, body = made
    try:
        expected = json.loads(body)
    except UnicodeDecodeError:
        # A lone surrogate that is not escaped: no decoder accepts it.
        with pytest.raises(ServiceUnavailable):
            read(Dripping(body, data.draw), piece_bytes=piece_bytes)
        return

    assert expected == fields
    assert without_nulls(read(Dripping(body, data.draw), piece_bytes=piece_bytes)) == without_nulls(fields)


@examples(30, in_drills=500)
@given(data=st.data(), made=bodies(inventories), piece_bytes=st.integers(1, 400))
def test_a_body_without_its_end_is_an_error_wherever_it_is_cut(
    data: st.DataObject, made: tuple[dict[str, Any], bytes], piece_bytes: int
) -> None:
    _, body = made
    cut = data.draw(st.integers(0, len(body) - 1))

    with pytest.raises(ServiceUnavailable):
        read(io.BytesIO(body[:cut].rstrip()), piece_bytes=piece_bytes)


@examples(60, in_drills=1000)
@given(
    body=st.binary(max_size=200)
    | bodies(inventories)
    .flatmap(
        lambda made: st.tuples(
            st.just(made[1]), st.integers(0, max(0, len(made[1]) - 1)), st.sampled_from(b'"{}[],:\\ a')
        )
    )
    .map(lambda drawn: drawn[0][: drawn[1]] + bytes([drawn[2]]) + drawn[0][drawn[1] + 1 :]),
    piece_bytes=st.integers(1, 400),
)
def test_it_reads_any_other_bytes_as_the_whole_document_or_refuses_them(body: bytes, piece_bytes: int) -> None:
    try:
        found = read(io.BytesIO(body), piece_bytes=piece_bytes)
    except GlacierJobsError:
        return

    assert without_nulls(found) == without_nulls(json.loads(body))


@pytest.mark.parametrize("description", HOSTILE)
def test_a_description_never_ends_an_archive(description: str) -> None:
    expected = document([archive(number, ArchiveDescription=description * 3) for number in range(20)])

    assert read(io.BytesIO(json.dumps(expected).encode()), piece_bytes=100) == expected


def test_an_empty_inventory_has_no_archives() -> None:
    assert read(io.BytesIO(json.dumps(document([])).encode())) == document([])


def test_fields_after_the_list_are_read_too() -> None:
    body = json.dumps({"ArchiveList": [archive(1)], "VaultARN": PHOTOS, "InventoryDate": TAKEN_AT}).encode()

    assert read(io.BytesIO(body), piece_bytes=10) == document([archive(1)])


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "7",
        "{}",
        '{"ArchiveList": null}',
        '{"ArchiveList": {}}',
        '{"Other": {"ArchiveList": []}}',
        '{"ArchiveList": [1]}',
        '{"ArchiveList": [{"ArchiveId": "a"}, [{"b": 1}, {"c": 1}]]}',
        '{"VaultARN": "a", "ArchiveList": [], "VaultARN": "b"}',
    ],
)
def test_json_that_is_no_inventory_is_an_error_that_names_the_job(body: str) -> None:
    with pytest.raises(MalformedAnswer, match=r"vault photos, job j: the output is not an inventory in JSON"):
        read(io.BytesIO(body.encode()), piece_bytes=10)


def test_two_lists_of_archives_are_an_error_and_not_the_last_of_them() -> None:
    body = b'{"ArchiveList": [{"ArchiveId": "a"}], "ArchiveList": []}'

    with pytest.raises(ServiceUnavailable, match="ArchiveList is there twice"):
        read(io.BytesIO(body))


def test_a_body_that_never_ends_is_given_up_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        def read(self, size: int, /) -> bytes:
            return b" " * size

    monkeypatch.setattr(reader, "_LONGEST_BYTES", 100_000)

    with pytest.raises(MalformedAnswer, match="no archive ends within 100000 bytes"):
        read(Endless(), piece_bytes=1000)


def test_the_memory_does_not_grow_with_the_inventory() -> None:
    def peak(count: int) -> int:
        body = io.BytesIO(json.dumps(document([archive(number) for number in range(count)])).encode())
        tracemalloc.start()
        found = InventoryReader(body, "vault photos, job j")
        assert sum(map(len, found.pieces())) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_READ_BYTES", 64 * 1024)
        assert peak(40_000) < 2 * peak(4_000)
