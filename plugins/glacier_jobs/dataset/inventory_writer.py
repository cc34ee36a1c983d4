"""Writes one inventory batch by batch, and publishes it as a whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.dataset.schema import ARCHIVES, INVENTORIES, Inventory, table_from_rows

#: How many rows are combined into one row group: about 20 MB in memory. A vault can have tens of millions of archives.
ROW_GROUP_ROWS = 65_536

#: Columns whose values repeat from row to row; only these are dictionary-encoded.
_REPEATING_COLUMNS = ["inventory_id", "account_id", "region", "vault_name", "description_format"]

#: The columns that Glacier's answer determines. The other columns follow from them.
_CONTENT_COLUMNS = [
    "archive_id", "archive_description", "creation_date", "size_in_bytes", "sha256_tree_hash", "extra",
]  # fmt: skip


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class InventoryWriter:
    """Writes the archives of one inventory and publishes them with its commit mark, or leaves nothing behind.

    A context manager: without a call of :meth:`publish`, nothing becomes visible.

    Example::

        with InventoryWriter(dataset, inventory) as writer:
            writer.write(archives)
            writer.publish(inventory_row)

    :param dataset: the dataset that receives the inventory.
    :param inventory: its id and the values that its rows share.
    :param clock: returns the current time, an aware UTC datetime.
    :raises StoreNotSuitable: the store cannot create an object atomically and durably.
    """

    def __init__(self, dataset: Dataset, inventory: Inventory, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._dataset = dataset
        self._inventory = inventory
        self._clock = clock
        self._publisher = publisher_for(dataset.filesystem, dataset.root)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._hashes = {name: (hashlib.sha256(), hashlib.sha256()) for name in _CONTENT_COLUMNS}
        #: How many archives were written, and the sum of their sizes.
        self.archives = 0
        self.size_in_bytes = 0

    def __enter__(self) -> InventoryWriter:
        self._folder = self._publisher.stage(self._inventory.inventory_id)
        try:
            self._rows = pq.ParquetWriter(
                self._staged("archives"), ARCHIVES, compression="zstd", use_dictionary=_REPEATING_COLUMNS
            )
        except BaseException:
            self._publisher.discard(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # On a full disk, writing the footer fails, too; the first error must be raised, and not this one.
        with contextlib.suppress(OSError):
            self._rows.close()
        self._publisher.discard(self._folder)

    def write(self, archives: pa.RecordBatch) -> None:
        """Write rows of the table ``archives``."""
        if not archives.num_rows:
            return
        for name, digests in self._hashes.items():
            for digest, part in zip(digests, _parts(archives[name]), strict=True):
                digest.update(part)
        self.archives += archives.num_rows
        self.size_in_bytes += pc.sum(archives["size_in_bytes"], min_count=0).as_py()
        self._waiting.append(archives)
        self._waiting_rows += archives.num_rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._flush()

    @property
    def content_sha256(self) -> str:
        """The SHA-256 of the content of all rows written, in their order, however they were divided into batches."""
        digests = [digest.digest() for pair in self._hashes.values() for digest in pair]
        return hashlib.sha256(b"".join(digests)).hexdigest()

    def publish(self, inventory: Mapping[str, Any], *, rows_in: str | None = None) -> None:
        """Publish the archives, and then the commit mark.

        :param inventory: the row of ``inventories``, without the columns that the writer knows: the id, the shared
            values, the counts, ``content_sha256``, ``rows_in`` and ``published_at``.
        :param rows_in: the id of a committed inventory with equal content, whose archives are not published again.
        :raises ObservationExists: another file has the path already; it is not changed.
        """
        self._flush()
        self._rows.close()
        inventory_id = self._inventory.inventory_id
        row = {
            "inventory_id": inventory_id,
            "inventory_at": self._inventory.inventory_at,
            "account_id": self._inventory.account_id,
            "region": self._inventory.region,
            "vault_name": self._inventory.vault_name,
            **inventory,
            "archives": self.archives,
            "size_in_bytes": self.size_in_bytes,
            "content_sha256": self.content_sha256,
            "rows_in": rows_in or inventory_id,
            "published_at": self._clock(),
        }
        with pq.ParquetWriter(self._staged("inventories"), INVENTORIES, compression="zstd") as mark:
            mark.write_table(table_from_rows([row], INVENTORIES))
        if rows_in is None:
            self._publisher.publish(self._staged("archives"), self._dataset.path("archives", inventory_id))
        self._publisher.publish(self._staged("inventories"), self._dataset.path("inventories", inventory_id))

    def _staged(self, table: str) -> Path:
        # Without the suffix .parquet: some engines read every file that has it, in any subfolder.
        return self._folder / f"{table}.part"

    def _flush(self) -> None:
        if self._waiting:
            self._rows.write_table(pa.Table.from_batches(self._waiting), row_group_size=ROW_GROUP_ROWS)
            self._waiting, self._waiting_rows = [], 0


def _parts(column: pa.Array) -> tuple[Any, Any]:
    """Return two byte strings that determine a column. Those of several batches can be put together."""
    if pa.types.is_string(column.type):
        # The lengths tell where a text ends, and -1 that it is null.
        lengths = pc.fill_null(pc.binary_length(column), -1)
        texts = column.drop_null()
        _, offsets, values = texts.buffers()
        if not len(texts) or values is None:
            return lengths.to_numpy(), b""
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        return lengths.to_numpy(), memoryview(values)[ends[0] : ends[-1]]
    numbers = column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column
    return numbers.is_null().to_numpy(zero_copy_only=False), numbers.fill_null(0).to_numpy()
