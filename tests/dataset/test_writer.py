from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from glacier_jobs.dataset import writer as writer_module
from glacier_jobs.dataset.layout import Dataset, new_observation
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.dataset.writer import REPEATING_COLUMNS, ObservationWriter
from tests.conftest import ROOT
from tests.observations import local_dataset, observation_row, publish, vault_row, write_jobs

MOMENT = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone.utc)
OBSERVATION = new_observation("123456789012", "us-east-1", MOMENT)


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def jobs_of(dataset: Dataset) -> list[tuple[str, str]]:
    return [(row["job_id"], row["status_code"]) for row in dataset.scan("jobs").to_table().to_pylist()]


def test_an_observation_is_exactly_three_files(tmp_path: Path) -> None:
    observation = publish(local_dataset(tmp_path), MOMENT, jobs=["a", "b"])

    assert [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)] == [
        f"{table}/snapshot_date=2026-11-22/{observation.observation_id}.parquet" for table in sorted(TABLES)
    ]


def test_each_file_has_its_tables_schema_and_is_compressed_with_zstd(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    observation = publish(dataset, MOMENT, jobs=["a"])

    for table, schema in TABLES.items():
        with pq.ParquetFile(dataset.path(table, observation.observation_id)) as file:
            assert file.schema_arrow.equals(schema)
            row_group = file.metadata.row_group(0)
            assert {row_group.column(i).compression for i in range(row_group.num_columns)} == {"ZSTD"}


def test_only_columns_that_repeat_are_dictionary_encoded(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    observation = publish(dataset, MOMENT, jobs=[f"job-{number}" for number in range(100)])

    row_group = pq.read_metadata(dataset.path("jobs", observation.observation_id)).row_group(0)
    encoded = {
        row_group.column(index).path_in_schema
        for index in range(row_group.num_columns)
        if row_group.column(index).has_dictionary_page
    }

    assert encoded == set(REPEATING_COLUMNS["jobs"])
    assert "job_id" not in encoded


def test_an_observation_without_jobs_still_has_a_file_with_all_columns(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    observation = publish(dataset, MOMENT, jobs=[])

    table = pq.read_table(dataset.path("jobs", observation.observation_id), partitioning=None)

    assert table.num_rows == 0
    assert table.schema.equals(TABLES["jobs"])


def test_the_later_row_of_a_job_listed_twice_is_kept(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    with ObservationWriter(dataset, OBSERVATION, clock=lambda: MOMENT) as writer:
        write_jobs(
            writer, OBSERVATION, [{"JobId": "a", "StatusCode": "InProgress"}, {"JobId": "b", "StatusCode": "Failed"}]
        )
        write_jobs(writer, OBSERVATION, [{"JobId": "a", "StatusCode": "Succeeded"}])
        counts = writer.finish_jobs()
        writer.publish(vaults=[vault_row("photos", MOMENT)], observation=observation_row(MOMENT))

    assert counts == {"photos": 2}
    assert jobs_of(dataset) == [("b", "Failed"), ("a", "Succeeded")]


def test_the_same_id_in_two_vaults_is_two_jobs(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    with ObservationWriter(dataset, OBSERVATION, clock=lambda: MOMENT) as writer:
        for vault_name in ("photos", "films"):
            write_jobs(writer, OBSERVATION, [{"JobId": "a", "StatusCode": "Failed"}], vault_name)
        counts = writer.finish_jobs()
        writer.publish(vaults=[vault_row("photos", MOMENT)], observation=observation_row(MOMENT))

    assert counts == {"photos": 1, "films": 1}
    assert len(jobs_of(dataset)) == 2


def test_duplicates_are_found_across_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "ROW_GROUP_ROWS", 10)
    dataset = local_dataset(tmp_path)
    with ObservationWriter(dataset, OBSERVATION, clock=lambda: MOMENT) as writer:
        for start in range(0, 95, 5):
            write_jobs(
                writer, OBSERVATION, [{"JobId": str(n), "StatusCode": f"page {start}"} for n in range(start, start + 6)]
            )
        counts = writer.finish_jobs()
        writer.publish(vaults=[vault_row("photos", MOMENT)], observation=observation_row(MOMENT))

    assert counts == {"photos": 96}
    assert sorted(int(job_id) for job_id, _ in jobs_of(dataset)) == list(range(96))
    assert dict(jobs_of(dataset))["5"] == "page 5"
    with pq.ParquetFile(dataset.path("jobs", OBSERVATION.observation_id)) as file:
        assert file.num_row_groups > 5


def test_a_vault_with_an_incomplete_listing_can_be_left_out(tmp_path: Path) -> None:
    dataset = local_dataset(tmp_path)
    with ObservationWriter(dataset, OBSERVATION, clock=lambda: MOMENT) as writer:
        for vault_name in ("photos", "films"):
            write_jobs(writer, OBSERVATION, [{"JobId": vault_name, "StatusCode": "Failed"}], vault_name)
        counts = writer.finish_jobs(without=["films"])
        writer.publish(vaults=[vault_row("photos", MOMENT)], observation=observation_row(MOMENT))

    assert counts == {"photos": 1, "films": 0}
    assert jobs_of(dataset) == [("photos", "Failed")]


def test_without_publication_nothing_is_visible(tmp_path: Path) -> None:
    with ObservationWriter(local_dataset(tmp_path), OBSERVATION, clock=lambda: MOMENT) as writer:
        write_jobs(writer, OBSERVATION, [{"JobId": "a"}])
        writer.finish_jobs()

    assert files_below(tmp_path) == []


def test_an_error_before_publication_leaves_nothing_behind(tmp_path: Path) -> None:
    def break_off() -> None:
        with ObservationWriter(local_dataset(tmp_path), OBSERVATION) as writer:
            write_jobs(writer, OBSERVATION, [{"JobId": "a"}])
            raise RuntimeError("the first error")

    with pytest.raises(RuntimeError, match="the first error"):
        break_off()

    assert files_below(tmp_path) == []


_WRITE_SLOWLY = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from glacier_jobs.dataset import writer as writer_module
from glacier_jobs.dataset.layout import new_observation
from tests.observations import *

root, moment = Path(sys.argv[1]), datetime(2026, 11, 22, 6, tzinfo=timezone.utc)
writer_module.ROW_GROUP_ROWS = 1000
dataset = local_dataset(root)
observation = new_observation("123456789012", "us-east-1", moment)
with writer_module.ObservationWriter(dataset, observation, clock=lambda: moment) as writer:
    for page in range(40):
        write_jobs(writer, observation, [{"JobId": f"{page}-{n}"} for n in range(50)])
    print("half-way", flush=True)
    sys.stdin.read()
"""


def test_a_killed_run_leaves_nothing_visible_and_the_next_one_succeeds(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", _WRITE_SLOWLY, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT}/plugins:{ROOT}/include:{ROOT}"},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half-way\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    dataset = local_dataset(tmp_path)

    assert dataset.observation_ids() == []
    assert not list(tmp_path.rglob("*.parquet"))

    publish(dataset, MOMENT, jobs=["a"])
    assert [job_id for job_id, _ in jobs_of(dataset)] == ["a"]


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_files_and_folders_have_the_modes_of_the_umask(
    tmp_path: Path, umask: int, file_mode: int, folder_mode: int
) -> None:
    previous = os.umask(umask)
    try:
        publish(local_dataset(tmp_path / "records"), datetime(2026, 11, 22, tzinfo=timezone.utc), ["a", "a"])
    finally:
        os.umask(previous)

    found = list((tmp_path / "records").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {file_mode}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {folder_mode}
