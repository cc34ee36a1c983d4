from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.page.overview import SHOWN
from tests.hand_written import job, observe
from tests.page.conftest import Ask, ago


def test_without_the_variable_the_answer_names_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", raising=False)

    answer = ask("overview")

    assert (answer["state"], answer["variable"]) == ("unset", "glacier_jobs_dataset_uri")


def test_without_any_observation_the_answer_has_the_datasets_uri(ask: Ask, dataset: Dataset) -> None:
    answer = ask("overview")

    assert (answer["state"], answer["dataset_uri"]) == ("empty", f"file://{dataset.root}")


@pytest.mark.parametrize(
    ("uri", "status", "message"),
    [
        ("nonsense", 422, "dataset_uri is 'nonsense'"),
        ("s3://no_such_connection@bucket/glacier", 502, "the Airflow connection in dataset_uri does not exist"),
        ("s3://AKIA:hunter2@bucket/glacier", 422, "dataset_uri has a text of 12 characters before '@'"),
    ],
)
def test_a_dataset_that_cannot_be_opened_is_reported_with_the_reason(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch, uri: str, status: int, message: str
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", uri)

    answer = viewer.get("api/overview")

    assert answer.status_code == status
    assert message in answer.json()["detail"]
    assert "hunter2" not in answer.text


def test_a_file_that_cannot_be_read_is_reported_without_a_traceback(viewer: TestClient, dataset: Dataset) -> None:
    observation = observe(dataset, ago(1), {"photos": [job("a")]})
    with open(dataset.path("jobs", observation.observation_id), "wb") as file:  # noqa: PTH123 - a path of a file system
        file.write(b"not Parquet")

    answer = viewer.get("api/overview")

    assert answer.status_code == 502
    detail = answer.json()["detail"]
    assert detail.startswith("The dataset cannot be read: ")
    assert "Traceback" not in detail


class TestAttention:
    def test_nothing_needs_it_in_a_dataset_without_problems(self, ask: Ask, dataset: Dataset) -> None:
        observe(dataset, ago(0.5), {"photos": [job("a", created=ago(1), Tier="Bulk")], "empty": []})

        overview, watch = ask("overview"), ask("watch")

        assert overview["state"] == "ready"
        assert overview["newest_at"] < overview["read_at"]
        assert {kind: overview[kind]["total"] for kind in ("expiring", "failed", "slow")} == {
            "expiring": 0,
            "failed": 0,
            "slow": 0,
        }
        assert {kind: watch[kind]["total"] for kind in ("unlisted", "stale", "gaps")} == {
            "unlisted": 0,
            "stale": 0,
            "gaps": 0,
        }
        assert watch["vaults"] == 2

    def test_outputs_are_sorted_by_expiry_and_overdue_ones_last_with_the_number_of_urgent_ones(
        self, ask: Ask, dataset: Dataset
    ) -> None:
        finished = {"later": 2, "soon": 20, "overdue": 24.2}
        jobs = [job(name, "Succeeded", created=ago(30), completed=ago(hours)) for name, hours in finished.items()]
        observe(dataset, ago(0.1), {"photos": jobs})

        expiring = ask("overview")["expiring"]

        assert [row["job_id"] for row in expiring["rows"]] == ["soon", "later", "overdue"]
        assert (expiring["total"], expiring["urgent"], expiring["at_unknown_time"]) == (3, 2, 0)
        assert [round(row["hours_left"]) for row in expiring["rows"]] == [4, 22, 0]

    def test_failed_jobs_have_glaciers_message_and_are_sorted_newest_first(self, ask: Ask, dataset: Dataset) -> None:
        jobs = [
            job("old", "Failed", created=ago(20), completed=ago(9), StatusMessage="gone"),
            job("new", "Failed", created=ago(20), completed=ago(3), StatusMessage="<b>denied</b>"),
        ]
        observe(dataset, ago(1), {"photos": jobs})

        failed = ask("overview")["failed"]

        assert [(row["job_id"], row["status_message"]) for row in failed["rows"]] == [
            ("new", "<b>denied</b>"),
            ("old", "gone"),
        ]

    def test_slow_jobs_have_the_typical_time(self, ask: Ask, dataset: Dataset) -> None:
        observe(dataset, ago(1), {"photos": [job("slow", created=ago(9), Tier="Standard")]})

        [slow] = ask("overview")["slow"]["rows"]

        assert (slow["job_id"], slow["running_hours"], slow["typical_hours"]) == ("slow", 8.0, 5.0)

    def test_a_vault_that_could_not_be_listed_has_its_error(self, ask: Ask, dataset: Dataset) -> None:
        observe(dataset, ago(3), {"photos": [job("a")], "films": []})
        observe(dataset, ago(0.5), {"photos": "failed", "films": []})

        watch = ask("watch")

        [unlisted] = watch["unlisted"]["rows"]
        assert (unlisted["vault_name"], unlisted["error"], unlisted["failures"]) == (
            "photos",
            "AccessDeniedException",
            1,
        )
        assert watch["stale"]["total"] == 0

    def test_failing_vaults_stale_vaults_and_regions_that_are_not_observed_are_distinguished(
        self, ask: Ask, dataset: Dataset
    ) -> None:
        failing = [f"failing-{number:02}" for number in range(SHOWN + 15)]
        observe(dataset, ago(5), {name: [] for name in [*failing, "forgotten"]})
        observe(dataset, ago(4), {"abroad": []}, region="eu-west-1")
        observe(dataset, ago(0.5), dict.fromkeys(failing, "failed"), scope="named")

        watch = ask("watch")

        assert (watch["unlisted"]["total"], len(watch["unlisted"]["rows"])) == (len(failing), SHOWN)
        assert [row["vault_name"] for row in watch["stale"]["rows"]] == ["forgotten"]
        assert [row["region"] for row in watch["not_observed"]["rows"]] == ["eu-west-1"]
        assert (watch["nothing"], watch["nobody_observes"]) == (False, False)

    def test_an_outage_of_many_vaults_is_one_gap(self, ask: Ask, dataset: Dataset) -> None:
        for hours in (61, 30, 1):
            observe(dataset, ago(hours), {f"vault-{number}": [] for number in range(5)})

        gaps = ask("watch")["gaps"]

        assert gaps["total"] == 2
        newest = gaps["rows"][0]
        assert (newest["vaults"], len(newest["names"]), round(newest["gap_hours"])) == (5, 3, 29)


def test_each_filter_has_its_values_and_their_numbers_of_jobs(ask: Ask, dataset: Dataset) -> None:
    jobs: list[Any] = [job("a", Tier="Bulk"), job("b", "Failed"), job("c", Tier="Bulk")]
    observe(dataset, ago(1), {"photos": jobs, "films": [job("d")], "empty": []})

    choices = ask("overview")["choices"]

    def jobs_by_value(name: str) -> dict[str, int]:
        return {choice["value"]: choice["jobs"] for choice in choices[name]}

    assert jobs_by_value("vault") == {"films": 1, "photos": 3}
    assert jobs_by_value("status") == {"Failed": 1, "InProgress": 3}
    assert jobs_by_value("tier") == {"": 2, "Bulk": 2}
    assert jobs_by_value("region") == {"us-east-1": 4}
