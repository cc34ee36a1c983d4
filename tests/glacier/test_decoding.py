"""A body decoded straight into records says the same as one read through :mod:`json`, or is left to the latter."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.schema import Observation
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.decoding import FIELDS, Jobs, are_records, decoded_records
from glacier_jobs.glacier.rows import ObservedPage, converted_pages
from tests.descriptions import ARN, DATES, OPTIONAL_FIELDS, job_descriptions

MOMENT = datetime(2026, 11, 22, 6, 0, 0, 123456, tzinfo=timezone.utc)
OBSERVATION = Observation(
    observation_id="123456789012_us-east-1_20261122T060000Z_0a1b2c",
    snapshot_at=MOMENT,
    account_id="123456789012",
    region="us-east-1",
)
JOB = {"JobId": "j1", "VaultARN": f"{ARN}photos"}


def body_of(*jobs: dict[str, Any], marker: str | None = None, **more: Any) -> bytes:
    return json.dumps({"JobList": jobs, "Marker": marker, **more}).encode()


def rows_of(*pages: Jobs) -> pa.RecordBatch | str:
    """Return the rows, or the error message if the jobs cannot be converted."""
    observed = [
        ObservedPage(jobs=jobs, observed_at=MOMENT + timedelta(seconds=number)) for number, jobs in enumerate(pages)
    ]
    try:
        return converted_pages(observed, observation=OBSERVATION, vault_name="photos").batch
    except MalformedAnswer as error:
        return str(error)


#: Values that AWS does not document for these fields.
_ODD = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["17", "-0", "1e3", "2012-05-01", "2012-05-01T00:00:06.123456789Z", "2012-13-01T00:00:00Z"])
    | DATES
    | st.lists(st.integers(), max_size=1)
    | st.dictionaries(st.sampled_from(["Format", "Limit", "StartDate", "New"]), st.none() | st.text() | st.integers())
)
_ODD_JOBS = st.builds(
    lambda job, odd: {**job, **odd},
    job_descriptions(),
    st.dictionaries(st.sampled_from([*OPTIONAL_FIELDS, "Added"]), _ODD, max_size=2),
)


@given(st.lists(st.lists(job_descriptions() | _ODD_JOBS, max_size=4), min_size=1, max_size=4))
def test_both_decoders_give_the_same_rows_or_the_same_error(pages: list[list[dict[str, Any]]]) -> None:
    exactly: list[Jobs] = []
    quickly: list[Jobs] = []
    for jobs in pages:
        body = body_of(*jobs)
        read = json.loads(body)["JobList"]
        answer = decoded_records(body)
        exactly.append(read)
        quickly.append(read if answer is None else answer["JobList"])

    exact, quick = rows_of(*exactly), rows_of(*quickly)

    assert isinstance(exact, str) == isinstance(quick, str)
    assert exact.equals(quick, check_metadata=True) if isinstance(exact, pa.RecordBatch) else exact == quick


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(_TEXTS, _TEXTS | st.none(), st.booleans())
def test_texts_and_markers_of_any_characters_stay_unchanged(text: str, marker: str | None, escaped: bool) -> None:
    body = json.dumps({"JobList": [{**JOB, "JobDescription": text}], "Marker": marker}, ensure_ascii=escaped).encode()

    answer = decoded_records(body)

    assert answer is not None
    assert (answer["JobList"][0].JobDescription, answer["Marker"]) == (text, marker)


def test_a_page_of_documented_jobs_is_decoded_into_records() -> None:
    every_field = (
        dict.fromkeys(FIELDS)
        | JOB
        | {
            "ArchiveSizeInBytes": 2**63 - 1,
            "Completed": True,
            "InventoryRetrievalParameters": {"Format": "CSV", "Limit": "5", "StartDate": None},
        }
    )

    answer = decoded_records(body_of(every_field, JOB, marker="m"))

    assert answer is not None
    assert are_records(answer["JobList"])
    assert answer["Marker"] == "m"


@pytest.mark.parametrize(
    "body",
    [
        body_of({**JOB, "Priority": 7}),
        body_of({**JOB, "InventoryRetrievalParameters": {"Depth": 2}}),
        body_of({**JOB, "SelectParameters": {}}),
        body_of({**JOB, "ArchiveSizeInBytes": "17"}),
        body_of({**JOB, "ArchiveSizeInBytes": 1.0}),
        body_of({**JOB, "Completed": 1}),
        body_of({**JOB, "JobDescription": "\ud800"}),
        body_of({"JobId": "j"}),
        body_of(JOB, Total=1),
        b'{"Marker": null}',
        b'{"JobList": [{"JobId": "\xff", "VaultARN": "v"}]}',
        b'{"JobList": [{"JobId": NaN, "VaultARN": "v"}]}',
        body_of(JOB)[:-1],
        b"<html>",
        b"",
        b"[]",
    ],
)
def test_a_body_of_any_other_content_is_left_to_the_json_decoder(body: bytes) -> None:
    assert decoded_records(body) is None


def test_each_row_has_the_time_at_which_its_page_was_received() -> None:
    first, second = (decoded_records(body_of({**JOB, "JobId": job_id})) for job_id in ("a", "b"))
    assert first is not None
    assert second is not None

    batch = rows_of(first["JobList"], [], second["JobList"], [{**JOB, "JobId": "c", "Priority": 7}])

    assert isinstance(batch, pa.RecordBatch)
    assert [(row["job_id"], row["observed_at"] - MOMENT, row["extra"]) for row in batch.to_pylist()] == [
        ("a", timedelta(seconds=0), None),
        ("b", timedelta(seconds=2), None),
        ("c", timedelta(seconds=3), '{"Priority":7}'),
    ]
