from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from glacier_jobs.waiting.outcome_file import write_outcomes
from glacier_jobs.waiting.state import Wait


def test_outcomes_are_written_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    wait = Wait.for_jobs(["a"], started_at=datetime(2026, 11, 22, tzinfo=timezone.utc))

    for _ in range(2):
        write_outcomes(f"file://{tmp_path}/outcomes.parquet", "photos", wait)

    assert pq.read_table(tmp_path / "outcomes.parquet")["job_id"].to_pylist() == ["a"]


def test_a_message_with_half_of_a_surrogate_pair_is_written_as_in_the_tables(tmp_path: Path) -> None:
    wait = Wait.for_jobs(["a", "b"], started_at=datetime(2026, 11, 22, tzinfo=timezone.utc))

    write_outcomes(f"file://{tmp_path}/outcomes.parquet", "photos", replace(wait, messages={"a": "gone \ud800"}))

    messages = pq.read_table(tmp_path / "outcomes.parquet")["status_message"]
    assert messages.to_pylist() == ["gone \\ud800", None]
