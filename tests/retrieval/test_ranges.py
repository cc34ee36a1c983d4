from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glacier_jobs.retrieval.ranges import LARGEST_PIECE_BYTES, MAX_PARTS, STREAMED_PIECE_BYTES, ByteRange, Parts, pieces
from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node
from local_aws.tree_hash import is_tree_hash_aligned

GIBIBYTE = 1024 * MEBIBYTE
LARGEST_ARCHIVE = 40_000 * GIBIBYTE
SIZES = st.integers(1, LARGEST_ARCHIVE) | st.integers(1, 3 * GIBIBYTE)


@pytest.mark.parametrize(
    ("size", "part_mebibytes"),
    [
        (1, 8),
        (78 * GIBIBYTE, 8),
        (79 * GIBIBYTE, 16),
        (156 * GIBIBYTE, 16),
        (157 * GIBIBYTE, 32),
        (625 * GIBIBYTE, 64),
        (625 * GIBIBYTE + 1, 128),
        (5 * 1024 * GIBIBYTE, 1024),
        (LARGEST_ARCHIVE, 4096),
    ],
)
def test_parts_are_the_smallest_that_s3_admits(size: int, part_mebibytes: int) -> None:
    assert Parts.of(size).part_size_in_bytes == part_mebibytes * MEBIBYTE


@given(SIZES)
@example(LARGEST_ARCHIVE)
@example(8 * MEBIBYTE)
@example(8 * MEBIBYTE + 1)
def test_parts_are_at_most_10000_and_together_the_output(size: int) -> None:
    parts = Parts.of(size)

    assert 1 <= parts.count <= MAX_PARTS
    assert parts.range(0).start == 0
    assert parts.range(parts.count - 1).end == size - 1
    assert parts.range_of(parts.root) == ByteRange(start=0, size=size)
    for number in {0, parts.count // 2, parts.count - 2} & set(range(parts.count - 1)):
        assert parts.range(number).end + 1 == parts.range(number + 1).start


@given(SIZES, st.data())
@example(LARGEST_ARCHIVE, None)
def test_each_part_and_each_of_its_pieces_has_a_tree_hash(size: int, data: st.DataObject | None) -> None:
    parts = Parts.of(size)
    number = parts.count - 1 if data is None else data.draw(st.integers(0, parts.count - 1))
    part = parts.range(number)

    for largest in (LARGEST_PIECE_BYTES, STREAMED_PIECE_BYTES):
        found = list(pieces(part, offset=0, whole_size=size, largest=largest))
        assert sum(piece.size for piece in found) == part.size
        assert all(piece.size <= largest for piece in found)
        assert all(is_tree_hash_aligned(piece.start, piece.end, size) for piece in found)
    assert is_tree_hash_aligned(part.start, part.end, size)


@given(st.integers(0, 5_000), st.integers(1, 5_000), st.integers(1, MEBIBYTE), st.booleans())
def test_the_pieces_of_a_retrieved_range_have_a_tree_hash_wherever_it_begins(
    first: int, count: int, last: int, to_the_end: bool
) -> None:
    offset, size = first * MEBIBYTE, (count - 1) * MEBIBYTE + (last if to_the_end else MEBIBYTE)
    whole_size = offset + size + (0 if to_the_end else 7 * MEBIBYTE + 5)
    position = 0

    for number in range(Parts.of(size).count):
        part = Parts.of(size).range(number)
        for piece in pieces(part, offset=offset, whole_size=whole_size, largest=LARGEST_PIECE_BYTES):
            assert piece.start == position
            assert is_tree_hash_aligned(offset + piece.start, offset + piece.end, whole_size)
            position += piece.size

    assert position == size


def test_a_whole_part_of_up_to_64_mebibytes_is_one_piece() -> None:
    parts = Parts.of(600 * GIBIBYTE)

    for number in (0, 5, parts.count - 1):
        part = parts.range(number)
        assert list(pieces(part, offset=0, whole_size=600 * GIBIBYTE, largest=LARGEST_PIECE_BYTES)) == [part]


def test_consecutive_parts_have_one_range() -> None:
    parts = Parts.of(52 * MEBIBYTE)

    assert parts.range_of(Node(first=4, leaves=3)) == ByteRange(start=32 * MEBIBYTE, size=20 * MEBIBYTE)
