"""Inventories in JSON, as Glacier sends them and as it could send them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from glacier_jobs.dataset.inventory_writer import InventoryWriter
from glacier_jobs.dataset.layout import Dataset, new_inventory
from glacier_jobs.inventory.reader import ArchiveRecord
from glacier_jobs.inventory.rows import converted_archives

PHOTOS = "arn:aws:glacier:us-east-1:123456789012:vaults/photos"
TAKEN_AT = "2026-11-22T06:00:00Z"

#: A row of the table ``inventories`` for the writer.
INVENTORY_ROW = {
    "vault_arn": PHOTOS, "job_id": "job", "jobs": 1, "scope": "full", "package_version": "1", "schema_version": 1,
}  # fmt: skip

#: Texts that a cut at a wrong place, or a path, or a page would show.
HOSTILE = [
    "../../etc/passwd", '"},{"', '},{"ArchiveId":"x"}', "\\", '\\"', '"},  {  "a', "<script>", "\ud800", "\x00",
    "é" * 1024, '"ArchiveList":[', "]}",
]  # fmt: skip

texts = (
    st.text(st.characters(), max_size=20)
    | st.sampled_from(HOSTILE)
    | st.lists(st.sampled_from(['"', "}", ",", "{", "[", "]", "\\", ":", "a", " "]), max_size=12).map("".join)
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

archives = st.fixed_dictionaries(
    {"ArchiveId": st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)},
    optional={
        "ArchiveDescription": texts | st.none(),
        "CreationDate": st.sampled_from(["2019-05-01T00:00:00Z", None, "yesterday"]),
        "Size": st.integers(0, 2**45) | st.none(),
        "SHA256TreeHash": st.sampled_from(["ab" * 32, None]),
        "New": values,
    },
)


def document(archives: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """Return an inventory of the vault ``photos``."""
    return {"VaultARN": PHOTOS, "InventoryDate": TAKEN_AT, "ArchiveList": list(archives), **fields}


def archive(number: int, **fields: Any) -> dict[str, Any]:
    """Return one archive, as Glacier describes it."""
    return {
        "ArchiveId": f"archive-{number}",
        "ArchiveDescription": f"photos/2019/{number}.jpg",
        "CreationDate": "2019-05-01T00:00:00Z",
        "Size": number,
        "SHA256TreeHash": f"{number:064x}",
        **fields,
    }


indents: st.SearchStrategy[int | str | None] = st.sampled_from([None, 0, 1, "\t"])


@st.composite
def bodies(draw: st.DrawFn, documents: st.SearchStrategy[dict[str, Any]]) -> tuple[dict[str, Any], bytes]:
    """Draw an inventory, with its fields in any order, and its JSON with any white space."""
    fields = draw(documents)
    fields = {name: fields[name] for name in draw(st.permutations(list(fields)))}
    text = json.dumps(
        fields,
        indent=draw(indents),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n ", " :\t")])),
        ensure_ascii=draw(st.booleans()),
    )
    return fields, text.encode(errors="surrogatepass")


def publish_inventory(
    dataset: Dataset,
    inventory_at: datetime,
    archive_ids: Sequence[str],
    *,
    vault_name: str = "photos",
    scope: str = "full",
    rows_in: str | None = None,
) -> str:
    """Publish a small inventory without AWS, and return its id."""
    inventory = new_inventory("123456789012", "us-east-1", vault_name, inventory_at)
    with InventoryWriter(dataset, inventory) as writer:
        found = [ArchiveRecord(each, f"2019/{each}.jpg", "2019-05-01T00:00:00Z", 7) for each in archive_ids]
        writer.write(converted_archives(found, inventory).batch)
        arn = f"arn:aws:glacier:us-east-1:123456789012:vaults/{vault_name}"
        writer.publish({**INVENTORY_ROW, "vault_arn": arn, "scope": scope}, rows_in=rows_in)
    return inventory.inventory_id


class Dripping(io.BytesIO):
    """A body whose reads return as many bytes as drawn, from 1 on."""

    def __init__(self, content: bytes, draw: Any) -> None:
        super().__init__(content)
        self._draw = draw

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._draw(st.integers(1, max(1, min(size or 1, 64)))))
