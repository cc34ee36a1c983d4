from __future__ import annotations

import hashlib
import io
from typing import Any, cast

import pytest
from botocore.utils import calculate_tree_hash
from hypothesis import given
from hypothesis import strategies as st

from local_aws import tree_hash
from local_aws.archives import Content
from local_aws.tree_hash import MEBIBYTE


@pytest.mark.parametrize(
    "size_in_bytes", [1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 2 * MEBIBYTE, 3 * MEBIBYTE + 7, 5 * MEBIBYTE]
)
def test_the_tree_hash_equals_botocores(size_in_bytes: int) -> None:
    content = Content.generated("seed", size_in_bytes)
    data_of_content = b"".join(content.read(0, size_in_bytes - 1))
    expected = calculate_tree_hash(cast(Any, io.BytesIO(data_of_content)))
    assert len(data_of_content) == size_in_bytes
    assert content.tree_hash(0, size_in_bytes - 1) == tree_hash.of_bytes(data_of_content) == expected


@given(st.integers(1, 3 * MEBIBYTE), st.data())
def test_a_range_of_generated_content_is_a_slice_of_the_whole(size_in_bytes: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size_in_bytes - 1))
    end = data.draw(st.integers(start, size_in_bytes - 1))
    content = Content.generated("seed", size_in_bytes)
    whole = b"".join(content.read(0, size_in_bytes - 1))
    assert b"".join(content.read(start, end)) == whole[start : end + 1]


@given(st.integers(0, 300), st.booleans())
def test_the_tree_hash_of_a_repeated_digest_equals_that_of_a_list(count: int, has_last: bool) -> None:
    digest, last = hashlib.sha256(b"a").digest(), hashlib.sha256(b"b").digest() if has_last else None
    expected = tree_hash.of_digests([digest] * count + ([] if last is None else [last]))
    assert tree_hash.of_repeated(digest, count, last) == expected


def test_the_tree_hash_of_huge_generated_content_is_fast() -> None:
    content = Content.generated("seed", 2**60 + 1)
    assert len(content.tree_hash(0, 2**60)) == 64


@pytest.mark.parametrize(
    ("start_chunk", "end_chunk", "chunks", "aligned"),
    [
        (0, 0, 4, True),
        (0, 1, 4, True),
        (2, 3, 4, True),
        (1, 2, 4, False),
        (0, 2, 4, False),
        (1, 1, 4, True),
        (4, 5, 6, True),
        (4, 6, 7, True),
        (2, 4, 5, False),
        (0, 4, 5, True),
    ],
)
def test_only_a_node_of_the_tree_is_tree_hash_aligned(
    start_chunk: int, end_chunk: int, chunks: int, aligned: bool
) -> None:
    size = chunks * MEBIBYTE - 1
    end = min((end_chunk + 1) * MEBIBYTE, size) - 1
    assert tree_hash.is_tree_hash_aligned(start_chunk * MEBIBYTE, end, size) is aligned


def test_a_range_that_does_not_start_and_end_on_mebibytes_is_not_aligned() -> None:
    assert not tree_hash.is_tree_hash_aligned(1, MEBIBYTE, 4 * MEBIBYTE)
    assert not tree_hash.is_tree_hash_aligned(0, MEBIBYTE, 4 * MEBIBYTE)
