from __future__ import annotations

import json
from pathlib import Path

from benchmarks.reports import main


def test_the_requests_to_s3_for_the_newest_listings_do_not_grow_with_the_targets(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"

    main(["--days", "0", "--s3-days", "0", "--s3-targets", "5", "--open-jobs", "--json", str(path)])

    aggregated, latest = json.loads(path.read_text())
    assert (aggregated["work"], latest["work"]) == ("aggregate open days", "latest_jobs")
    # Of each observation three files, and once more the jobs of those with a newest listing of their day: all if the
    # two hours are of two days.
    assert aggregated["requests"]["get_object"] <= 5 * (2 * 3 + 2)
    assert latest["requests"]["get_object"] <= 8
    assert latest["rows"] > 0
