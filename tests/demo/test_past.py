from __future__ import annotations

from datetime import datetime, timezone

import pytest

from demo.past import FORBIDDEN, add_past
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports import Inquiry
from tests.observations import local_dataset

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def inquiry(tmp_path_factory: pytest.TempPathFactory) -> Inquiry:
    """Questions to the made-up past, at its end."""
    folder = tmp_path_factory.mktemp("past")
    add_past(folder, now=NOW)
    dataset: Dataset = local_dataset(folder)
    return Inquiry.into(dataset, now=NOW)


@pytest.mark.parametrize(
    "question",
    ["expiring_outputs", "failures", "slower_than_typical", "unlisted_vaults", "retrieval_times", "daily_volume"],
)
def test_every_question_has_an_answer(inquiry: Inquiry, question: str) -> None:
    assert inquiry.ask(question).num_rows > 0


def test_there_is_a_gap_beyond_glaciers_retention(inquiry: Inquiry) -> None:
    coverage = inquiry.ask("coverage")

    assert coverage.filter(coverage["beyond_retention"]).num_rows > 0


def test_one_vault_cannot_be_listed_any_more(inquiry: Inquiry) -> None:
    assert inquiry.ask("unlisted_vaults")["vault_name"].to_pylist() == [FORBIDDEN]


def test_there_are_jobs_of_every_status_action_and_tier(inquiry: Inquiry) -> None:
    counts = inquiry.ask("job_counts")

    assert set(counts["status_code"].to_pylist()) == {"InProgress", "Succeeded", "Failed"}
    assert set(counts["action"].to_pylist()) == {"ArchiveRetrieval", "InventoryRetrieval"}
    assert set(counts["tier"].to_pylist()) == {"Expedited", "Standard", "Bulk", None}


def test_some_descriptions_are_hostile(inquiry: Inquiry) -> None:
    texts = [text for text in inquiry.ask("found_jobs")["job_description"].to_pylist() if text]

    assert any("<script>" in text for text in texts)
    assert any("DROP TABLE" in text for text in texts)
