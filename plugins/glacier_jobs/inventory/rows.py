"""Archives of an inventory, as the service sends them, converted to rows of the table ``archives``.

A field that is null and a field that is absent both become null. A field without a column, and a value that does not
fit its column, are kept in ``extra``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import msgspec
import pyarrow as pa

from glacier_jobs.dataset.schema import ARCHIVES, Inventory
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.values import OddCounts, OddValues, any_json_text, column, required_text, shortened
from glacier_jobs.inventory.descriptions import described_files
from glacier_jobs.inventory.reader import ArchiveRecord, Archives

#: AWS's name -> column, for all fields but the id.
_COLUMNS = {
    "ArchiveDescription": "archive_description",
    "CreationDate": "creation_date",
    "Size": "size_in_bytes",
    "SHA256TreeHash": "sha256_tree_hash",
}

_FIELDS = ArchiveRecord.__struct_fields__


@dataclass(frozen=True, kw_only=True)
class ConvertedArchives:
    """Rows of the table ``archives``, and how many values did not fit their columns."""

    batch: pa.RecordBatch
    odd: OddCounts


def converted_archives(archives: Archives, inventory: Inventory) -> ConvertedArchives:
    """Convert archives of one inventory to rows of the table ``archives``.

    :return: a batch with the schema :data:`ARCHIVES`, one row an archive, in the order given.
    :raises MalformedAnswer: an archive has no id, or a field that is nested too deeply; names the vault.
    """
    found = _values(archives)
    ids = found["ArchiveId"]

    def row_name(row: int) -> str:
        return f"vault {inventory.vault_name}, archive {shortened(ids[row])}"

    odd = OddValues(row_name)
    shared = {
        "inventory_id": inventory.inventory_id,
        "account_id": inventory.account_id,
        "region": inventory.region,
        "vault_name": inventory.vault_name,
    }
    columns = {name: pa.repeat(pa.scalar(value, pa.string()), len(ids)) for name, value in shared.items()}
    columns["archive_id"] = required_text(ids, "ArchiveId", row_name)
    for name, column_name in _COLUMNS.items():
        columns[column_name] = column(found[name], ARCHIVES.field(column_name).type, (name,), odd)
    files = described_files(columns["archive_description"])
    columns |= {"file_path": files.paths, "file_modified_at": files.modified_at, "description_format": files.formats}
    try:
        columns["extra"] = _extra_column(archives, odd)
    except RecursionError as error:
        raise MalformedAnswer(f"vault {inventory.vault_name}: a field of an archive is nested too deeply") from error
    batch = pa.RecordBatch.from_arrays([columns[name] for name in ARCHIVES.names], schema=ARCHIVES)
    return ConvertedArchives(batch=batch, odd=odd.counts())


def _are_records(archives: Archives) -> TypeGuard[list[ArchiveRecord]]:
    return bool(archives) and isinstance(archives[0], ArchiveRecord)


def _values(archives: Archives) -> dict[str, Sequence[Any]]:
    """Return AWS's name of each documented field -> one value an archive; null and absent are ``None``."""
    if _are_records(archives):
        columns = zip(*map(msgspec.structs.astuple, archives), strict=True)
        return dict(zip(_FIELDS, columns, strict=True))
    objects = cast(list[dict[str, Any]], archives)
    return {name: [each.get(name) for each in objects] for name in _FIELDS}


def _extra_column(archives: Archives, odd: OddValues) -> pa.Array:
    if _are_records(archives) and not odd.by_row:
        return pa.nulls(len(archives), pa.string())
    extras: list[dict[str, Any]] = [
        {}
        if isinstance(each, ArchiveRecord)
        else {name: value for name, value in sorted(each.items()) if name not in _FIELDS and value is not None}
        for each in archives
    ]
    for row, values in odd.by_row.items():
        extras[row] |= {name: value for (name,), value in values.items()}
    return pa.array([any_json_text(extra) if extra else None for extra in extras], pa.string())
