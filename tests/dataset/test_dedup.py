from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.dedup import DuplicateIndex, JobKey, RowNumbers


def batch(vault: str, ids: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"vault_arn": [f"arn:{vault}"] * len(ids), "vault_name": [vault] * len(ids), "job_id": ids}
    )


class Rows:
    """Stands for the file: the keys of all rows, and how many of them were read again."""

    def __init__(self, pages: list[tuple[str, list[str]]]) -> None:
        self.keys: list[JobKey] = [(f"arn:{vault}", job_id) for vault, ids in pages for job_id in ids]
        self.looked_up = 0

    def __call__(self, rows: RowNumbers) -> list[JobKey]:
        self.looked_up += len(rows)
        return [self.keys[row] for row in rows]


def remembered(pages: list[tuple[str, list[str]]]) -> DuplicateIndex:
    index = DuplicateIndex()
    for vault, ids in pages:
        if ids:
            index.add(batch(vault, ids))
    return index


PAGES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(st.sampled_from("uvwxyz"), max_size=4)), max_size=12
)


@given(PAGES, st.sets(st.sampled_from(["a", "b", "c", "never seen"])))
def test_the_last_row_of_each_job_is_kept_and_no_row_of_the_vaults_left_out(
    pages: list[tuple[str, list[str]]], without: set[str]
) -> None:
    rows = Rows(pages)
    last = {key: number for number, key in enumerate(rows.keys)}
    expected = [
        last[key] == number and key[0].removeprefix("arn:") not in without for number, key in enumerate(rows.keys)
    ]
    index = remembered(pages)

    kept = index.kept(rows, without)

    assert kept.tolist() == expected
    counted = {vault: count for vault, count in index.jobs_by_vault(kept).items() if count}
    vaults = [key[0].removeprefix("arn:") for key, stays in zip(rows.keys, expected, strict=True) if stays]
    assert counted == {vault: vaults.count(vault) for vault in set(vaults)}


def test_equal_hashes_of_different_jobs_drop_nothing() -> None:

    pages = [("a", ["u", "v", "u"])]
    rows = Rows(pages)
    index = DuplicateIndex()
    index._hashes.extend([1, 1, 1])
    index._vaults["a"] = 0
    index._run_vaults.append(0)
    index._run_lengths.append(3)

    assert index.kept(rows, ()).tolist() == [False, True, True]


def test_without_duplicates_no_key_is_read_again() -> None:
    pages = [("a", [str(number) for number in range(1000)])]
    rows = Rows(pages)

    assert np.all(remembered(pages).kept(rows, ()))
    assert rows.looked_up == 0


def test_a_job_costs_some_bytes_of_memory() -> None:
    ids = [f"{number:092}" for number in range(10_000)]
    index = remembered([("a", ids[start : start + 50]) for start in range(0, 10_000, 50)])

    assert sum(sys.getsizeof(kept) for kept in (index._hashes, index._run_vaults, index._run_lengths)) < 100_000
