from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest

from glacier_jobs import reports
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.reports.arguments import SORTABLE
from tests.hand_written import arn, job, observe
from tests.reports.conftest import NOON, ask, hours

#: The required arguments of each question.
GIVEN: dict[str, dict[str, Any]] = {
    "job_observations": {"vault_arn": arn("photos"), "job_id": "a", "since": NOON - timedelta(days=1)}
}


@pytest.mark.parametrize("question", reports.LOOKUPS)
def test_without_any_observation_the_answer_is_empty_with_its_columns(dataset: Dataset, question: str) -> None:
    empty = reports.run(question, dataset, **GIVEN.get(question, {}))
    observe(dataset, NOON, {"photos": [job("a")]})

    answer = reports.run(question, dataset, now=NOON + hours(1), **GIVEN.get(question, {}))

    assert (empty.num_rows, answer.num_rows) == (0, 1)
    assert empty.schema == answer.schema


@pytest.mark.parametrize("question", reports.LOOKUPS)
def test_the_header_of_a_questions_file_documents_grain_columns_and_units(dataset: Dataset, question: str) -> None:
    text = files("glacier_jobs").joinpath(f"sql/{question}.sql").read_text()
    header = text[: text.index("\n", text.rindex("\n-- ", 0, text.index("SELECT")) + 1)]

    for heading in ("Question:", "Grain:", "Tables:", "Columns:", "Units:"):
        assert f"-- {heading}" in header
    if question != "job_observations":
        for column in reports.run(question, dataset).schema.names:
            assert column in header


def test_jobs_can_be_sorted_by_every_column_except_the_number_of_matches(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a", created=NOON), job("b", created=NOON - hours(1))]})

    assert set(SORTABLE) == set(reports.run("found_jobs", dataset).schema.names) - {"matches"}
    for column in SORTABLE:
        forth = ask(dataset, "found_jobs", column, sort=column, descending=False)
        back = ask(dataset, "found_jobs", column, sort=column, descending=True)
        assert forth == back[::-1]


def test_outputs_by_their_expiry_begin_with_those_that_can_still_be_downloaded(dataset: Dataset) -> None:
    jobs = [job(f"{age}", "Succeeded", completed=NOON - hours(age)) for age in (1, 20, 25, 30)]
    observe(dataset, NOON, {"photos": [*jobs, job("running")]})

    def sorted_jobs(*, descending: bool) -> list[str]:
        now = NOON + hours(1)
        rows = ask(dataset, "found_jobs", "job_id", sort="expires_at", descending=descending, now=now)
        return [job_id for (job_id,) in rows]

    assert sorted_jobs(descending=False) == ["20", "1", "30", "25", "running"]
    assert sorted_jobs(descending=True) == ["1", "20", "25", "30", "running"]


@pytest.mark.parametrize(
    ("question", "params", "message"),
    [
        ("job_observations", {"job_id": "a"}, "vault_arn must be given"),
        ("job_observations", {"vault_arn": "photos", "job_id": "a"}, "vault_arn: found 'photos'"),
        ("found_jobs", {"sort": "job_id desc; --"}, "sort is .* expected one of account_id"),
        ("found_jobs", {"descending": "no"}, "descending is 'no'; expected True or False"),
        ("found_jobs", {"vault_names": "photos"}, "vault_names is 'photos'; expected a list of texts"),
        ("found_jobs", {"text": 7}, "text is 7; expected a text"),
        ("found_jobs", {"text": "\ud800"}, r"text is '\\ud800'; expected a text"),
        ("found_jobs", {"vault_names": ["\ud800"]}, r"vault_names is .*ud800.*; expected a list of texts"),
        ("found_jobs", {"row_limit": 1.5}, "row_limit is 1.5; expected a whole number"),
        ("found_jobs", {"offset": -1}, "offset is -1; expected a whole number of at least 0"),
    ],
)
def test_an_invalid_argument_is_refused_with_a_message(
    dataset: Dataset, question: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        reports.run(question, dataset, **params)


class TestUnlistedVaults:
    def test_a_vault_whose_newest_listing_failed_is_reported_with_its_error(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [], "films": []})
        observe(dataset, NOON + hours(1), {"photos": "failed", "films": []})
        observe(dataset, NOON + hours(2), {"photos": "failed", "films": []})

        rows = ask(
            dataset, "unlisted_vaults", "vault_name", "error", "failures", "listed_at", "unlisted_hours",
            now=NOON + hours(3),
        )  # fmt: skip

        assert rows == [("photos", "AccessDeniedException", 2, NOON, 3.0)]

    def test_a_vault_that_was_never_listed_comes_first(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": []})
        observe(dataset, NOON + hours(1), {"photos": "failed", "films": "failed"})

        rows = ask(dataset, "unlisted_vaults", "vault_name", "listed_at", now=NOON + hours(2))

        assert rows == [("films", None), ("photos", NOON)]

    def test_a_vault_that_was_listed_again_is_not_reported(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": "failed"})
        observe(dataset, NOON + hours(1), {"photos": []})

        assert ask(dataset, "unlisted_vaults", "vault_name", now=NOON + hours(2)) == []

    def test_a_vault_that_is_gone_since_then_is_not_reported(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": "failed", "films": "failed", "lists": []})
        observe(dataset, NOON + hours(1), {"photos": "gone", "lists": []})

        assert ask(dataset, "unlisted_vaults", "vault_name", now=NOON + hours(2)) == []

    def test_a_vault_that_was_not_observed_for_a_long_time_is_not_reported(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": "failed"})

        assert ask(dataset, "unlisted_vaults", "vault_name", now=NOON + timedelta(days=8)) == []
        assert ask(dataset, "unlisted_vaults", "vault_name", since=NOON, now=NOON + timedelta(days=8)) == [("photos",)]


class TestJobObservations:
    def test_only_the_listings_of_that_job_in_that_period_are_returned(self, dataset: Dataset) -> None:
        for hour in range(4):
            observe(dataset, NOON + hours(hour), {"photos": [job("a"), job("b")], "films": [job("a")]})

        rows = ask(
            dataset, "job_observations", "vault_name", "job_id", "snapshot_at", vault_arn=arn("photos"), job_id="a",
            since=NOON + hours(1), until=NOON + hours(3), now=NOON + hours(9),
        )  # fmt: skip

        assert rows == [("photos", "a", NOON + hours(1)), ("photos", "a", NOON + hours(2))]
