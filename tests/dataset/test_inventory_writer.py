"""Inventories in the dataset: what is published, what readers find, and what other tables do not know of."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset import inventory_writer
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.inventory_writer import InventoryWriter
from glacier_jobs.dataset.layout import Dataset, new_inventory
from glacier_jobs.dataset.schema import INVENTORY_TABLES
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.inventory.rows import converted_archives
from tests.examples import examples
from tests.inventory.documents import archives, publish_inventory
from tests.observations import local_dataset, publish

MOMENT = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path / "records")


def archive_ids(dataset: Dataset, **dates: date) -> list[str]:
    return sorted(dataset.scan("archives", **dates).to_table()["archive_id"].to_pylist())


def test_a_file_of_archives_has_row_groups_of_limited_size_and_dictionaries_where_values_repeat(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_writer, "ROW_GROUP_ROWS", 4)

    inventory_id = publish_inventory(dataset, MOMENT, [f"a{number}" for number in range(10)])

    metadata = pq.read_metadata(dataset.path("archives", inventory_id))
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [4, 4, 2]
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert {column.path_in_schema for column in columns if column.has_dictionary_page} == {
        "inventory_id", "account_id", "region", "vault_name", "description_format",
    }  # fmt: skip


@examples(30, in_drills=300)
@given(st.lists(archives, min_size=1, max_size=12), st.data())
def test_the_digest_of_the_content_depends_on_the_archives_and_their_order_and_not_on_batches(
    tmp_path_factory: pytest.TempPathFactory, listed: list[dict[str, object]], data: st.DataObject
) -> None:
    dataset = local_dataset(tmp_path_factory.mktemp("records"))

    def digest(rows: list[dict[str, object]], cuts: list[int]) -> str:
        inventory = new_inventory("123456789012", "us-east-1", "photos", MOMENT)
        with InventoryWriter(dataset, inventory) as writer:
            for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
                writer.write(converted_archives(rows[begin:end], inventory).batch)
            return writer.content_sha256

    cuts = sorted(data.draw(st.lists(st.integers(0, len(listed)), max_size=3)))
    whole = digest(listed, [])
    assert digest(listed, cuts) == whole
    position = data.draw(st.integers(0, len(listed) - 1))
    name, value = data.draw(st.sampled_from([("ArchiveId", "x"), ("Size", 2**50), ("New", {"b": [1]})]))
    changed = [*listed[:position], {**listed[position], name: value}, *listed[position + 1 :]]
    assert (digest(changed, cuts) == whole) == (listed[position].get(name) == value)


def test_readers_take_committed_inventories_only_and_each_row_once(dataset: Dataset) -> None:
    first = publish_inventory(dataset, MOMENT, ["a", "b"])
    seen = publish_inventory(dataset, MOMENT, ["a", "b"], rows_in=first)
    crashed = publish_inventory(dataset, MOMENT, ["never"])
    Path(dataset.path("inventories", crashed)).unlink()

    assert dataset.inventory_ids() == sorted([first, seen])
    assert not Path(dataset.path("archives", seen)).exists()
    assert archive_ids(dataset) == ["a", "b"]
    assert dataset.read("archives", [first], columns=["archive_id"]).read_all().to_pydict() == {
        "archive_id": ["a", "b"]
    }


def test_the_days_of_a_scan_are_those_of_the_inventories(dataset: Dataset) -> None:
    for day in range(3):
        publish_inventory(dataset, MOMENT + timedelta(days=day), [f"a{day}"])

    assert archive_ids(dataset, since=date(2026, 11, 23)) == ["a1", "a2"]
    assert archive_ids(dataset, until=date(2026, 11, 23)) == ["a0", "a1"]


def test_a_dataset_without_inventories_has_no_archives(dataset: Dataset) -> None:
    for table, schema in INVENTORY_TABLES.items():
        assert dataset.scan(table).to_table().equals(schema.empty_table())


def test_snapshots_and_their_compaction_do_not_know_inventories(dataset: Dataset) -> None:
    publish(dataset, MOMENT, ["a"])
    publish_inventory(dataset, MOMENT, ["x"])
    before = {path: path.read_bytes() for path in Path(dataset.root).rglob("*.parquet") if "inventor" in str(path)}

    assert compact_closed_days(dataset, now=closes_at(MOMENT.date()) + SETTLES_AFTER) == [MOMENT.date()]

    assert len(dataset.observation_ids()) == 1
    assert dataset.scan("jobs").count_rows() == 1
    assert archive_ids(dataset) == ["x"]
    assert {path: path.read_bytes() for path in before} == before
    assert not list(Path(dataset.root, "compacted").glob("*inventor*"))


def test_an_unknown_table_is_refused_with_the_names_of_all(dataset: Dataset) -> None:
    with pytest.raises(InvalidArgument, match="jobs, vaults, observations, archives, inventories"):
        dataset.scan("archive")


def test_without_a_publication_nothing_is_left(dataset: Dataset) -> None:
    inventory = new_inventory("123456789012", "us-east-1", "photos", MOMENT)

    with InventoryWriter(dataset, inventory) as writer:
        writer.write(converted_archives([{"ArchiveId": "a"}], inventory).batch)

    assert [path for path in Path(dataset.root).rglob("*") if path.is_file()] == []


def test_a_row_that_lacks_a_required_value_publishes_nothing(dataset: Dataset) -> None:
    inventory = new_inventory("123456789012", "us-east-1", "photos", MOMENT)

    with InventoryWriter(dataset, inventory) as writer, pytest.raises(ValueError, match="vault_arn"):
        writer.publish({"job_id": "j"})

    assert dataset.inventory_ids() == []
