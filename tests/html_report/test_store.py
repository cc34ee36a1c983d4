from __future__ import annotations

import errno
import json
import os
import threading
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glacier_jobs.alerts.rules import Alert
from glacier_jobs.dataset.publisher import _LocalPublisher
from glacier_jobs.html_report.store import ReportFiles
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import Connect
from tests.observations import local_dataset

NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)
ANSWERS = {"failures": pa.table({"job_id": ["a", "b"]})}
ALERTS = [
    Alert(kind="stopped", newest_at=NOON, line="all: last observed"),
    Alert(kind="not_observed", account_id="123456789012", region="us-east-1", newest_at=NOON, line="last observed"),
    Alert(kind="expiring", vault_arn="arn", job_id="a", line="5 h left: a"),
    Alert(kind="failed", vault_arn="arn", job_id="b", line="b: no reason given"),
]


@pytest.fixture(params=["disk", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ReportFiles:
    """The report files of an empty dataset, on disk and on S3."""
    if request.param == "disk":
        return ReportFiles(local_dataset(tmp_path))
    local_aws: Control = request.getfixturevalue("local_aws")
    connect: Connect = request.getfixturevalue("connect")
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="records")
    return ReportFiles(open_dataset(f"s3://{connect()}@records/root"))


def content(files: ReportFiles, path: str) -> bytes:
    found: bytes = files.dataset.filesystem.cat_file(f"{files.root}/{path}")
    return found


def publish(files: ReportFiles, made_at: datetime, page: str) -> dict[str, Any]:
    with files.draft(made_at) as draft:
        for question, answer in ANSWERS.items():
            draft.add(question, answer)
        return draft.publish(ALERTS, page)


def test_before_the_first_report_there_is_no_latest(files: ReportFiles) -> None:
    assert files.latest() is None
    assert files.latest_made_at() is None
    assert files.notified() == {}


def test_a_report_is_written_to_a_new_folder_and_becomes_the_latest(files: ReportFiles) -> None:
    made = publish(files, NOON, "<p>hello</p>")

    assert files.latest() == made
    assert files.latest_made_at() == NOON
    assert made["report"].startswith("report=20261118T120000Z_")
    assert made["answers"] == {"failures": {"path": f"answers/failures/{made['report']}/failures.parquet", "rows": 2}}
    assert content(files, made["html"]) == content(files, "latest.html") == b"<p>hello</p>"
    assert pq.read_table(BytesIO(content(files, made["answers"]["failures"]["path"]))).equals(ANSWERS["failures"])
    assert files.alerts(made["report"]) == ALERTS
    assert [alert.key for alert in files.alerts(made["report"])] == [alert.key for alert in ALERTS]


def test_an_older_report_stays_and_does_not_become_the_latest_again(files: ReportFiles) -> None:
    new = publish(files, NOON, "new")
    old = publish(files, NOON - timedelta(hours=1), "old")

    assert files.latest() == new
    assert content(files, "latest.html") == content(files, new["html"]) == b"new"
    assert content(files, old["html"]) == b"old"


def test_which_alerts_were_sent_is_stored(files: ReportFiles) -> None:
    files.store_notified({"failed arn a": NOON})
    files.store_notified({"failed arn b": NOON})

    assert files.notified() == {"failed arn b": NOON}


def test_which_alerts_were_sent_is_stored_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    files = ReportFiles(local_dataset(tmp_path))

    files.store_notified({"failed arn a": NOON})

    assert files.notified() == {"failed arn a": NOON}


def test_the_latest_report_is_complete_at_any_time(tmp_path: Path) -> None:
    files = ReportFiles(local_dataset(tmp_path))
    publish(files, NOON, "first")
    over = threading.Event()
    faults: list[str] = []

    def follow() -> None:
        while not over.is_set():
            latest = files.latest()
            if latest is None or files.alerts(latest["report"]) != ALERTS:
                faults.append(f"{latest}")

    reader = threading.Thread(target=follow)
    reader.start()
    for minute in range(40):
        publish(files, NOON + timedelta(minutes=minute), f"page {minute}")
    over.set()
    reader.join()

    assert faults == []


def test_an_unfinished_report_does_not_become_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ReportFiles(local_dataset(tmp_path))
    first = publish(files, NOON, "first")
    real = _LocalPublisher.publish

    def fail_at_the_page(self: _LocalPublisher, staged: Path, path: str) -> None:
        if path.endswith("report.html"):
            raise OSError("disk full")
        real(self, staged, path)

    monkeypatch.setattr(_LocalPublisher, "publish", fail_at_the_page)
    with pytest.raises(OSError, match="disk full"):
        publish(files, NOON + timedelta(hours=1), "second")

    assert files.latest() == first
    assert json.loads(Path(files.root, "latest.json").read_text()) == first
    assert not list((tmp_path / ".staging").iterdir())
