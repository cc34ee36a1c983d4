"""Deduplication of the jobs of an observation, with a few bytes of memory for each row."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: A job's vault ARN and id.
JobKey: TypeAlias = tuple[str, str]
RowNumbers: TypeAlias = npt.NDArray[np.int64]
RowMask: TypeAlias = npt.NDArray[np.bool_]


class DuplicateIndex:
    """An index of the rows by job: eight bytes for each row, and four more during the counting."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._vaults: dict[str, int] = {}
        self._run_vaults = array("i")
        self._run_lengths = array("i")

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows of the table ``jobs``, all of one vault."""
        keys = zip(batch["vault_arn"].to_pylist(), batch["job_id"].to_pylist(), strict=True)
        self._hashes.extend(map(hash, keys))
        vault = self._vaults.setdefault(batch["vault_name"][0].as_py(), len(self._vaults))
        self._run_vaults.append(vault)
        self._run_lengths.append(batch.num_rows)

    def kept(self, keys_of: Callable[[RowNumbers], list[JobKey]], without: Collection[str]) -> RowMask:
        """Return the mask of the rows to keep: the last row of each job, and no row of the vaults ``without``.

        :param keys_of: returns the keys of rows; needed because equal hashes do not prove equal keys.
        :param without: names of vaults whose rows are dropped.
        """
        kept = ~np.isin(self._vault_of_rows(), [self._vaults[name] for name in without if name in self._vaults])
        candidates = self._rows_with_equal_hashes()
        latest = dict(zip(keys_of(candidates), candidates.tolist(), strict=True)) if len(candidates) else {}
        kept[np.setdiff1d(candidates, np.fromiter(latest.values(), np.int64))] = False
        return kept

    def jobs_by_vault(self, kept: RowMask) -> Mapping[str, int]:
        """Return vault name -> number of its rows that are kept."""
        counts = np.bincount(self._vault_of_rows()[kept], minlength=len(self._vaults))
        return {name: int(counts[vault]) for name, vault in self._vaults.items()}

    def _vault_of_rows(self) -> npt.NDArray[Any]:
        return np.repeat(_numbers(self._run_vaults), _numbers(self._run_lengths))

    def _rows_with_equal_hashes(self) -> RowNumbers:
        hashes = _numbers(self._hashes)
        order = np.argsort(hashes, kind="stable")
        equal = np.flatnonzero(hashes[order[:-1]] == hashes[order[1:]])
        return np.unique(np.concatenate([order[equal], order[equal + 1]]))


def _numbers(values: array[int]) -> npt.NDArray[Any]:
    return np.frombuffer(values, dtype=values.typecode) if len(values) else np.empty(0, dtype=values.typecode)
