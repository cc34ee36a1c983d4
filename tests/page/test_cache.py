from __future__ import annotations

import threading
from pathlib import Path

import pytest

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.page.cache import CHECK_INTERVAL_SECONDS, MAX_AGE_SECONDS, CachedAnswers, DatasetCache
from glacier_jobs.reports import Inquiry
from tests.hand_written import job, observe
from tests.observations import local_dataset
from tests.page.conftest import ago


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path)


def job_ids(answers: CachedAnswers) -> list[str]:
    found: list[str] = answers.ask("found_jobs", sort="job_id", descending=False)["job_id"].to_pylist()
    return found


def destroy(dataset: Dataset) -> None:
    """Overwrite all files except the commit marks, so that opening one raises an error."""
    for table in ("jobs", "vaults"):
        for path in Path(dataset.root, table).rglob("*.parquet"):
            path.write_bytes(b"not Parquet")


def test_a_dataset_that_did_not_change_is_not_read_again(dataset: Dataset, clock: Clock) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})
    cache = DatasetCache(dataset, clock=clock)
    first = cache.answers()
    destroy(dataset)
    clock.seconds += CHECK_INTERVAL_SECONDS

    assert cache.answers() is first
    assert job_ids(first) == ["a"]


def test_a_newer_observation_is_shown(dataset: Dataset, clock: Clock) -> None:
    observe(dataset, ago(2), {"photos": [job("a")]})
    cache = DatasetCache(dataset, clock=clock)
    first = cache.answers()
    observe(dataset, ago(1), {"photos": [job("b")]})

    assert cache.answers() is first
    clock.seconds += CHECK_INTERVAL_SECONDS
    second = cache.answers()

    assert job_ids(second) == ["b"]
    assert second.version != first.version


def test_an_observation_that_is_published_after_a_newer_one_is_shown(dataset: Dataset, clock: Clock) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})
    cache = DatasetCache(dataset, clock=clock)
    cache.answers()
    observe(dataset, ago(1.5), {"films": [job("b")]}, region="eu-west-1")
    clock.seconds += CHECK_INTERVAL_SECONDS

    assert job_ids(cache.answers()) == ["a", "b"]


def test_the_current_time_is_updated_even_without_a_newer_observation(dataset: Dataset, clock: Clock) -> None:
    observe(dataset, ago(1), {"photos": []})
    cache = DatasetCache(dataset, clock=clock)
    first = cache.answers()
    clock.seconds += MAX_AGE_SECONDS

    second = cache.answers()

    assert second.now > first.now
    assert second.version == first.version


def test_requests_during_a_read_get_the_previous_answers(
    dataset: Dataset, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe(dataset, ago(2), {"photos": [job("a")]})
    cache = DatasetCache(dataset, clock=clock)
    first = cache.answers()
    observe(dataset, ago(1), {"photos": [job("b")]})
    clock.seconds += CHECK_INTERVAL_SECONDS
    reads, go_on = threading.Event(), threading.Event()
    into = Inquiry.into

    def slowly(dataset: Dataset) -> Inquiry:
        reads.set()
        assert go_on.wait(30)
        return into(dataset)

    monkeypatch.setattr(Inquiry, "into", slowly)
    reader = threading.Thread(target=cache.answers)
    reader.start()
    assert reads.wait(30)

    answers_during_read = cache.answers()
    go_on.set()
    reader.join()

    assert answers_during_read is first
    assert job_ids(cache.answers()) == ["b"]


def test_an_answer_is_computed_once_for_simultaneous_requests(dataset: Dataset, clock: Clock) -> None:
    answers = DatasetCache(dataset, clock=clock).answers()
    computed: list[None] = []

    threads = [threading.Thread(target=answers.once, args=("it", lambda _: computed.append(None))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(computed) == 1


def test_after_an_error_the_next_request_reads_the_dataset_again(dataset: Dataset, clock: Clock) -> None:
    observation = observe(dataset, ago(1), {"photos": [job("a")]})
    path = Path(dataset.path("jobs", observation.observation_id))
    body = path.read_bytes()
    path.write_bytes(b"not Parquet")
    cache = DatasetCache(dataset, clock=clock)
    with pytest.raises(OSError, match="cannot be read as Parquet"):
        cache.answers()

    path.write_bytes(body)

    assert job_ids(cache.answers()) == ["a"]
