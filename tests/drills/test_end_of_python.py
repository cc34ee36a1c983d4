"""Python ends while other threads have just read S3, or still read it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.drills.table import RecordDrill
from tests.examples import how_many
from tests.observations import publish

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SNAPSHOTS = 40

QUESTION = """
from datetime import datetime, timezone
from glacier_jobs import reports
reports.run("latest_jobs", "{uri}", now=datetime(2026, 11, 22, tzinfo=timezone.utc))
"""

PARTIAL_SCAN = """
from glacier_jobs.storage import open_dataset
assert open_dataset("{uri}").scan("jobs").head(1).num_rows == 1
"""

OWN_DUCKDB = """
import duckdb
from glacier_jobs.storage import open_dataset
jobs = open_dataset("{uri}").scan("jobs")
assert len(duckdb.sql("FROM jobs LIMIT 1").fetchall()) == 1
"""


@pytest.fixture
def uri(local_aws: Control, connect: Connect) -> str:
    """A dataset on S3 with many snapshots."""
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    uri = f"s3://{connect()}@records/root"
    dataset = open_dataset(uri)
    for number in range(SNAPSHOTS):
        publish(dataset, NOON + timedelta(hours=number), jobs=["a", "b"])
    return uri


@pytest.mark.quick_drill
@pytest.mark.parametrize(
    "program", [QUESTION, PARTIAL_SCAN, OWN_DUCKDB], ids=["question", "partial scan", "own DuckDB"]
)
def test_python_ends_without_an_error_after_s3_was_read(uri: str, program: str, record_drill: RecordDrill) -> None:
    runs = how_many(2, in_drills=6)

    for _ in range(runs):
        ended = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", program.format(uri=uri)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")

    record_drill(
        f"Python ends after a question or a partial scan on S3, {runs} times each", "exit code 0, empty standard error"
    )
