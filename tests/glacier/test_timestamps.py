from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from glacier_jobs.glacier.expiry import expires_at
from glacier_jobs.glacier.timestamps import moment_of

MOMENT = datetime(2012, 5, 1, 0, 0, 6, 663000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012-05-01T00:00:06.663Z", MOMENT),
        ("2012-05-01T00:00:06.663123456Z", MOMENT.replace(microsecond=663123)),
        ("2012-05-01T00:00:06.663", MOMENT),
        ("2012-05-01T02:00:06.663+02:00", MOMENT),
        ("2012-05-01T02:00:06.663+0200", MOMENT),
        ("2012-05-01T00:00Z", MOMENT.replace(second=0, microsecond=0)),
        ("2012-05-01", MOMENT.replace(second=0, microsecond=0)),
        ("2012-02-30", None),
        ("2012-05-01T25:00:00Z", None),
        ("yesterday", None),
        ("\u0662012-05-01", None),
        (None, None),
        (MOMENT, None),
    ],
)
def test_a_text_is_read_as_a_time_in_utc(text: object, expected: datetime | None) -> None:
    assert moment_of(text) == expected


def test_a_job_is_kept_for_a_day_after_its_completion() -> None:
    assert expires_at({"CompletionDate": "2012-05-01T00:00:06.663Z"}) == MOMENT + timedelta(hours=24)
    assert expires_at({"CompletionDate": None}) is None
