from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from glacier_jobs import reports
from glacier_jobs.dataset.layout import Dataset
from tests.hand_written import job, observe
from tests.page.conftest import ago


@pytest.fixture
def _jobs(dataset: Dataset) -> None:
    observe(
        dataset,
        ago(1),
        {
            "photos": [
                job(
                    "-minus",
                    "Succeeded",
                    created=ago(5),
                    completed=ago(2),
                    JobDescription='say "hi",\nyou',
                ),
                job("formula", "Succeeded", created=ago(6), completed=ago(2), JobDescription="=cmd|'/C calc'!A0"),
                job("running", created=ago(3), JobDescription="@now"),
            ]
        },
    )


@pytest.mark.usefixtures("_jobs")
class TestParquet:
    def test_it_contains_all_jobs_that_match_exactly_and_in_order(self, viewer: TestClient, dataset: Dataset) -> None:
        answer = viewer.get("api/jobs.parquet", params={"status": "Succeeded", "sort": "job_id"})

        expected = reports.run("found_jobs", dataset, status_codes=["Succeeded"], sort="job_id", descending=False)
        assert pq.read_table(io.BytesIO(answer.content)).equals(expected.drop_columns("matches"))


@pytest.mark.usefixtures("_jobs")
class TestCsv:
    def test_it_contains_all_jobs_that_match_in_order(self, viewer: TestClient) -> None:
        answer = viewer.get("api/jobs.csv", params={"sort": "creation_date"})

        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["job_id"] for row in rows] == ["formula", "-minus", "running"]
        assert rows[1]["job_description"] == 'say "hi",\nyou'
        assert rows[2]["completion_date"] == ""
        assert rows[2]["creation_date"] == f"{ago(3):%Y-%m-%dT%H:%M:%S}.000000Z"

    def test_no_spreadsheet_interprets_a_description_as_a_formula(self, viewer: TestClient) -> None:
        rows = csv.DictReader(io.StringIO(viewer.get("api/jobs.csv").text))

        assert {row["job_description"] for row in rows if row["job_id"] != "-minus"} == {
            "'=cmd|'/C calc'!A0",
            "'@now",
        }

    def test_the_file_name_has_the_time_of_the_newest_observation(self, viewer: TestClient) -> None:
        disposition = viewer.get("api/jobs.csv").headers["Content-Disposition"]

        assert disposition == f'attachment; filename="glacier-jobs-{ago(1):%Y%m%dT%H%MZ}.csv"'


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_without_jobs_the_file_has_all_columns(viewer: TestClient, dataset: Dataset, file_format: str) -> None:
    observe(dataset, ago(1), {"photos": []})

    answer = viewer.get(f"api/jobs.{file_format}")

    assert answer.status_code == 200
    names = (
        pq.read_table(io.BytesIO(answer.content)).column_names
        if file_format == "parquet"
        else next(csv.reader(io.StringIO(answer.text)))
    )
    assert names[:5] == ["account_id", "region", "vault_name", "vault_arn", "job_id"]


@pytest.mark.usefixtures("_jobs")
def test_no_file_is_left_behind(viewer: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))

    for file_format in ("csv", "parquet"):
        viewer.get(f"api/jobs.{file_format}")

    assert list(aside.iterdir()) == []


def test_other_formats_are_refused(viewer: TestClient) -> None:
    assert viewer.get("api/jobs.exe").status_code == 422
