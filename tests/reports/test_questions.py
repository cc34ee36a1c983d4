from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from glacier_jobs import reports
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import InvalidArgument, MalformedFile
from glacier_jobs.history import History
from tests.hand_written import aggregate, arn, job, observe
from tests.observations import local_dataset
from tests.reports.conftest import NOON, ask, hours

MB = 1024 * 1024
HOSTILE = ["<script>alert(1)</script>", "'; drop table jobs; --", '"', "$now", "\\", "{{ 7 * 7 }}", "ü\u2028"]


def destroy(dataset: Dataset, *tables: str, before: date = date.max) -> None:
    """Overwrite the raw files before a date, so that opening one raises an error."""
    for table in tables:
        for path in Path(dataset.root).rglob(f"{table}/**/*.parquet"):
            if path.parent.name < f"snapshot_date={before}":
                path.write_bytes(b"not Parquet")


class TestLatestJobs:
    def test_each_vault_has_the_jobs_of_the_newest_observation_that_listed_it(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("old")], "films": [job("film")]})
        observe(dataset, NOON + hours(1), {"photos": [job("new")], "films": "failed"})

        rows = ask(dataset, "latest_jobs", "vault_name", "job_id", "as_of", "age_hours", now=NOON + hours(3))

        assert rows == [("films", "film", NOON, 3.0), ("photos", "new", NOON + hours(1), 2.0)]

    def test_a_vault_that_was_not_named_again_is_stale_and_not_empty(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")], "films": [job("b")]})
        observe(dataset, NOON + hours(50), {"films": [job("c")]}, scope="named")

        rows = ask(dataset, "latest_jobs", "vault_name", "job_id", "age_hours", now=NOON + hours(51))

        assert rows == [("films", "c", 1.0), ("photos", "a", 51.0)]

    def test_a_vault_that_is_empty_has_no_jobs(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(1), {"photos": []})

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(2)) == []

    def test_a_vault_observed_gone_has_no_jobs(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")], "films": [job("b")]})
        observe(dataset, NOON + hours(1), {"photos": "gone", "films": "failed"})

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(2)) == [("b",)]

    def test_a_vault_that_a_complete_observation_does_not_mention_is_gone(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")], "films": [job("b")]})
        observe(dataset, NOON + hours(1), {"films": [job("b")]})

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(2)) == [("b",)]

    def test_a_vault_made_again_after_it_was_gone_has_its_new_jobs(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(1), {})
        observe(dataset, NOON + hours(2), {"photos": [job("b")]})

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(3)) == [("b",)]

    def test_vaults_of_the_same_name_in_two_regions_are_two_vaults(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(1), {"photos": [job("b")]}, region="eu-west-1")

        assert ask(dataset, "latest_jobs", "region", "job_id", now=NOON + hours(2)) == [
            ("eu-west-1", "b"),
            ("us-east-1", "a"),
        ]

    def test_an_uncommitted_observation_is_ignored(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        uncommitted = observe(dataset, NOON + hours(1), {"photos": [job("b")]})
        Path(dataset.path("observations", uncommitted.observation_id)).unlink()

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(2)) == [("a",)]

    def test_only_the_newest_observations_are_opened(self, dataset: Dataset) -> None:
        for day in range(5):
            observe(dataset, NOON + hours(24 * day), {"photos": [job(f"job-{day}")]})
        destroy(dataset, "jobs", "vaults", "observations", before=date(2026, 11, 22))

        assert ask(dataset, "latest_jobs", "job_id", now=NOON + hours(97)) == [("job-4",)]

    def test_with_aggregated_days_no_raw_file_is_opened_for_a_vault_that_cannot_be_listed(
        self, dataset: Dataset
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a")], "films": [job("b")]})
        for day in range(1, 5):
            observe(dataset, NOON + hours(24 * day), {"photos": "failed", "films": [job("b")]})
        before = reports.run("latest_jobs", dataset, now=NOON + hours(97))
        aggregate(dataset, NOON + hours(96))
        destroy(dataset, "vaults", "observations", before=date(2026, 11, 21))

        assert reports.run("latest_jobs", dataset, now=NOON + hours(97)).equals(before)
        assert sorted(before["job_id"].to_pylist()) == ["a", "b"]


class TestLatestVaults:
    def test_each_vault_has_the_age_and_the_job_counts_of_its_listing(self, dataset: Dataset) -> None:
        jobs = [job("a"), job("b", "Failed"), job("c", "Succeeded"), job("d", "Succeeded")]
        observe(dataset, NOON, {"photos": jobs, "empty": [], "deleted": [job("e")]})
        observe(dataset, NOON + hours(2), {"photos": "failed", "empty": []})

        rows = ask(
            dataset, "latest_vaults", "vault_name", "age_hours", "in_progress", "succeeded", "failed",
            now=NOON + hours(3),
        )  # fmt: skip

        assert rows == [("photos", 3.0, 1, 2, 1), ("empty", 1.0, 0, 0, 0)]


class TestLatestTargets:
    def test_vaults_and_jobs_are_counted_by_account_and_region(self, dataset: Dataset) -> None:
        jobs = [job("a"), job("b", "Failed"), job("c", "Succeeded"), job("d", "Succeeded")]
        observe(dataset, NOON, {"photos": jobs, "empty": [], "deleted": [job("e")]})
        observe(dataset, NOON + hours(2), {"photos": "failed", "empty": [job("f")]})
        observe(dataset, NOON + hours(1), {"photos": []}, region="eu-west-1")
        observe(dataset, NOON + hours(1), {}, region="sa-east-1")

        rows = ask(
            dataset, "latest_targets", "account_id", "region", "vaults", "as_of", "age_hours", "in_progress",
            "succeeded", "failed", now=NOON + hours(3),
        )  # fmt: skip

        assert rows == [
            ("123456789012", "eu-west-1", 1, NOON + hours(1), 2.0, 0, 0, 0),
            ("123456789012", "us-east-1", 2, NOON, 3.0, 2, 2, 1),
        ]


class TestExpiringOutputs:
    def test_outputs_are_sorted_by_the_hours_left(self, dataset: Dataset) -> None:
        observe(
            dataset,
            NOON,
            {
                "photos": [
                    job("late", "Succeeded", completed=NOON - hours(2)),
                    job("soon", "Succeeded", completed=NOON - hours(20), ArchiveSizeInBytes=10 * MB),
                    job("part", "Succeeded", completed=NOON - hours(10), ArchiveSizeInBytes=9 * MB,
                        RetrievalByteRange="0-1048575"),
                    job("running"),
                    job("broken", "Failed", completed=NOON - hours(1)),
                ]
            },
        )  # fmt: skip

        rows = ask(dataset, "expiring_outputs", "job_id", "hours_left", "bytes", "expires_at", now=NOON + hours(1))

        assert rows == [
            ("soon", 3.0, 10 * MB, NOON + hours(4)),
            ("part", 13.0, MB, NOON + hours(14)),
            ("late", 21.0, None, NOON + hours(22)),
        ]

    def test_outputs_can_be_limited_to_those_with_fewer_hours_left(self, dataset: Dataset) -> None:
        jobs = [job(str(age), "Succeeded", completed=NOON - hours(age)) for age in (1, 19, 23)]
        observe(dataset, NOON, {"photos": jobs})

        assert ask(dataset, "expiring_outputs", "job_id", now=NOON, within_hours=6) == [("23",), ("19",)]

    def test_overdue_outputs_and_unknown_times_follow_what_can_still_be_downloaded(self, dataset: Dataset) -> None:
        jobs = [job(str(age), "Succeeded", completed=NOON - hours(age)) for age in (26, 24, 25, 23, 19)]
        observe(dataset, NOON, {"photos": [*jobs, job("unknown", "Succeeded")]})

        found = [job_id for (job_id,) in ask(dataset, "expiring_outputs", "job_id", now=NOON)]

        assert found == ["23", "19", "unknown", "24", "25", "26"]

    def test_an_overdue_output_that_was_still_listed_is_shown_for_a_day(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a", "Succeeded", completed=NOON - hours(25))]})

        assert ask(dataset, "expiring_outputs", "hours_left", now=NOON + hours(1)) == [(-2.0,)]
        assert ask(dataset, "expiring_outputs", "hours_left", now=NOON + hours(24)) == []


class TestSlowerThanTypical:
    def test_a_job_is_slow_if_it_takes_longer_than_is_typical_for_its_tier(self, dataset: Dataset) -> None:
        def running(tier: str | None, for_hours: float) -> dict[str, Any]:
            fields: dict[str, Any] = {"Tier": tier} if tier else {}
            return job(f"{tier} {for_hours}", created=NOON - hours(for_hours), **fields)

        observe(
            dataset,
            NOON,
            {
                "photos": [
                    running("Expedited", 0.05),
                    running("Expedited", 0.25),
                    running("Standard", 4.9),
                    running("Standard", 5.5),
                    running("Bulk", 11),
                    running("Bulk", 14),
                    running(None, 4.5),
                    running(None, 6),
                    job("done", "Succeeded", created=NOON - hours(30)),
                ]
            },
        )

        rows = ask(dataset, "slower_than_typical", "job_id", "tier", "running_hours", "typical_hours", now=NOON)

        assert rows == [
            ("Bulk 14", "Bulk", 14.0, 12.0),
            ("None 6", "Standard", 6.0, 5.0),
            ("Standard 5.5", "Standard", 5.5, 5.0),
            ("Expedited 0.25", "Expedited", 0.25, pytest.approx(5 / 60)),
        ]

    def test_an_expedited_retrieval_that_is_too_large_counts_as_standard(self, dataset: Dataset) -> None:
        jobs = [
            job("large", created=NOON - hours(1), Tier="Expedited", ArchiveSizeInBytes=251 * MB),
            job("small", created=NOON - hours(1), Tier="Expedited", ArchiveSizeInBytes=250 * MB),
        ]
        observe(dataset, NOON, {"photos": jobs})

        assert ask(dataset, "slower_than_typical", "job_id", now=NOON) == [("small",)]

    def test_the_typical_hours_are_arguments(self, dataset: Dataset) -> None:
        jobs = [job(tier, created=NOON - hours(2), Tier=tier) for tier in ("Expedited", "Standard", "Bulk")]
        observe(dataset, NOON, {"photos": jobs})

        def slow(**params: Any) -> set[str]:
            return {job_id for (job_id,) in ask(dataset, "slower_than_typical", "job_id", now=NOON, **params)}

        assert slow() == {"Expedited"}
        assert slow(expedited_minutes=180) == set()
        assert slow(standard_hours=1) == {"Expedited", "Standard"}
        assert slow(bulk_hours=1.5) == {"Expedited", "Bulk"}

    def test_a_jobs_duration_ends_when_it_was_last_seen_running(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a", created=NOON - hours(4), Tier="Standard")]})

        assert ask(dataset, "slower_than_typical", "job_id", now=NOON + hours(3)) == []


class TestFailures:
    def test_failures_of_the_last_hours_have_glaciers_message(self, dataset: Dataset) -> None:
        failed = job("a", "Failed", completed=NOON - hours(2), StatusMessage="Archive not found", Tier="Bulk")
        old = job("b", "Failed", completed=NOON - hours(25))
        observe(dataset, NOON, {"photos": [failed, old, job("c"), job("d", "Succeeded", completed=NOON)]})
        observe(dataset, NOON + hours(1), {"photos": [failed]})

        rows = ask(
            dataset, "failures", "job_id", "failed_at", "status_message", "tier", "last_seen_at", now=NOON + hours(1)
        )

        assert rows == [("a", NOON - hours(2), "Archive not found", "Bulk", NOON + hours(1))]
        assert ask(dataset, "failures", "job_id", now=NOON + hours(1), hours=48) == [("a",), ("b",)]

    def test_a_failure_that_glacier_no_longer_lists_is_still_reported(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON - hours(1))]})
        observe(dataset, NOON + hours(26), {"photos": []})

        assert ask(dataset, "failures", "job_id", now=NOON + hours(27), hours=30) == [("a",)]

    def test_without_a_completion_date_it_failed_when_a_listing_first_showed_that(self, dataset: Dataset) -> None:
        observe(dataset, NOON - hours(3), {"photos": [job("a")]})
        for hour in (-2, 1, 14):
            observe(dataset, NOON + hours(hour), {"photos": [job("a", "Failed")]})

        columns = ("failed_at", "first_failed_at", "last_seen_at")
        failed_at = NOON - hours(2)
        assert ask(dataset, "failures", *columns, now=NOON + hours(15)) == [(failed_at, failed_at, NOON + hours(14))]
        assert ask(dataset, "failures", *columns, now=NOON + hours(15), hours=16) == []

    def test_a_job_that_is_not_failed_any_more_is_not_reported(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": [job("a", "Failed", completed=NOON)]})
        observe(dataset, NOON + hours(1), {"photos": [job("a", "Succeeded", completed=NOON)]})

        assert ask(dataset, "failures", "job_id", now=NOON + hours(2)) == []

    def test_a_listing_after_midnight_by_an_observation_of_the_day_before_counts(self, dataset: Dataset) -> None:
        late = NOON + hours(11.9)
        observe(dataset, late, {"photos": [job("a", "Failed")]}, listed_after=hours(0.5))

        assert ask(dataset, "failures", "job_id", now=NOON + hours(13), hours=0.9) == [("a",)]


class TestCoverage:
    columns = ("vault_name", "from_hour", "to_hour", "hours", "observed", "listings", "gap_hours", "beyond_retention")

    def test_observed_and_missed_hours_are_distinguished(self, dataset: Dataset) -> None:
        for hour in (0, 1, 1.5, 4):
            observe(dataset, NOON + hours(hour), {"photos": []})

        assert ask(dataset, "coverage", *self.columns, now=NOON + hours(4.5)) == [
            ("photos", NOON, NOON + hours(2), 2, True, 3, None, False),
            ("photos", NOON + hours(2), NOON + hours(4), 2, False, 0, 2.5, False),
            ("photos", NOON + hours(4), NOON + hours(5), 1, True, 1, None, False),
        ]

    @pytest.mark.parametrize(("gap", "beyond"), [(24, False), (24.01, True), (30, True)])
    def test_a_gap_longer_than_glaciers_retention_is_marked(self, dataset: Dataset, gap: float, beyond: bool) -> None:
        observe(dataset, NOON, {"photos": []})
        observe(dataset, NOON + hours(gap), {"photos": []})

        assert ask(dataset, "coverage", "observed", "beyond_retention", now=NOON + hours(gap + 0.5)) == [
            (True, False),
            (False, beyond),
            (True, False),
        ]

    def test_a_listing_that_failed_covers_nothing(self, dataset: Dataset) -> None:
        for hour in range(30):
            observe(dataset, NOON + hours(hour), {"photos": "failed" if hour else [], "films": []})

        rows = ask(dataset, "coverage", *self.columns, now=NOON + hours(30))

        assert rows == [
            ("films", NOON, NOON + hours(30), 30, True, 30, None, False),
            ("photos", NOON, NOON + hours(1), 1, True, 1, None, False),
            ("photos", NOON + hours(1), NOON + hours(30), 29, False, 0, 30.0, True),
        ]

    def test_a_gap_that_began_before_the_period_has_its_full_length(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": []})
        observe(dataset, NOON + hours(100), {"photos": []})

        rows = ask(dataset, "coverage", *self.columns, since=NOON + hours(99), now=NOON + hours(100.5))

        assert rows == [
            ("photos", NOON + hours(99), NOON + hours(100), 1, False, 0, 100.0, True),
            ("photos", NOON + hours(100), NOON + hours(101), 1, True, 1, None, False),
        ]

    def test_a_gap_that_a_listing_of_an_observation_of_the_day_before_ended_has_its_full_length(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON - hours(30), {"photos": []})
        late = NOON + hours(11.9)
        observe(dataset, late, {"photos": []}, listed_after=hours(1.1))
        observe(dataset, NOON + hours(24), {"photos": []}, scope="named")
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "coverage", *self.columns, since=NOON + hours(12), now=NOON + hours(14))

        assert rows == [
            ("photos", NOON + hours(12), NOON + hours(13), 1, False, 0, 43.0, True),
            ("photos", NOON + hours(13), NOON + hours(14), 1, True, 1, None, False),
        ]

    def test_coverage_of_a_vault_ends_when_it_is_gone_and_starts_again_when_it_is_back(self, dataset: Dataset) -> None:
        observe(dataset, NOON, {"photos": []})
        observe(dataset, NOON + hours(1), {})
        observe(dataset, NOON + hours(40), {"photos": []})

        assert ask(dataset, "coverage", "from_hour", "observed", now=NOON + hours(40.5)) == [
            (NOON, True),
            (NOON + hours(40), True),
        ]

    def test_stretches_of_a_vault_that_is_made_again_within_an_hour_are_in_order(self, dataset: Dataset) -> None:
        moment = NOON
        for listings in range(1, 6):
            for exists in [True] * listings + [False]:
                observe(dataset, moment, {"photos": []} if exists else {})
                moment += hours(1 / 30)

        assert ask(dataset, "coverage", "from_hour", "listings", since=NOON, now=NOON + hours(1)) == [
            (NOON, listings) for listings in range(1, 6)
        ]

    def test_the_period_can_be_given_as_dates(self, dataset: Dataset) -> None:
        for day in range(4):
            observe(dataset, NOON + hours(24 * day), {"photos": []})

        rows = ask(dataset, "coverage", "from_hour", "to_hour", "observed", since="2026-11-19", until="2026-11-20")

        midnight = NOON - hours(12)
        assert rows == [
            (midnight + hours(24), midnight + hours(36), False),
            (midnight + hours(36), midnight + hours(37), True),
            (midnight + hours(37), midnight + hours(48), False),
        ]


Aggregate = Callable[[Dataset], None]


@pytest.fixture(params=["raw", "aggregated"])
def aggregate_finalized_days(request: pytest.FixtureRequest) -> Aggregate:
    """Run a test on raw files alone, and on as many aggregated days as possible."""
    return (lambda dataset: aggregate(dataset, NOON + hours(200))) if request.param == "aggregated" else lambda _: None


class TestUnlistedVaults:
    columns = ("vault_name", "failed_at", "error", "failures", "listed_at", "unlisted_hours")

    def test_a_vault_whose_newest_listing_failed_is_reported_with_the_reason(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON - hours(1), {"films": "failed"})
        observe(dataset, NOON, {"photos": [], "films": "failed", "music": "failed", "plays": "failed"})
        observe(dataset, NOON + hours(24), {"photos": "failed", "films": "failed", "music": []})
        observe(dataset, NOON + hours(26), {"photos": "failed"}, scope="named")
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "unlisted_vaults", *self.columns, now=NOON + hours(30))

        assert rows == [
            ("films", NOON + hours(24), "AccessDeniedException", 3, None, None),
            ("photos", NOON + hours(26), "AccessDeniedException", 2, NOON, 30.0),
        ]

    def test_a_vault_that_was_not_observed_lately_is_not_reported(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": "failed"})
        observe(dataset, NOON + hours(24), {"films": "failed"}, scope="named")
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "unlisted_vaults", "vault_name", since=NOON + hours(1), now=NOON + hours(30))

        assert rows == [("films",)]

    def test_a_vault_that_exists_again_has_not_the_dates_of_the_one_before(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": []})
        observe(dataset, NOON + hours(1), {})
        observe(dataset, NOON + hours(24), {"photos": "failed"})
        aggregate_finalized_days(dataset)

        rows = ask(
            dataset, "unlisted_vaults", "vault_name", "listed_at", "unlisted_hours", "failures", now=NOON + hours(25)
        )

        assert rows == [("photos", None, None, 1)]

    def test_failures_before_the_period_are_not_counted(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        for hour in (0, 1, 2, 24):
            observe(dataset, NOON + hours(hour), {"photos": "failed"})
        aggregate_finalized_days(dataset)

        asked = {"since": NOON + hours(1), "now": NOON + hours(25)}
        assert ask(dataset, "unlisted_vaults", "failures", **asked) == [(3,)]


class TestJobHistory:
    def test_a_job_that_succeeded_is_one_row_with_all_its_times(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        created, completed = NOON - hours(1), NOON + hours(3)
        fields: dict[str, Any] = {"Tier": "Standard", "ArchiveSizeInBytes": 5 * MB, "JobDescription": "restore"}
        observe(dataset, NOON, {"photos": [job("a", created=created, **fields)]})
        done = job("a", "Succeeded", created=created, completed=completed, StatusMessage="Succeeded", **fields)
        observe(dataset, NOON + hours(4), {"photos": [done]})
        observe(dataset, NOON + hours(27), {"photos": [done]})
        observe(dataset, NOON + hours(28), {"photos": []})
        aggregate_finalized_days(dataset)

        (row,) = reports.run("job_history", dataset).to_pylist()

        assert row == {
            "account_id": "123456789012",
            "region": "us-east-1",
            "vault_name": "photos",
            "vault_arn": arn("photos"),
            "job_id": "a",
            "outcome": "succeeded",
            "as_of": NOON + hours(27),
            "action": "ArchiveRetrieval",
            "tier": "Standard",
            "job_description": "restore",
            "archive_id": None,
            "retrieval_byte_range": None,
            "creation_date": created,
            "completion_date": completed,
            "duration_seconds": 4 * 3600.0,
            "bytes": 5 * MB,
            "status_code": "Succeeded",
            "status_message": "Succeeded",
            "first_seen_at": NOON,
            "last_seen_at": NOON + hours(27),
            "observation_count": 3,
        }

    def test_every_outcome(self, dataset: Dataset, aggregate_finalized_days: Aggregate) -> None:
        observe(
            dataset,
            NOON,
            {
                "photos": [job("runs"), job("fails"), job("vanishes")],
                "deleted": [job("in a deleted vault")],
                "missing": [job("in a missing vault")],
                "outage": [job("lost in an outage"), job("survives an outage")],
                "unlisted": [job("cannot be seen")],
            },
        )
        observe(dataset, NOON, {"films": [job("forgotten")]}, region="eu-west-1")
        # A failed listing proves nothing about the vault's jobs.
        observe(
            dataset,
            NOON + hours(23),
            {
                "photos": [job("runs"), job("fails", "Failed")],
                "deleted": "gone",
                "outage": "failed",
                "unlisted": "failed",
            },
        )
        observe(
            dataset,
            NOON + hours(30),
            {"photos": [job("runs")], "outage": [job("survives an outage")], "unlisted": "failed"},
        )
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "job_history", "job_id", "outcome", "as_of")

        assert {job_id: (outcome, as_of) for job_id, outcome, as_of in rows} == {
            "runs": ("in_progress", NOON + hours(30)),
            "fails": ("failed", NOON + hours(23)),
            "vanishes": ("vanished", NOON + hours(23)),
            "in a deleted vault": ("vault_gone", NOON + hours(23)),
            "in a missing vault": ("vault_gone", NOON + hours(23)),
            "lost in an outage": ("unknown_gap", NOON + hours(30)),
            "survives an outage": ("in_progress", NOON + hours(30)),
            "cannot be seen": ("unknown_gap", NOON + hours(30)),
            "forgotten": ("stale", NOON),
        }

    @pytest.mark.parametrize(("gap", "outcome"), [(23.99, "vanished"), (24, "unknown_gap")])
    def test_a_listing_within_24_hours_must_show_the_job(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate, gap: float, outcome: str
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(gap), {"photos": []})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "outcome") == [(outcome,)]

    def test_a_job_that_was_missed_and_comes_back_is_one_row(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(1), {"photos": []})
        observe(dataset, NOON + hours(24), {"photos": [job("a", "Succeeded")]})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "outcome", "first_seen_at", "last_seen_at", "observation_count") == [
            ("succeeded", NOON, NOON + hours(24), 2)
        ]

    def test_a_job_that_an_outage_hid_is_one_row_for_any_period_and_in_the_files(self, dataset: Dataset) -> None:
        done = job("a", "Succeeded", created=NOON - hours(4), completed=NOON - hours(1))
        observe(dataset, NOON, {"photos": [done]})
        for hour in (60, 80, 100):
            observe(dataset, NOON + hours(hour), {"photos": [done] if hour == 60 else []})
        aggregate(dataset, NOON + hours(120))

        rows = ask(dataset, "job_history", "first_seen_at", "last_seen_at", since=NOON + hours(50))
        assert rows == [(NOON, NOON + hours(60))]
        assert job_ids_in_files(dataset) == ["a"]

    def test_a_job_that_was_missed_for_days_and_comes_back_has_its_whole_life(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        back = NOON + hours(72)
        created = NOON - hours(1)
        observe(dataset, NOON, {"photos": [job("a", created=created)], "films": [job("b", created=created)]})
        observe(dataset, NOON + hours(1), {"photos": [], "films": []})
        observe(dataset, back, {"photos": [job("a", created=created)], "films": []})
        observe(dataset, back + hours(1), {"photos": [], "films": []})
        observe(dataset, back + hours(24), {"photos": [], "films": []})
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "job_history", "job_id", "first_seen_at", "observation_count", since=back)
        assert rows == [("a", NOON, 2)]

    def test_finished_jobs_of_a_region_that_is_not_observed_any_more_are_closed_after_seven_days(
        self, dataset: Dataset
    ) -> None:
        done = job("a", "Succeeded", created=NOON - hours(4), completed=NOON - hours(1))
        observe(dataset, NOON, {"photos": [done, job("b")]})
        observe(dataset, NOON + hours(24 * 8), {}, region="eu-west-1")
        before = reports.run("job_history", dataset)

        aggregate(dataset, NOON + hours(24 * 7))
        assert job_ids_in_files(dataset) == []
        aggregate(dataset, NOON + hours(24 * 9))

        assert job_ids_in_files(dataset) == ["a"]
        assert History.beside(dataset).open_jobs(date(2026, 11, 26))["job_id"].to_pylist() == ["b"]
        assert reports.run("job_history", dataset).equals(before)

    def test_a_job_that_is_listed_again_after_more_than_seven_days_has_its_whole_life(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        done = job("a", "Succeeded", created=NOON - hours(4), completed=NOON - hours(1))
        observe(dataset, NOON, {"photos": [done]})
        observe(dataset, NOON + hours(24 * 9), {"photos": [done]})
        observe(dataset, NOON + hours(24 * 10), {"photos": [done]})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "first_seen_at", "observation_count") == [(NOON, 3)]

    def test_a_status_that_is_not_known_is_passed_through(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a", "Paused"), job("b")]})
        observe(dataset, NOON + hours(1), {"photos": []})
        observe(dataset, NOON + hours(24), {"photos": []})
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "job_history", "job_id", "outcome", "as_of", "status_code")
        assert sorted(rows) == [
            ("a", "Paused", NOON, "Paused"),
            ("b", "vanished", NOON + hours(1), "InProgress"),
        ]

    def test_a_listing_that_began_before_the_job_was_seen_does_not_miss_it(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a")]}, lasting=hours(1))
        observe(dataset, NOON + hours(0.5), {"photos": []})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "outcome") == [("in_progress",)]

    def test_a_listing_over_midnight_still_counts_on_the_next_day(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        late = NOON + hours(11.9)
        observe(dataset, late, {"photos": []}, listed_after=hours(1))
        observe(dataset, late + hours(0.2), {"photos": [job("a")]})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "outcome", "as_of") == [("vanished", late + hours(1))]

    def test_jobs_can_be_limited_to_a_period(self, dataset: Dataset, aggregate_finalized_days: Aggregate) -> None:
        for day in range(4):
            observe(dataset, NOON + hours(24 * day), {"photos": [job(f"job-{day}")]})
        aggregate_finalized_days(dataset)

        rows = ask(dataset, "job_history", "job_id", since=date(2026, 11, 19), until=date(2026, 11, 21))

        assert sorted(rows) == [("job-1",), ("job-2",)]

    def test_no_raw_file_of_an_aggregated_day_is_opened(self, dataset: Dataset) -> None:
        for hour in (0, 1, 24, 25, 48):
            observe(dataset, NOON + hours(hour), {"photos": [job("a"), job(f"job-{hour}")]})
        expected = reports.run("job_history", dataset)
        aggregate(dataset, NOON + hours(48))
        destroy(dataset, "jobs", "vaults", "observations", before=date(2026, 11, 20))

        assert reports.run("job_history", dataset).equals(expected)


class TestExpiredOutputs:
    @pytest.fixture
    def dataset(self, dataset: Dataset, aggregate_finalized_days: Aggregate) -> Dataset:
        """Jobs that were listed once, and twice after Glacier had dropped them."""
        jobs = [
            job("a", "Succeeded", created=NOON - hours(9), completed=NOON - hours(5), JobDescription=HOSTILE[0],
                ArchiveSizeInBytes=9 * MB, RetrievalByteRange="0-1048575"),
            job("b", "Succeeded", completed=NOON - hours(2)),
            job("without a completion date", "Succeeded"),
            job("broken", "Failed", completed=NOON - hours(5)),
            job("running"),
        ]  # fmt: skip
        observe(dataset, NOON, {"photos": jobs, "films": [job("f", "Succeeded", completed=NOON - hours(4))]})
        for later in (30, 60):
            observe(dataset, NOON + hours(later), {"photos": [], "films": "failed"})
        aggregate_finalized_days(dataset)
        return dataset

    def test_an_output_expires_24_hours_after_its_job_completed(self, dataset: Dataset) -> None:
        rows = ask(dataset, "expired_outputs", "job_id", "expired_at", "last_seen_at", now=NOON + hours(60))

        assert rows == [
            ("without a completion date", NOON + hours(24), NOON),
            ("b", NOON + hours(22), NOON),
            ("f", NOON + hours(20), NOON),
            ("a", NOON + hours(19), NOON),
        ]
        assert ask(dataset, "expired_outputs", "job_id", "job_description", "bytes", now=NOON + hours(60))[-1] == (
            "a", HOSTILE[0], MB,
        )  # fmt: skip
        assert ask(dataset, "expired_outputs", "job_id", now=NOON + hours(20)) == [("f",), ("a",)]

    def test_answers_can_be_limited_to_outputs_that_expired_in_a_period(self, dataset: Dataset) -> None:
        period = {"since": NOON + hours(20), "until": NOON + hours(24)}

        assert ask(dataset, "expired_outputs", "job_id", **period) == [("b",), ("f",)]

    def test_an_output_that_may_still_be_downloaded_has_not_expired(self, tmp_path: Path) -> None:
        dataset = local_dataset(tmp_path / "kept for longer")
        observe(dataset, NOON, {"photos": [job("a", "Succeeded", completed=NOON - hours(25))]})

        def in_one_of_two(now: datetime) -> list[str]:
            return [name for name in ("expiring_outputs", "expired_outputs") if ask(dataset, name, "job_id", now=now)]

        assert in_one_of_two(NOON + hours(1)) == ["expiring_outputs"]
        assert in_one_of_two(NOON + hours(24)) == ["expired_outputs"]


class TestRetrievalTimesAndDailyVolume:
    @pytest.fixture(params=[False, True], ids=["raw", "aggregated"])
    def dataset(self, request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
        """Two days of completed jobs."""
        dataset = local_dataset(tmp_path)

        def done(job_id: str, took: float, **fields: Any) -> dict[str, Any]:
            return job(job_id, fields.pop("status", "Succeeded"), created=NOON - hours(took), completed=NOON, **fields)

        standard = [done(f"s{took}", took, Tier="Standard", ArchiveSizeInBytes=MB) for took in (1, 2, 3, 4, 5)]
        others = [
            done("bulk", 10, Tier="Bulk", ArchiveSizeInBytes=10 * MB, RetrievalByteRange="1048576-3145727"),
            done("inventory", 4, Action="InventoryRetrieval", InventorySizeInBytes=7),
            done("failed", 2, status="Failed", Tier="Bulk", ArchiveSizeInBytes=MB),
            job("running", created=NOON - hours(1), Tier="Bulk", ArchiveSizeInBytes=MB),
        ]
        observe(dataset, NOON + hours(1), {"photos": standard, "films": others})
        next_day = job("next", "Succeeded", created=NOON, completed=NOON + hours(12), Tier="Bulk")
        observe(dataset, NOON + hours(13), {"photos": [next_day], "films": others})
        observe(dataset, NOON + hours(60), {"photos": [], "films": [], "empty": []})
        if request.param:
            aggregate(dataset, NOON + hours(72))
        return dataset

    def test_retrieval_times_are_grouped_by_day_action_and_tier(self, dataset: Dataset) -> None:
        rows = ask(
            dataset, "retrieval_times", "day", "action", "tier", "jobs", "p50_seconds", "p90_seconds", "p99_seconds",
            "max_seconds",
        )  # fmt: skip

        first, second, hour = date(2026, 11, 18), date(2026, 11, 19), 3600
        assert rows == [
            (first, "ArchiveRetrieval", "Bulk", 1, 10 * hour, 10 * hour, 10 * hour, 10 * hour),
            (first, "ArchiveRetrieval", "Standard", 5, 3 * hour, pytest.approx(4.6 * hour),
             pytest.approx(4.96 * hour), 5 * hour),
            (first, "InventoryRetrieval", "Standard", 1, 4 * hour, 4 * hour, 4 * hour, 4 * hour),
            (second, "ArchiveRetrieval", "Bulk", 1, 12 * hour, 12 * hour, 12 * hour, 12 * hour),
        ]  # fmt: skip

    def test_retrieval_times_by_vault_and_by_region_are_those_of_the_whole_period(self, dataset: Dataset) -> None:
        percentiles = ("p50_seconds", "p90_seconds", "p99_seconds", "max_seconds")
        by_vault = ask(
            dataset, "retrieval_times_by_vault", "account_id", "region", "vault_name", "action", "tier", "jobs",
            *percentiles,
        )  # fmt: skip
        by_region = ask(
            dataset, "retrieval_times_by_region", "account_id", "region", "action", "tier", "jobs", *percentiles
        )

        region, hour = ("123456789012", "us-east-1"), 3600
        bulk_of_region = (11 * hour, pytest.approx(11.8 * hour), pytest.approx(11.98 * hour), 12 * hour)
        standard = (3 * hour, pytest.approx(4.6 * hour), pytest.approx(4.96 * hour), 5 * hour)
        inventory = ("InventoryRetrieval", "Standard", 1, *[4 * hour] * 4)
        assert by_vault == [
            (*region, "films", "ArchiveRetrieval", "Bulk", 1, *[10 * hour] * 4),
            (*region, "films", *inventory),
            (*region, "photos", "ArchiveRetrieval", "Bulk", 1, *[12 * hour] * 4),
            (*region, "photos", "ArchiveRetrieval", "Standard", 5, *standard),
        ]
        assert by_region == [
            (*region, "ArchiveRetrieval", "Bulk", 2, *bulk_of_region),
            (*region, "ArchiveRetrieval", "Standard", 5, *standard),
            (*region, *inventory),
        ]

    def test_volume_is_grouped_by_day_vault_and_tier(self, dataset: Dataset) -> None:
        rows = ask(
            dataset, "daily_volume", "day", "vault_name", "action", "tier", "succeeded_jobs", "bytes", "failed_jobs"
        )

        first, second = date(2026, 11, 18), date(2026, 11, 19)
        assert rows == [
            (first, "films", "ArchiveRetrieval", "Bulk", 1, 2 * MB, 1),
            (first, "films", "InventoryRetrieval", "Standard", 1, 7, 0),
            (first, "photos", "ArchiveRetrieval", "Standard", 5, 5 * MB, 0),
            (second, "photos", "ArchiveRetrieval", "Bulk", 1, 0, 0),
        ]

    def test_answers_can_be_limited_to_a_period(self, dataset: Dataset) -> None:
        period = {"since": date(2026, 11, 19), "until": date(2026, 11, 20)}

        assert ask(dataset, "daily_volume", "day", "vault_name", **period) == [(date(2026, 11, 19), "photos")]
        assert ask(dataset, "retrieval_times", "day", **period) == [(date(2026, 11, 19),)]
        for by in ("vault", "region"):
            assert ask(dataset, f"retrieval_times_by_{by}", "tier", "jobs", **period) == [("Bulk", 1)]

    def test_jobs_are_counted_for_each_hour_in_which_glacier_lists_them(self, dataset: Dataset) -> None:
        rows = ask(
            dataset, "jobs_over_time", "hour", "in_progress", "succeeded", "failed", since=NOON, until=NOON + hours(38)
        )

        counted = {hour: counts for hour, *counts in rows}
        assert len(rows) == 38
        assert counted[NOON] == [2, 7, 1]
        assert counted[NOON + hours(12)] == [1, 8, 1]
        # This is one day after they ended. The running job was last seen at 01:00.
        assert counted[NOON + hours(24)] == [0, 1, 0]
        assert counted[NOON + hours(36)] == [0, 0, 0]

    @pytest.mark.parametrize("aggregated", [False, True])
    def test_jobs_that_completed_on_the_day_before_the_period_count(self, tmp_path: Path, aggregated: bool) -> None:
        dataset = local_dataset(tmp_path)
        done = job("a", "Succeeded", created=NOON - hours(4), completed=NOON)
        for hour in (1, 2, 30):
            observe(dataset, NOON + hours(hour), {"photos": [done] if hour == 1 else []})
        if aggregated:
            aggregate(dataset, NOON + hours(60))

        period = {"since": NOON + hours(22), "until": NOON + hours(26)}
        assert ask(dataset, "jobs_over_time", "succeeded", **period) == [(1,), (1,), (0,), (0,)]
        period = {"since": NOON + hours(100), "until": NOON + hours(101)}
        assert ask(dataset, "jobs_over_time", "succeeded", **period) == []


class TestWaves:
    """Progress by wave, which is part of the description that a job was given."""

    @pytest.fixture
    def dataset(self, dataset: Dataset, aggregate_finalized_days: Aggregate) -> Dataset:
        """Two waves in two Regions, and jobs without a wave."""

        def file(number: int, wave: int, status: str = "Succeeded", **fields: Any) -> dict[str, Any]:
            created = NOON + hours(wave)
            completed = None if status == "InProgress" else created + hours(number)
            description = f"migration, wave {wave}: file {number:06}"
            return job(f"{wave}-{number}", status, created=created, completed=completed,
                       **{"JobDescription": description, "ArchiveSizeInBytes": MB, **fields})  # fmt: skip

        first = [file(1, 1), file(2, 1), file(3, 1, "Failed"), file(4, 1, "InProgress"), file(5, 1, "Paused")]
        second = [file(1, 2, RetrievalByteRange="0-1023"), file(2, 2, "InProgress")]
        others = [file(1, 3, JobDescription=text) for text in ("weekly inventory", "000123")]
        others = [{**each, "JobId": f"other-{number}"} for number, each in enumerate(others)]
        without = [job("without a description", created=NOON)]
        observe(dataset, NOON + hours(8), {"photos": first, "films": others}, region="us-east-1")
        observe(dataset, NOON + hours(8), {"photos": second, "maps": [*without, file(9, 1)]}, region="eu-west-1")
        missed = [each for each in first if each["JobId"] != "1-4"]
        observe(dataset, NOON + hours(9), {"photos": missed, "films": others}, region="us-east-1")
        aggregate_finalized_days(dataset)
        return dataset

    columns = ("wave", "jobs", "in_progress", "succeeded", "failed", "other")

    def test_jobs_are_counted_by_wave_over_all_vaults_newest_first(self, dataset: Dataset) -> None:
        rows = ask(dataset, "waves", *self.columns, "vaults", now=NOON + hours(10))

        assert rows == [
            ("weekly inventory", 1, 0, 1, 0, 0, 1),
            ("migration, wave 2", 2, 1, 1, 0, 0, 1),
            ("migration, wave 1", 6, 0, 3, 1, 2, 2),
            (None, 2, 1, 1, 0, 0, 2),
        ]

    @pytest.mark.parametrize(
        ("description", "wave"),
        [
            ("wave 3, batch 12", "wave 3"),
            ("migration wave 3, batch 12", "migration wave 3"),
            ("Phase 1: wave 2 (batch 7)", "Phase 1"),
            ("x Phase 1: wave 2 (batch 7)", "x Phase 1"),
            ("microwave 3, batch 12", "microwave 3, batch 12"),
        ],
    )
    def test_the_first_word_for_a_wave_names_it(self, tmp_path: Path, description: str, wave: str) -> None:
        dataset = local_dataset(tmp_path / "other")
        observe(dataset, NOON, {"photos": [job("a", created=NOON, JobDescription=description)]})

        assert ask(dataset, "waves", "wave", now=NOON + hours(1)) == [(wave,)]

    @pytest.mark.parametrize(("size", "total"), [(2**63 - 1, 2**63 - 1), (-(2**63), 0)])
    def test_the_sum_of_absurd_sizes_has_limits(self, tmp_path: Path, size: int, total: int) -> None:
        dataset = local_dataset(tmp_path / "other")
        fields = {"created": NOON - hours(2), "completed": NOON - hours(1), "ArchiveSizeInBytes": size}
        observe(dataset, NOON, {"photos": [job(each, "Succeeded", **fields) for each in "ab"]})  # type: ignore[arg-type]

        assert ask(dataset, "waves", "bytes", "succeeded_bytes", now=NOON + hours(1)) == [(total, total)]
        assert ask(dataset, "daily_volume", "bytes", now=NOON + hours(1)) == [(total,)]

    def test_a_byte_range_beyond_all_numbers_is_no_error(self, tmp_path: Path) -> None:
        dataset = local_dataset(tmp_path / "other")
        absurd = job("a", "Succeeded", created=NOON, completed=NOON, RetrievalByteRange=f"0-{2**63 - 1}")
        observe(dataset, NOON, {"photos": [absurd]})

        for question in (*reports.QUESTIONS, "found_jobs"):
            reports.run(question, dataset, now=NOON + hours(1))

    def test_a_wave_has_times_bytes_and_the_share_that_succeeded(self, dataset: Dataset) -> None:
        [_, second, first, _] = ask(
            dataset, "waves", "first_created_at", "last_created_at", "last_completed_at", "succeeded_share", "bytes",
            "succeeded_bytes", now=NOON + hours(10),
        )  # fmt: skip

        assert first == (NOON + hours(1), NOON + hours(1), NOON + hours(10), 0.5, 6 * MB, 3 * MB)
        assert second == (NOON + hours(2), NOON + hours(2), NOON + hours(3), 0.5, MB + 1024, 1024)

    @pytest.mark.parametrize(
        ("pattern", "waves"),
        [
            (r"wave (\d+)", ["2", "1", None]),
            (r"wave \d+", ["wave 2", "wave 1", None]),
            (r"wave (1)?", ["wave ", "1", None]),
            (r"weekly|(migration)", ["weekly", "migration", None]),
            ("", [None]),
            (r"'; DROP TABLE history; --", [None]),
        ],
    )
    def test_a_wave_is_what_the_first_group_matches_or_the_whole_pattern(
        self, dataset: Dataset, pattern: str, waves: list[str | None]
    ) -> None:
        rows = ask(dataset, "waves", "wave", "jobs", now=NOON + hours(10), pattern=pattern)

        assert [wave for wave, _ in rows] == waves
        assert sum(jobs for _, jobs in rows) == 11

    def test_jobs_can_be_limited_to_a_prefix_and_to_a_period(self, dataset: Dataset) -> None:
        def waves(**params: Any) -> list[Any]:
            return ask(dataset, "waves", "wave", "jobs", now=NOON + hours(10), **params)

        assert waves(prefix="migration, wave 1") == [("migration, wave 1", 6)]
        assert waves(prefix="migration%") == waves(prefix="Migration") == []
        assert waves(since=NOON + hours(1), until=NOON + hours(2)) == [("migration, wave 1", 6)]

    @pytest.mark.parametrize(
        ("description", "wave"),
        [
            ("migration_wave_3/000123.tar", "migration_wave_3"),
            ("Phase-2 of 5", "Phase-2"),
            ("restore batch 12, part 3", "restore batch 12"),
            ("microwave 12", "microwave"),
            ("IMG_0001.jpg", "IMG"),
            ("Ferien, Süden (2014)", "Ferien, Süden"),
            ("two\nlines 1", "two\nlines"),
            ("weekly inventory", "weekly inventory"),
            ("2014", None),
            ("", None),
        ],
    )
    def test_without_a_pattern_the_wave_is_the_text_up_to_its_number_or_before_any(
        self, tmp_path: Path, description: str, wave: str | None
    ) -> None:
        dataset = local_dataset(tmp_path / "described")
        observe(dataset, NOON, {"photos": [job("a", JobDescription=description)]})

        assert ask(dataset, "waves", "wave") == [(wave,)]

    def test_hostile_descriptions_and_prefixes_are_texts(self, tmp_path: Path) -> None:
        dataset = local_dataset(tmp_path / "hostile")
        observe(dataset, NOON, {"photos": [job(text, JobDescription=text) for text in HOSTILE]})

        assert sorted(ask(dataset, "waves", "wave", pattern="(?s).+")) == sorted((text,) for text in HOSTILE)
        for text in HOSTILE:
            assert ask(dataset, "waves", "wave", "jobs", pattern="(?s).+", prefix=text) == [(text, 1)]

    @pytest.mark.parametrize("pattern", ["(wave", "wave(?= 1)", r"(\w+) \1", "x{1,100000}", "\ud800", 7, None])
    def test_a_pattern_that_re2_does_not_accept_is_refused(self, tmp_path: Path, pattern: object) -> None:
        with pytest.raises(InvalidArgument, match=r"^pattern is .*; expected"):
            reports.run("waves", local_dataset(tmp_path), pattern=pattern)


class TestAsOfATimeInThePast:
    def test_only_observations_that_were_published_until_then_count(
        self, dataset: Dataset, aggregate_finalized_days: Aggregate
    ) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(1), {"photos": [job("a"), job("b")]}, lasting=hours(0.5))
        observe(dataset, NOON + hours(30), {"photos": []})
        aggregate_finalized_days(dataset)

        def known(now: datetime) -> dict[str, set[str]]:
            inquiry = reports.Inquiry.into(dataset, now=now)
            return {name: set(inquiry.ask(name)["job_id"].to_pylist()) for name in ("latest_jobs", "job_history")}

        assert known(NOON - hours(1)) == {"latest_jobs": set(), "job_history": set()}
        # The second observation was under way.
        assert known(NOON + hours(1.4)) == {"latest_jobs": {"a"}, "job_history": {"a"}}
        assert known(NOON + hours(1.5)) == {"latest_jobs": {"a", "b"}, "job_history": {"a", "b"}}
        assert known(NOON + hours(30)) == {"latest_jobs": set(), "job_history": {"a", "b"}}

    def test_outcomes_are_those_of_that_time(self, dataset: Dataset, aggregate_finalized_days: Aggregate) -> None:
        observe(dataset, NOON, {"photos": [job("a")]})
        observe(dataset, NOON + hours(2), {"photos": []})
        observe(dataset, NOON + hours(72), {"photos": []})
        aggregate_finalized_days(dataset)

        assert ask(dataset, "job_history", "outcome", now=NOON + hours(1)) == [("in_progress",)]
        assert ask(dataset, "job_history", "outcome", now=NOON + hours(3)) == [("vanished",)]

    def test_no_age_is_negative(self, dataset: Dataset) -> None:
        # The clock of the observer may be ahead of this one's.
        soon = datetime.now(timezone.utc) + hours(1)
        observe(dataset, soon, {"photos": [job("a")]})

        assert ask(dataset, "latest_jobs", "age_hours") == ask(dataset, "latest_vaults", "age_hours") == [(0.0,)]


def job_ids_in_files(dataset: Dataset) -> list[str]:
    """Return the job ids of all rows of the files of job_history."""
    files = sorted(Path(dataset.root).glob("history/v2/job_history/*/*.parquet"))
    return [job_id for file in files for job_id in pq.read_table(file, partitioning=None)["job_id"].to_pylist()]


def test_hostile_text_is_returned_unchanged(dataset: Dataset) -> None:
    jobs = [
        job(f"job-{number}", "Failed", completed=NOON, JobDescription=text, StatusMessage=text)
        for number, text in enumerate(HOSTILE)
    ]
    observe(dataset, NOON, {"photos": jobs})

    for question in ("latest_jobs", "failures", "job_history"):
        rows = ask(dataset, question, "job_description", "status_message", now=NOON + hours(1))
        assert sorted(rows) == sorted((text, text) for text in HOSTILE)


@pytest.mark.parametrize("question", reports.QUESTIONS)
def test_without_any_observation_the_answer_is_empty_with_its_columns(dataset: Dataset, question: str) -> None:
    empty = reports.run(question, dataset)
    observe(dataset, NOON, {"photos": [job("a", "Failed", created=NOON - hours(1), completed=NOON)]})

    answer = reports.run(question, dataset, now=NOON + hours(1))

    assert empty.num_rows == 0
    assert empty.schema == answer.schema


@pytest.mark.parametrize("question", reports.QUESTIONS)
def test_the_header_of_a_questions_file_documents_grain_columns_and_units(dataset: Dataset, question: str) -> None:
    text = files("glacier_jobs").joinpath(f"sql/{question}.sql").read_text()
    header = text[: text.index("\n", text.rindex("\n-- ", 0, text.index("SELECT")) + 1)]

    assert header.startswith("-- Question:  ")
    for heading in ("Grain:", "Tables:", "Columns:", "Units:"):
        assert f"-- {heading}" in header
    if question != "latest_jobs":
        for column in reports.run(question, dataset).schema.names:
            assert column in header


@pytest.mark.parametrize("question", reports.QUESTIONS)
@pytest.mark.parametrize("aggregated", [False, True])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    dataset: Dataset, question: str, aggregated: bool
) -> None:
    for day in range(2):
        observe(dataset, NOON + hours(24 * day), {"photos": [job("a", "Failed", completed=NOON)]})
    if aggregated:
        aggregate(dataset, NOON + hours(24))
        destroy(dataset, "job_history", "vault_listings", "open_jobs", "open_vault_listings")
    destroy(dataset, "jobs", "vaults", "observations")

    with pytest.raises(OSError, match=rf"{dataset.root}/.*\.parquet cannot be read as Parquet") as caught:
        reports.run(question, dataset, now=NOON + hours(25))

    assert isinstance(caught.value, MalformedFile)


def test_a_file_that_is_missing_is_an_error_that_names_it(dataset: Dataset) -> None:
    observation = observe(dataset, NOON, {"photos": [job("a")]})
    missing = Path(dataset.path("jobs", observation.observation_id))
    missing.unlink()

    with pytest.raises(FileNotFoundError, match=missing.name):
        reports.run("job_history", dataset)


def test_an_unknown_question_is_refused_with_the_available_ones(dataset: Dataset) -> None:
    with pytest.raises(InvalidArgument, match="latest_jobs, latest_targets, latest_vaults"):
        reports.run("../latest_jobs", dataset)


def test_an_unknown_argument_is_refused_with_the_available_ones(dataset: Dataset) -> None:
    with pytest.raises(InvalidArgument, match="no argument hour; it has hours, now"):
        reports.run("failures", dataset, hour=3)


@pytest.mark.parametrize(
    ("question", "params"),
    [
        ("failures", {"hours": "24; drop table jobs"}),
        ("failures", {"hours": None}),
        ("failures", {"hours": -1}),
        ("failures", {"hours": 1e12}),
        ("expiring_outputs", {"within_hours": 1e12}),
        ("coverage", {"since": "0001-01-01"}),
        ("job_history", {"since": "9999-12-31T23:59:59-12:00"}),
        ("coverage", {"since": "yesterday"}),
        ("coverage", {"since": datetime(2026, 11, 18)}),  # noqa: DTZ001 - without a time zone, on purpose
        ("latest_jobs", {"now": "today"}),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused(dataset: Dataset, question: str, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(params))):
        reports.run(question, dataset, **params)


def test_a_dataset_is_opened_by_its_uri(dataset: Dataset) -> None:
    observe(dataset, NOON, {"photos": [job("a")]})

    assert reports.run("latest_jobs", f"file://{dataset.root}")["job_id"].to_pylist() == ["a"]
    json.dumps(reports.run("latest_jobs", f"file://{dataset.root}").to_pylist(), default=str)
