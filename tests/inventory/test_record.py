"""Inventories are recorded over the wire: jobs of the local AWS, Parquet files, and the rows that a reader finds."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from glacier_jobs.dataset import publisher
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import INVENTORY_TABLES, Provenance
from glacier_jobs.errors import InventoryNotUsable, ServiceUnavailable
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.inventory import reader
from glacier_jobs.inventory.jobs import next_marker
from glacier_jobs.inventory.record import PublishedInventory, record_inventory
from local_aws.client import Control
from tests.conftest import Connect
from tests.inventory.documents import HOSTILE
from tests.observations import local_dataset


@pytest.fixture
def hook(connect: Connect, local_aws: Control) -> GlacierJobsHook:
    local_aws.add_vaults("photos")
    return GlacierJobsHook(aws_conn_id=connect())


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path / "records")


def start(hook: GlacierJobsHook, local_aws: Control, vault_name: str = "photos", **parameters: Any) -> str:
    """Start an inventory job that succeeds at once, and return its id."""
    local_aws.next_outcome(vault_name=vault_name, duration_seconds=0.0)
    answer = hook.get_conn().initiate_job(
        vaultName=vault_name, jobParameters={"Type": "inventory-retrieval", **parameters}
    )
    return str(answer["jobId"])


def recorded(hook: GlacierJobsHook, dataset: Dataset, *job_ids: str) -> PublishedInventory:
    return record_inventory(hook, dataset, [hook.get_job("photos", job_id) for job_id in job_ids])


def add(local_aws: Control, count: int, *, first: int = 0) -> None:
    local_aws.add_archives(
        "photos",
        [
            {"ArchiveId": f"archive-{number:04d}", "ArchiveDescription": f"2019/{number}.jpg", "Size": number + 1}
            for number in range(first, first + count)
        ],
    )


def rows(dataset: Dataset, table: str) -> list[dict[str, Any]]:
    return dataset.scan(table).to_table().to_pylist()  # type: ignore[no-any-return]


def files(dataset: Dataset) -> list[str]:
    return sorted(path.relative_to(dataset.root).as_posix() for path in Path(dataset.root).rglob("*") if path.is_file())


def test_an_inventory_is_one_file_of_archives_and_a_commit_mark(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 3)
    job_id = start(hook, local_aws)
    provenance = Provenance(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=2)

    published = record_inventory(hook, dataset, [hook.get_job("photos", job_id)], provenance=provenance)

    inventory_id = published.inventory.inventory_id
    day = published.inventory.inventory_at.date()
    assert files(dataset) == [
        f"{table}/inventory_date={day}/{inventory_id}.parquet" for table in ("archives", "inventories")
    ]
    for table, schema in INVENTORY_TABLES.items():
        assert pq.read_schema(dataset.path(table, inventory_id)).equals(schema)
    [mark] = rows(dataset, "inventories")
    assert {name: mark[name] for name in ("vault_name", "job_id", "jobs", "scope", "archives", "size_in_bytes")} == {
        "vault_name": "photos", "job_id": job_id, "jobs": 1, "scope": "full", "archives": 3, "size_in_bytes": 6,
    }  # fmt: skip
    assert (mark["dag_id"], mark["map_index"], mark["rows_in"]) == ("d", 3, inventory_id)
    assert mark["job_creation_date"] <= mark["job_completion_date"] <= mark["published_at"]
    assert [(row["archive_id"], row["size_in_bytes"], row["file_path"]) for row in rows(dataset, "archives")] == [
        (f"archive-{number:04d}", number + 1, f"2019/{number}.jpg") for number in range(3)
    ]


def test_an_empty_inventory_is_recorded(hook: GlacierJobsHook, dataset: Dataset, local_aws: Control) -> None:
    published = recorded(hook, dataset, start(hook, local_aws))

    assert published.archives == 0
    assert rows(dataset, "archives") == []
    assert [row["archives"] for row in rows(dataset, "inventories")] == [0]


def test_an_inventory_that_did_not_change_is_stored_once_and_recorded_each_time(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 3)
    first, second, third = (recorded(hook, dataset, start(hook, local_aws)) for _ in range(3))

    assert first.rows_in == second.rows_in == third.rows_in == first.inventory.inventory_id
    assert len(rows(dataset, "inventories")) == 3
    assert len(rows(dataset, "archives")) == 3

    add(local_aws, 1, first=3)
    changed = recorded(hook, dataset, start(hook, local_aws))

    assert changed.rows_in == changed.inventory.inventory_id
    assert len(rows(dataset, "archives")) == 3 + 4


def test_an_inventory_of_the_same_date_and_other_content_is_stored(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 1)
    first = recorded(hook, dataset, start(hook, local_aws))
    local_aws.add_archives("photos", [{"ArchiveId": "old", "Size": 5, "CreationDate": "2019-01-01T00:00:00Z"}])
    second = recorded(hook, dataset, start(hook, local_aws))

    assert first.inventory.inventory_at == second.inventory.inventory_at
    assert second.rows_in == second.inventory.inventory_id
    assert len(rows(dataset, "archives")) == 3


def test_an_inventory_of_a_period_is_marked_as_filtered_and_never_stands_for_a_full_one(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 2)
    parameters = {"StartDate": "2019-01-01T00:00:00Z"}
    filtered = recorded(hook, dataset, start(hook, local_aws, InventoryRetrievalParameters=parameters))
    full = recorded(hook, dataset, start(hook, local_aws))

    assert (filtered.scope, full.scope) == ("filtered", "full")
    assert full.rows_in == full.inventory.inventory_id
    [mark] = [row for row in rows(dataset, "inventories") if row["scope"] == "filtered"]
    assert mark["start_date"] == datetime(2019, 1, 1, tzinfo=timezone.utc)


def test_the_pages_of_an_inventory_become_one_inventory(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 5)
    job_ids: list[str] = []
    marker: str | None = ""
    while marker is not None:
        parameters = {"Limit": "2", **({"Marker": marker} if marker else {})}
        job_ids.append(start(hook, local_aws, InventoryRetrievalParameters=parameters))
        marker = next_marker(hook.get_job("photos", job_ids[-1]))

    published = recorded(hook, dataset, *job_ids)

    assert (len(job_ids), published.archives) == (3, 5)
    assert [row["archive_id"] for row in rows(dataset, "archives")] == [f"archive-{number:04d}" for number in range(5)]
    assert rows(dataset, "inventories")[0]["jobs"] == 3
    for wrong, message in ((job_ids[:-1], "has further pages"), ([job_ids[-1]] * 2, "is the last page")):
        with pytest.raises(InventoryNotUsable, match=message):
            recorded(hook, dataset, *wrong)


def test_pages_of_two_inventories_are_refused(hook: GlacierJobsHook, dataset: Dataset, local_aws: Control) -> None:
    add(local_aws, 3)
    first = start(hook, local_aws, InventoryRetrievalParameters={"Limit": "2"})
    marker = next_marker(hook.get_job("photos", first))
    add(local_aws, 1, first=3)
    second = start(hook, local_aws, InventoryRetrievalParameters={"Limit": "2", "Marker": marker})

    with pytest.raises(InventoryNotUsable, match="Glacier took another one meanwhile"):
        recorded(hook, dataset, first, second)

    assert files(dataset) == []


def test_a_last_page_that_looks_like_a_whole_inventory_is_refused(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 3)
    first = start(hook, local_aws, InventoryRetrievalParameters={"Limit": "2"})
    marker = next_marker(hook.get_job("photos", first))
    last = start(hook, local_aws, InventoryRetrievalParameters={"Limit": "2", "Marker": marker})

    with pytest.raises(InventoryNotUsable, match=r"lists 1 archives, but Describe Vault counts 3.*without a Marker"):
        recorded(hook, dataset, last)

    assert files(dataset) == []


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"Action": "ArchiveRetrieval"}, "has the action 'ArchiveRetrieval'; expected InventoryRetrieval"),
        ({"StatusCode": "InProgress"}, "has the status 'InProgress'"),
        ({"StatusCode": "Failed", "StatusMessage": "why"}, "has the status 'Failed' \\(why\\)"),
        ({"InventoryRetrievalParameters": {"Format": "CSV"}}, "in CSV.*initiate a job with Format JSON"),
    ],
)
def test_another_job_is_refused_by_name(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control, job: dict[str, Any], message: str
) -> None:
    given = {"JobId": "j", "Completed": True, "StatusCode": "Succeeded", **job}
    local_aws.add_jobs("photos", [given])

    with pytest.raises(InventoryNotUsable, match=f"vaults/photos, job j.*{message}"):
        recorded(hook, dataset, "j")


@pytest.mark.parametrize("description", HOSTILE)
def test_a_description_is_stored_as_it_was_given_whatever_it_contains(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control, description: str
) -> None:
    local_aws.add_archives("photos", [{"ArchiveId": "a", "ArchiveDescription": description, "Size": 1}])

    recorded(hook, dataset, start(hook, local_aws))

    [row] = rows(dataset, "archives")
    if description == "\ud800":
        assert (row["archive_description"], row["extra"]) == (None, '{"ArchiveDescription":"\\\\ud800"}')
    else:
        assert (row["archive_description"], row["extra"]) == (description, None)


def test_nothing_is_committed_if_the_run_is_killed_between_both_files(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    real = publisher._LocalPublisher.publish

    def publish(self: Any, staged: Path, path: str) -> None:
        if "/inventories/" in path:
            raise Killed
        real(self, staged, path)

    add(local_aws, 3)
    job_id = start(hook, local_aws)
    with monkeypatch.context() as patch:
        patch.setattr(publisher._LocalPublisher, "publish", publish)
        with pytest.raises(Killed):
            recorded(hook, dataset, job_id)
    assert [path.split("/")[0] for path in files(dataset)] == ["archives"]
    assert rows(dataset, "archives") == rows(dataset, "inventories") == []

    published = recorded(hook, dataset, job_id)

    assert published.rows_in == published.inventory.inventory_id
    assert len(rows(dataset, "archives")) == 3


@pytest.mark.usefixtures("no_backoff")
def test_a_body_that_is_cut_is_read_on_and_one_that_stays_cut_publishes_nothing(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control
) -> None:
    add(local_aws, 50)
    job_id = start(hook, local_aws)
    local_aws.fault("cut_body", operation="GetJobOutput", position=1000, count=2)

    assert recorded(hook, dataset, job_id).archives == 50

    local_aws.fault("cut_body", operation="GetJobOutput", position=0)
    before = files(dataset)
    with pytest.raises(ServiceUnavailable):
        recorded(hook, dataset, job_id)
    assert files(dataset) == before


def test_the_date_may_follow_the_archives(
    hook: GlacierJobsHook, dataset: Dataset, local_aws: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(local_aws, 30)
    job_id = start(hook, local_aws)
    real = reader._loaded

    def loaded(text: bytes) -> Any:
        found = real(text)
        if found.get("ArchiveList") == []:
            return {"ArchiveList": []}
        return {
            **found,
            "VaultARN": hook.get_job("photos", job_id)["VaultARN"],
            "InventoryDate": "2026-01-02T03:04:05Z",
        }

    monkeypatch.setattr(reader, "_loaded", loaded)

    published = recorded(hook, dataset, job_id)

    assert published.inventory.inventory_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert len(rows(dataset, "archives")) == 30
