from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs.dataset.layout import Dataset, new_observation, snapshot_date
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.errors import InvalidArgument
from local_aws.client import Control
from tests.observations import local_dataset, publish, s3_of

MOMENT = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone.utc)


def test_an_observation_id_holds_account_region_time_and_random_digits() -> None:
    first = new_observation("123456789012", "us-gov-east-1", MOMENT)
    second = new_observation("123456789012", "us-gov-east-1", MOMENT)

    assert first.observation_id.startswith("123456789012_us-gov-east-1_20261122T060000Z_")
    assert first.observation_id != second.observation_id


def test_an_observation_belongs_to_the_utc_date_it_was_made_on() -> None:
    new_york = timezone(timedelta(hours=-5))

    observation = new_observation("123456789012", "us-east-1", datetime(2026, 11, 22, 23, 30, tzinfo=new_york))

    assert snapshot_date(observation.observation_id) == date(2026, 11, 23)
    assert observation.snapshot_at == datetime(2026, 11, 23, 4, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "x", "123456789012_us-east-1_20261122T060000Z", "../../etc/passwd"])
def test_a_text_that_is_no_observation_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="expected <account_id>"):
        snapshot_date(text)


def test_each_table_lies_in_a_folder_of_its_own_by_date(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)

    path = dataset.path("jobs", "123456789012_us-east-1_20261122T060000Z_0a1b2c")

    assert path == f"{tmp_path}/jobs/snapshot_date=2026-11-22/123456789012_us-east-1_20261122T060000Z_0a1b2c.parquet"


def test_a_dataset_without_an_observation_is_empty_with_its_columns(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path / "not there")

    assert dataset.observation_ids() == []
    for table, schema in TABLES.items():
        assert dataset.scan(table).to_table().schema == schema


def test_files_without_a_commit_mark_are_not_read(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    committed = publish(dataset, MOMENT, jobs=["a"])
    uncommitted = publish(dataset, MOMENT, jobs=["b"])
    Path(dataset.path("observations", uncommitted.observation_id)).unlink()

    assert dataset.observation_ids() == [committed.observation_id]
    assert dataset.scan("jobs").to_table()["job_id"].to_pylist() == ["a"]


def test_only_the_requested_dates_are_read(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    for day in range(4):
        publish(dataset, MOMENT + timedelta(days=day), jobs=[f"job-{day}"])

    middle = dataset.scan("jobs", since=date(2026, 11, 23), until=date(2026, 11, 24))

    assert sorted(middle.to_table()["job_id"].to_pylist()) == ["job-1", "job-2"]
    assert len(middle.files) == 2


def test_other_files_beside_the_partitions_are_ignored(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    observation = publish(dataset, MOMENT, jobs=["a"])
    (tmp_path / "observations" / "README.txt").write_text("hello")
    (tmp_path / "observations" / "snapshot_date=2026-11-22" / "note.txt").write_text("hello")

    assert dataset.observation_ids() == [observation.observation_id]


def test_a_table_that_does_not_exist_is_refused_with_the_names_of_the_tables(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="jobs, vaults, observations"):
        Dataset.scan(local_dataset(tmp_path), "job")


@pytest.mark.parametrize("folder", ["observations", "snapshot_date=2026-11-22"])
def test_a_store_that_cannot_be_listed_is_an_os_error_that_names_the_table(tmp_path: Path, folder: str) -> None:
    class CutOffError(Exception):
        """What a store's client raises, whose errors are its own."""

    class CutOff(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
        def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
            if path.endswith(folder):
                raise CutOffError("no route")
            return super().ls(path, detail, **kwargs)

    publish(local_dataset(tmp_path), MOMENT, jobs=["a"])

    with pytest.raises(OSError, match=rf"{tmp_path}/observations could not be read: no route"):
        Dataset(filesystem=CutOff(), root=str(tmp_path)).observation_ids()


def test_what_another_program_published_on_s3_is_seen_at_the_next_listing(local_aws: Control) -> None:
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    dataset, other = (Dataset(filesystem=s3_of(local_aws), root="records/root") for _ in range(2))
    first = publish(other, MOMENT, jobs=["a"])
    assert dataset.observation_ids() == [first.observation_id]

    second = publish(other, MOMENT + timedelta(seconds=1), jobs=["b"])
    third = publish(other, MOMENT + timedelta(days=1), jobs=["c"])

    assert dataset.observation_ids() == [each.observation_id for each in (first, second, third)]
