from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from botocore.utils import calculate_tree_hash
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.retrieval.tree_hash import MEBIBYTE, Node, TreeHasher, combined, cover, of_digests


def by_botocore(content: bytes) -> str:
    file: Any = io.BytesIO(content)
    return calculate_tree_hash(file)


@pytest.mark.parametrize("size", [0, 1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE, 7 * MEBIBYTE + 9])
@pytest.mark.parametrize("block", [100_000, MEBIBYTE, 3 * MEBIBYTE + 1])
def test_bytes_in_any_portions_have_the_tree_hash_that_botocore_computes(size: int, block: int) -> None:
    content = bytes(number * number % 251 for number in range(size))
    hasher = TreeHasher()

    for start in range(0, size, block):
        hasher.update(content[start : start + block])

    assert hasher.hexdigest() == by_botocore(content)


@given(count=st.integers(1, 70))
def test_the_hash_of_digests_is_that_of_their_bytes(count: int) -> None:
    content = b"".join(bytes([number]) * MEBIBYTE for number in range(count % 9 + 1))
    digests = [hashlib.sha256(content[i : i + MEBIBYTE]).digest() for i in range(0, len(content), MEBIBYTE)]

    assert of_digests(digests).hex() == by_botocore(content)


@given(data=st.data(), count=st.integers(1, 300))
def test_nodes_that_cover_the_leaves_give_the_hash_of_all(data: st.DataObject, count: int) -> None:
    root = Node(first=0, leaves=count)
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(count)]
    listed = data.draw(st.sets(st.integers(0, count - 1)))

    nodes = {
        node: of_digests(digests[node.first : node.first + node.leaves])
        for node in [*cover(listed, root), *(Node(first=number, leaves=1) for number in range(count))]
    }

    assert combined(nodes, root) == of_digests(digests)


@given(data=st.data(), count=st.integers(1, 300))
def test_leaves_are_covered_exactly_once_and_by_nodes_only(data: st.DataObject, count: int) -> None:
    listed = data.draw(st.sets(st.integers(0, count - 1)))

    nodes = list(cover(listed, Node(first=0, leaves=count)))

    covered = [leaf for node in nodes for leaf in range(node.first, node.first + node.leaves)]
    assert sorted(covered) == sorted(listed)
    for node in nodes:
        power = 1 << (node.leaves - 1).bit_length()
        assert node.first % power == 0
        assert node.leaves == power or node.first + node.leaves == count


def test_consecutive_leaves_from_the_first_on_are_covered_by_few_nodes() -> None:
    assert len(list(cover(set(range(5_000)), Node(first=0, leaves=10_000)))) <= 13


def test_a_leaf_that_no_node_covers_is_an_error() -> None:
    with pytest.raises(KeyError):
        combined({Node(first=0, leaves=1): b""}, Node(first=0, leaves=2))
