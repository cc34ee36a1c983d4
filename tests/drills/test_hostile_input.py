"""Hostile text in a job's fields or a vault's name is stored unchanged and is never executed."""

from __future__ import annotations

from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.html_report.build import make_report
from glacier_jobs.reports import QUESTIONS
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import Connect
from tests.descriptions import job_descriptions
from tests.drills.table import RecordDrill
from tests.examples import how_many
from tests.glacier.test_rows import description_of, without_nulls
from tests.observations import local_dataset

_HOSTILE = [
    "<script>alert(1)</script>", "</script><svg onload=alert(1)>", "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "'; drop table jobs; --", '"; attach \'/etc/passwd\'; --', "$1", "$now", "?", "%s%n", "{{ 7 * 7 }}",
    "{% include 'x' %}", "${HOME}", "$(id)", "`id`", "../../../etc/passwd", "file:///etc/passwd", "\x00", "\x1b[2J",
    "\r\nSet-Cookie: a=b", "\u202e", "\ufeff", "\ufffe", "\U0010ffff", "é" * 500, "=cmd|' /C calc'!A0", "NULL", "nan",
    "\\", "\\u0000", "\u2028",
]  # fmt: skip
_TEXT = st.sampled_from(_HOSTILE) | st.text(max_size=60)
_FIELDS = (
    "JobDescription", "StatusMessage", "StatusCode", "Action", "Tier", "ArchiveId", "SNSTopic", "SHA256TreeHash",
    "RetrievalByteRange", "JobOutputPath",
)  # fmt: skip


@st.composite
def _jobs(draw: st.DrawFn) -> dict[str, Any]:
    job = draw(job_descriptions())
    hostile = draw(st.dictionaries(st.sampled_from(_FIELDS), _TEXT, max_size=5))
    added = draw(st.dictionaries(_TEXT.filter(lambda name: name != "_life"), _TEXT, max_size=2))
    return {**added, **job, **hostile, "JobId": draw(_TEXT.filter(bool)), "_life": {"verbatim": True}}


class _Tags(HTMLParser):
    """Collects the tags, and the attributes that could run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        for name, value in attrs:
            harmless = (value or "").startswith(("#", "data:image/svg+xml;base64,"))
            if name.startswith("on") or (name in {"src", "href", "action"} and not harmless):
                self.found.add(f"{tag} {name}={value}")


def _tags(page: str) -> set[str]:
    tags = _Tags()
    tags.feed(page)
    return tags.found


def _drill(
    local_aws: Control, connect: Connect, jobs: list[dict[str, Any]], folder: Path, now: datetime
) -> tuple[set[str], dict[str, Any]]:
    """Observe the jobs, compare them with the dataset, and return the report's tags and its summary."""
    local_aws.reset()
    local_aws.set_clock(now, speed=0)
    local_aws.add_vaults("photos")
    local_aws.add_jobs("photos", jobs)
    dataset = local_dataset(folder / "records")

    observe(GlacierJobsHook(aws_conn_id=connect()), dataset)

    stored = {row["job_id"]: description_of(row) for row in dataset.scan("jobs").to_table().to_pylist()}
    assert stored == {job["JobId"]: without_nulls(job) for job in local_aws.jobs()}
    made = make_report(dataset, dataset.root, now=datetime.now(timezone.utc))
    page = Path(dataset.root, "reports", "latest.html").read_text()
    assert {path.name for path in folder.iterdir()} == {"records"}
    return _tags(page), made


@pytest.mark.quick_drill
@pytest.mark.timeout(900)
def test_fuzzed_jobs_are_stored_unchanged_and_never_executed(
    local_aws: Control, connect: Connect, tmp_path_factory: pytest.TempPathFactory, record_drill: RecordDrill
) -> None:
    listings = how_many(8, in_drills=60)
    now = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)
    harmless, _ = _drill(local_aws, connect, [{"JobId": "a"}], tmp_path_factory.mktemp("harmless"), now)
    of_the_empty_page = {tag for tag in harmless if " " in tag}

    # Do not shrink a failing example: each step would make a snapshot and a report.
    @settings(max_examples=listings, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_jobs(), min_size=1, max_size=8, unique_by=lambda job: job["JobId"]))
    def fuzz(jobs: list[dict[str, Any]]) -> None:
        tags, made = _drill(local_aws, connect, jobs, tmp_path_factory.mktemp("fuzz"), now)

        assert not tags & {"script", "iframe", "object", "embed", "base", "form"}
        assert {tag for tag in tags if " " in tag} <= of_the_empty_page
        assert made["answers"].keys() == QUESTIONS.keys()

    fuzz()
    record_drill(
        f"{listings} fuzzed listings through hook, Parquet, SQL and HTML",
        "stored unchanged; no tag or statement of theirs was executed",
    )


@pytest.mark.quick_drill
def test_vaults_with_invalid_names_are_recorded_with_their_error(
    local_aws: Control, connect: Connect, tmp_path: Path, record_drill: RecordDrill
) -> None:
    names = [name for name in _HOSTILE if name.isprintable() and not name.isalnum()]
    local_aws.settings(max_vaults_limit=1000)
    local_aws.add_vaults("photos", *({"VaultName": name} for name in names))
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    dataset = local_dataset(tmp_path / "records")

    observed = observe(GlacierJobsHook(aws_conn_id=connect()), dataset, on_vault_error="record")

    rows = {row["vault_name"]: row for row in dataset.scan("vaults").to_table().to_pylist()}
    assert rows.keys() == {"photos", *names}
    assert {name for name, row in rows.items() if row["outcome"] == "failed"} == set(names)
    assert (observed.jobs, set(observed.failed_vaults)) == (1, set(names))
    make_report(dataset, dataset.root, now=datetime.now(timezone.utc))
    assert "script" not in _tags(Path(dataset.root, "reports", "latest.html").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {"records"}
    record_drill(f"{len(names)} vaults with invalid names", "not requested; recorded with their error")
