from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import arn, job, observe
from tests.page.conftest import Ask, ago


def test_a_job_is_shown_as_in_each_listing_oldest_first(ask: Ask, dataset: Dataset) -> None:
    for hours in (5, 4):
        observe(dataset, ago(hours), {"photos": [job("a", created=ago(6)), job("other")]})
    observe(dataset, ago(3), {"photos": "failed"})
    done = job("a", "Succeeded", created=ago(6), completed=ago(2.5), Tier="Bulk", SNSTopic="arn:aws:sns:x")
    observe(dataset, ago(2), {"photos": [done]})

    observations = ask("job", vault_arn=arn("photos"), job_id="a", created_at=ago(6).isoformat())["observations"]

    assert [observation["status_code"] for observation in observations] == ["InProgress", "InProgress", "Succeeded"]
    assert observations[0]["observed_at"] < observations[1]["observed_at"] < observations[2]["observed_at"]
    assert (observations[2]["tier"], observations[2]["sns_topic"]) == ("Bulk", "arn:aws:sns:x")


def test_all_fields_are_shown_including_those_that_aws_adds_later(ask: Ask, dataset: Dataset) -> None:
    given = job("a", InventoryRetrievalParameters={"Format": "CSV", "Limit": "7"}, NewField={"x": [1]})
    observe(dataset, ago(1), {"photos": [given]})

    [observation] = ask("job", vault_arn=arn("photos"), job_id="a")["observations"]

    assert observation["inventory_retrieval_parameters"]["limit"] == 7
    assert observation["extra"] == '{"NewField":{"x":[1]}}'


def test_a_job_of_the_same_id_in_another_vault_is_another_job(ask: Ask, dataset: Dataset) -> None:
    observe(dataset, ago(1), {"photos": [job("a")], "films": [job("a", "Failed")]})

    [observation] = ask("job", vault_arn=arn("films"), job_id="a")["observations"]

    assert observation["status_code"] == "Failed"


def test_a_job_that_was_never_listed_is_not_found(viewer: TestClient, dataset: Dataset) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})

    answer = viewer.get("api/job", params={"vault_arn": arn("photos"), "job_id": "' OR 1=1 --"})

    assert answer.status_code == 404


def test_a_text_that_is_no_vault_arn_is_refused(viewer: TestClient, dataset: Dataset) -> None:
    answer = viewer.get("api/job", params={"vault_arn": "../../etc", "job_id": "a"})

    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("created_at", "status"),
    [
        ("0001-01-01T00:00:00Z", 200),
        ("2999-12-31T23:59:59Z", 404),
        ("9999-12-31T23:59:59-12:00", 422),
        ("yesterday", 422),
        ("2026-11-22T12:00:00", 422),
    ],
)
def test_every_time_of_creation_has_an_answer(
    viewer: TestClient, dataset: Dataset, created_at: str, status: int
) -> None:
    observe(dataset, ago(1), {"photos": [job("a")]})

    answer = viewer.get("api/job", params={"vault_arn": arn("photos"), "job_id": "a", "created_at": created_at})

    assert answer.status_code == status
