from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import job, observe
from tests.page.conftest import Ask, ago

HOSTILE = ["<script>alert(1)</script>", "'; DROP TABLE jobs; --", "=1+1", "%' OR 1=1 --", "\u202eelif", "a\nb"]


@pytest.fixture
def jobs(dataset: Dataset) -> None:
    """Two Regions, three vaults, nine jobs."""
    photos = [
        job("running", created=ago(2), Tier="Bulk", ArchiveSizeInBytes=10),
        job("done", "Succeeded", created=ago(9), completed=ago(5), Tier="Standard", ArchiveSizeInBytes=300),
        job("broken", "Failed", created=ago(8), completed=ago(4), Tier="Standard", StatusMessage="Archive deleted"),
    ]
    films = [
        job(f"film-{number}", created=ago(number), JobDescription=f"Film {number}", ArchiveSizeInBytes=number)
        for number in range(1, 6)
    ]
    lists = [job("list", "Succeeded", created=ago(6), completed=ago(1), Action="InventoryRetrieval")]
    observe(dataset, ago(0.5), {"photos": photos, "films": films})
    observe(dataset, ago(0.4), {"lists": lists}, region="eu-west-1")


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["job_id"] for row in answer["rows"]]


@pytest.mark.usefixtures("jobs")
class TestFilters:
    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"status": "Failed"}, {"broken"}),
            ({"status": ["Failed", "Succeeded"]}, {"broken", "done", "list"}),
            ({"vault": "films", "q": "FILM-3"}, {"film-3"}),
            ({"vault": ["photos", "lists"], "status": "Succeeded"}, {"done", "list"}),
            ({"region": "eu-west-1"}, {"list"}),
            ({"account": "000000000000"}, set()),
            ({"action": "InventoryRetrieval"}, {"list"}),
            ({"tier": "Standard"}, {"done", "broken"}),
            ({"tier": "", "vault": "lists"}, {"list"}),
            ({"q": "archive DELETED"}, {"broken"}),
            ({"q": "film 2"}, {"film-2"}),
            ({"q": "%"}, set()),
        ],
    )
    def test_only_jobs_that_match_are_shown(self, ask: Ask, params: dict[str, Any], expected: set[str]) -> None:
        answer = ask("jobs", **params)

        assert set(ids(answer)) == expected
        assert answer["total"] == len(expected)

    def test_without_filters_all_jobs_of_all_vaults_are_shown_newest_first(self, ask: Ask) -> None:
        answer = ask("jobs")

        created = [row["creation_date"] for row in answer["rows"]]
        assert answer["total"] == 9
        assert created == sorted(created, reverse=True)


@pytest.mark.usefixtures("jobs")
class TestOrder:
    @pytest.mark.parametrize(
        ("sort", "first", "last"),
        [
            ("creation_date", "done", "film-1"),
            ("-creation_date", "film-1", "done"),
            ("bytes", "film-1", "broken"),
            ("-bytes", "done", "broken"),
            ("job_id", "broken", "running"),
            ("-job_id", "running", "broken"),
            ("expires_at", "done", "running"),
        ],
    )
    def test_every_column_sorts_in_both_orders_with_missing_values_last(
        self, ask: Ask, sort: str, first: str, last: str
    ) -> None:
        found = ids(ask("jobs", sort=sort))

        assert found[0] == first
        assert found[-1] == last

    def test_the_pages_together_are_all_jobs_without_duplicates(self, ask: Ask) -> None:
        pages = [ask("jobs", sort="tier", size=4, page=page) for page in (1, 2, 3)]

        assert [len(page["rows"]) for page in pages] == [4, 4, 1]
        assert [job_id for page in pages for job_id in ids(page)] == ids(ask("jobs", sort="tier"))

    def test_beyond_the_last_page_the_last_page_is_returned(self, ask: Ask) -> None:
        answer = ask("jobs", size=4, page=99)

        assert (answer["page"], len(answer["rows"]), answer["total"]) == (3, 1, 9)

    def test_without_matches_the_first_page_is_returned(self, ask: Ask) -> None:
        answer = ask("jobs", q="nothing like this", page=7)

        assert (answer["page"], answer["rows"], answer["total"]) == (1, [], 0)


@pytest.mark.parametrize(
    "params",
    [
        {"sort": "nonsense"},
        {"sort": "job_id; drop table jobs"},
        {"page": 0},
        {"size": 201},
        {"statuscode": "Failed"},
        {"vault": "x" * 301},
    ],
)
def test_an_invalid_selection_is_refused_with_a_message(
    viewer: TestClient, dataset: Dataset, params: dict[str, Any]
) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})

    answer = viewer.get("api/jobs", params=params)

    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_hostile_texts_are_unchanged_and_can_be_searched_for(ask: Ask, dataset: Dataset) -> None:
    described = [job(f"job-{number}", JobDescription=text) for number, text in enumerate(HOSTILE)]
    observe(dataset, ago(1), {"photos": described})

    assert {row["job_description"] for row in ask("jobs")["rows"]} == set(HOSTILE)
    for text in HOSTILE:
        assert [row["job_description"] for row in ask("jobs", q=text)["rows"]] == [text]


def test_a_vault_that_failed_to_list_keeps_its_jobs_with_the_time_they_were_listed(ask: Ask, dataset: Dataset) -> None:
    observe(dataset, ago(5), {"photos": [job("a")]})
    observe(dataset, ago(1), {"photos": "failed"})

    [row] = ask("jobs")["rows"]

    assert (row["job_id"], row["as_of"]) == ("a", ago(5).isoformat().replace("+00:00", "Z"))
