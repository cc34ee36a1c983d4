"""The generations of ``jobs_latest``, on disk and on S3."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from glacier_jobs import reports
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.history import History, fold_closed_days
from glacier_jobs.history.files import KEPT_FOR
from glacier_jobs.history.generations import JOBS_LATEST, Generations
from glacier_jobs.html_report.build import make_report
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import Connect
from tests.hand_written import job, observe
from tests.observations import local_dataset, s3_of

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["disk", "s3"])
def generations(request: pytest.FixtureRequest, tmp_path: Path) -> Generations:
    """The generations of an empty dataset."""
    if request.param == "disk":
        return History.beside(local_dataset(tmp_path)).generations
    local_aws: Control = request.getfixturevalue("local_aws")
    connect: Connect = request.getfixturevalue("connect")
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    return History.beside(open_dataset(f"s3://{connect()}@records/root")).generations


def publish(generations: Generations, made_at: datetime) -> str:
    return generations.publish(JOBS_LATEST.empty_table().to_batches(), made_at=made_at)


def pointed_to(generations: Generations) -> str:
    """Return the path that the pointer names by its URI."""
    content: str = generations.filesystem.cat_file(generations.pointer).decode()
    scheme = "file://" if isinstance(generations.filesystem, LocalFileSystem) else "s3://"
    assert content.startswith(scheme)
    assert content.endswith("/jobs_latest.parquet\n")
    return content.strip().removeprefix(scheme)


def existing(generations: Generations) -> list[str]:
    generations.filesystem.invalidate_cache()
    return sorted(generations.filesystem.find(generations.folder))


def test_the_pointer_names_the_newest_generation_by_its_uri(generations: Generations) -> None:
    first, second = publish(generations, NOON), publish(generations, NOON + HOUR)
    late = publish(generations, NOON + HOUR / 2)

    assert pointed_to(generations) == second
    assert existing(generations) == sorted([first, second, late])
    assert "/history/v2/jobs_latest/as_of=20261118T120000Z_" in first


def test_a_generation_is_deleted_when_a_newer_one_is_old_enough(generations: Generations) -> None:
    kept = [publish(generations, NOON + hour * HOUR) for hour in range(3)]
    assert existing(generations) == kept

    kept.append(publish(generations, NOON + HOUR + KEPT_FOR))

    assert existing(generations) == kept[1:]
    alone = publish(generations, NOON + 100 * HOUR)
    # The newest of the old ones: somebody may have begun to read it just before.
    assert existing(generations) == [kept[-1], alone]


def test_no_generation_is_deleted_while_the_newest_one_is_old(generations: Generations) -> None:
    newest = publish(generations, NOON + 100 * HOUR)

    late = publish(generations, NOON)

    assert existing(generations) == sorted([late, newest])
    assert pointed_to(generations) == newest


def test_a_generation_that_may_not_be_deleted_stays_with_a_warning_and_the_others_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    generations = History.beside(local_dataset(tmp_path)).generations
    made = [publish(generations, NOON + hour * HOUR) for hour in range(3)]
    rm_file = generations.filesystem.rm_file

    def refuse(path: str) -> None:
        if path == made[0]:
            raise PermissionError(path)
        rm_file(path)

    monkeypatch.setattr(generations.filesystem, "rm_file", refuse)
    with caplog.at_level(logging.WARNING):
        made.append(publish(generations, NOON + 24 * HOUR))

    assert existing(generations) == [made[0], made[2], made[3]]
    assert f"{made[0]} is not needed any more, but could not be deleted" in caplog.text


def test_a_report_that_began_before_another_one_does_not_point_back(
    generations: Generations, caplog: pytest.LogCaptureFixture
) -> None:
    newer = publish(generations, NOON + HOUR)

    older = publish(generations, NOON)

    assert pointed_to(generations) == newer
    assert f"{newer} is newer than that of this report, {older.split('=')[-1].partition('/')[0]}" in caplog.text


def test_a_generation_of_another_program_that_appears_meanwhile_is_pointed_to(
    request: pytest.FixtureRequest, generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(generations, NOON)
    others = generations
    if not isinstance(generations.filesystem, LocalFileSystem):
        # With a cache of its own: that of the first one does not know of its files.
        others = Generations(filesystem=s3_of(request.getfixturevalue("local_aws")), root=generations.root)
    newer = []
    replace = _publisher_of(generations).replace

    def publish_before(self: Any, staged: Path, path: str) -> None:
        monkeypatch.undo()
        newer.append(publish(others, NOON + 2 * HOUR))
        replace(self, staged, path)

    monkeypatch.setattr(_publisher_of(generations), "replace", publish_before)
    older = publish(generations, NOON + HOUR)

    assert pointed_to(generations) == newer[0]
    assert existing(generations)[1:] == [older, *newer]


def _publisher_of(generations: Generations) -> Any:
    return type(publisher_for(generations.filesystem, generations.root))


def test_a_generation_that_could_not_be_written_leaves_nothing_and_the_pointer_stays(generations: Generations) -> None:
    first = publish(generations, NOON)

    def interrupted() -> Iterator[pa.RecordBatch]:
        yield from JOBS_LATEST.empty_table().to_batches()
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        generations.publish(interrupted(), made_at=NOON + HOUR)

    assert pointed_to(generations) == first
    assert existing(generations) == [first]


def test_a_pointer_that_is_damaged_is_replaced(generations: Generations) -> None:
    publish(generations, NOON)
    generations.filesystem.pipe_file(generations.pointer, b"")

    second = publish(generations, NOON + HOUR)

    assert pointed_to(generations) == second


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Job ``old`` is closed on the first day, ``ended`` on the second one, and ``running`` is open."""
    dataset = local_dataset(tmp_path)
    ended = job("ended", "Succeeded", completed=NOON)
    observe(dataset, NOON, {"photos": [job("old", "Failed"), ended, job("running")]})
    observe(dataset, NOON + HOUR, {"photos": [ended, job("running")]})
    observe(dataset, NOON + 24 * HOUR, {"photos": [job("running")]})
    return dataset


def latest(dataset: Dataset) -> pa.Table:
    path = pointed_to(History.beside(dataset).generations)
    return pq.read_table(BytesIO(dataset.filesystem.cat_file(path)), schema=JOBS_LATEST)


def test_a_report_publishes_the_jobs_that_are_not_closed_and_those_of_the_newest_aggregated_day(
    dataset: Dataset,
) -> None:
    history = History.beside(dataset)
    make_report(dataset, "records", now=NOON + 25 * HOUR)
    assert latest(dataset)["job_id"].to_pylist() == ["ended", "old", "running"]

    for day, job_ids in enumerate([["ended", "old", "running"], ["ended", "running"]]):
        fold_closed_days(dataset, history, now=closes_at(NOON.date() + timedelta(days=day)) + SETTLES_AFTER)
        made_at = NOON + timedelta(days=2, hours=day)
        make_report(dataset, "records", now=made_at)

        found = latest(dataset)
        assert found["job_id"].to_pylist() == job_ids
        assert set(found["made_at"].to_pylist()) == {made_at}


def test_the_rows_say_what_the_question_says_and_are_sorted_by_job(dataset: Dataset) -> None:
    make_report(dataset, "records", now=NOON + 25 * HOUR)
    asked = reports.run("job_history", dataset, now=NOON + 25 * HOUR)
    asked = asked.rename_columns([{"as_of": "outcome_as_of"}.get(name, name) for name in asked.column_names])

    found = latest(dataset)

    assert found.schema == JOBS_LATEST
    assert found.select(asked.column_names).to_pylist() == asked.sort_by("job_id").to_pylist()
    assert dict(zip(found["job_id"].to_pylist(), found["expires_at"].to_pylist(), strict=True)) == {
        "ended": NOON + 24 * HOUR,
        "old": None,
        "running": None,
    }
