from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.schema import JOBS, Observation
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.rows import jobs_batch, vault_columns
from tests.descriptions import ARN, aws_date, job_descriptions

MOMENT = datetime(2026, 11, 22, 6, 0, 0, 123456, tzinfo=timezone.utc)
OBSERVATION = Observation(
    observation_id="123456789012_us-east-1_20261122T060000Z_0a1b2c",
    snapshot_at=MOMENT,
    account_id="123456789012",
    region="us-east-1",
)


def rows_of(*jobs: dict[str, Any]) -> list[dict[str, Any]]:
    batch = jobs_batch(jobs, observation=OBSERVATION, vault_name="photos", observed_at=MOMENT)
    batch.validate(full=True)
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def job(**fields: Any) -> dict[str, Any]:
    return {"JobId": "j1", "VaultARN": ARN + "photos", **fields}


def description_of(row: dict[str, Any]) -> dict[str, Any]:
    """Turn a row of the table back into the description it came from: the inverse that proves nothing was lost."""
    names = {field.lower().replace("_", ""): field for field in row}
    description: dict[str, Any] = {}
    for name in [
        "JobId", "JobDescription", "Action", "ArchiveId", "VaultARN", "CreationDate", "CompletionDate", "Completed",
        "StatusCode", "StatusMessage", "ArchiveSizeInBytes", "InventorySizeInBytes", "SNSTopic", "SHA256TreeHash",
        "ArchiveSHA256TreeHash", "RetrievalByteRange", "Tier", "JobOutputPath",
    ]:  # fmt: skip
        value = row[names[name.lower()]]
        description[name] = aws_date(value) if isinstance(value, datetime) else value
    for name, column in {"SelectParameters": "select_parameters", "OutputLocation": "output_location"}.items():
        description[name] = None if row[column] is None else json.loads(row[column])
    parameters = row["inventory_retrieval_parameters"]
    if parameters is not None:
        description["InventoryRetrievalParameters"] = {
            "Format": parameters["format"],
            "StartDate": parameters["start_date"] and aws_date(parameters["start_date"]),
            "EndDate": parameters["end_date"] and aws_date(parameters["end_date"]),
            "Limit": None if parameters["limit"] is None else str(parameters["limit"]),
            "Marker": parameters["marker"],
        }
    description |= json.loads(row["extra"] or "{}")
    return without_nulls(description)


def without_nulls(description: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in description.items() if value is not None}
    if "InventoryRetrievalParameters" in kept:
        parameters = kept["InventoryRetrievalParameters"]
        kept["InventoryRetrievalParameters"] = {name: value for name, value in parameters.items() if value is not None}
    return kept


@given(st.lists(job_descriptions(), max_size=5))
def test_a_description_converted_to_a_parquet_row_and_back_loses_nothing(jobs: list[dict[str, Any]]) -> None:
    batch = jobs_batch(jobs, observation=OBSERVATION, vault_name="photos", observed_at=MOMENT)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([batch]), sink)

    read = pq.read_table(pa.BufferReader(sink.getvalue()))

    assert read.schema.equals(JOBS)
    assert [description_of(row) for row in read.to_pylist()] == [without_nulls(description) for description in jobs]


def test_every_row_names_its_observation() -> None:
    [row] = rows_of(job())

    assert row["observation_id"] == OBSERVATION.observation_id
    assert (row["snapshot_at"], row["observed_at"]) == (MOMENT, MOMENT)
    assert (row["account_id"], row["region"], row["vault_name"]) == ("123456789012", "us-east-1", "photos")


def test_a_field_that_aws_added_is_kept_as_json_text_and_none_is_null() -> None:
    new, old = rows_of(job(Priority={"level": 3}, Colour="blå"), job(JobId="j2", Colour=None))

    assert json.loads(new["extra"]) == {"Colour": "blå", "Priority": {"level": 3}}
    assert old["extra"] is None


def test_a_field_added_to_the_inventory_parameters_is_kept_too() -> None:
    [row] = rows_of(job(InventoryRetrievalParameters={"Format": "CSV", "Depth": 2}))

    assert row["inventory_retrieval_parameters"]["format"] == "CSV"
    assert json.loads(row["extra"]) == {"InventoryRetrievalParameters": {"Depth": 2}}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2012-05-01T00:00:06.663Z", datetime(2012, 5, 1, 0, 0, 6, 663000, tzinfo=timezone.utc)),
        ("2012-05-01T00:00:06Z", datetime(2012, 5, 1, 0, 0, 6, tzinfo=timezone.utc)),
        ("2012-05-01T00:00:06.663", datetime(2012, 5, 1, 0, 0, 6, 663000, tzinfo=timezone.utc)),
        ("2012-05-01T00:00:06.123456789Z", datetime(2012, 5, 1, 0, 0, 6, 123456, tzinfo=timezone.utc)),
        ("2012-05-01T02:00:06.5+02:00", datetime(2012, 5, 1, 0, 0, 6, 500000, tzinfo=timezone.utc)),
    ],
)
def test_a_date_is_read_as_utc_to_the_microsecond(text: str, moment: datetime) -> None:
    [row] = rows_of(job(CreationDate=text))

    assert row["creation_date"] == moment


def test_a_number_may_come_as_digits() -> None:
    [row] = rows_of(job(ArchiveSizeInBytes="17", InventoryRetrievalParameters={"Limit": "1000"}))

    assert row["archive_size_in_bytes"] == 17
    assert row["inventory_retrieval_parameters"]["limit"] == 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("CreationDate", "yesterday"),
        ("CreationDate", ""),
        ("CompletionDate", "2012-13-01T00:00:00Z"),
        ("CompletionDate", 1335830406),
        ("ArchiveSizeInBytes", "many"),
        ("ArchiveSizeInBytes", 2**63),
        ("InventorySizeInBytes", 1.5),
        ("InventorySizeInBytes", True),
        ("Completed", "true"),
        ("Completed", 1),
        ("JobDescription", 5),
        ("JobDescription", "\ud800"),
        ("StatusCode", ["Succeeded"]),
        ("InventoryRetrievalParameters", "JSON"),
        ("NewField", "\ud800"),
    ],
)
def test_a_value_that_cannot_be_read_is_an_error_naming_vault_job_and_field(field: str, value: object) -> None:
    with pytest.raises(MalformedAnswer) as caught:
        rows_of(job(), job(JobId="the-bad-one", **{field: value}))

    message = str(caught.value)
    assert "vault photos" in message
    assert "the-bad-one" in message
    assert "expected" in message
    assert field in message or field == "NewField"


def test_a_parameter_that_cannot_be_read_is_an_error_naming_the_parameter() -> None:
    with pytest.raises(MalformedAnswer, match=r"InventoryRetrievalParameters\.Limit is 'x'"):
        rows_of(job(InventoryRetrievalParameters={"Limit": "x"}))


@pytest.mark.parametrize("field", ["JobId", "VaultARN"])
def test_a_job_without_the_fields_that_name_it_is_refused(field: str) -> None:
    with pytest.raises(MalformedAnswer, match=f"{field} is missing"):
        rows_of({**job(), field: None})


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    with pytest.raises(MalformedAnswer) as caught:
        rows_of(job(CreationDate="x" * 10_000))

    assert len(str(caught.value)) < 500


def test_a_vault_never_inventoried_has_nulls_for_its_numbers() -> None:
    columns = vault_columns(
        {"VaultName": "photos", "CreationDate": "2012-05-01T00:00:06.663Z", "NumberOfArchives": None}
    )

    assert columns == {
        "creation_date": datetime(2012, 5, 1, 0, 0, 6, 663000, tzinfo=timezone.utc),
        "last_inventory_date": None,
        "number_of_archives": None,
        "size_in_bytes": None,
    }


def test_a_vaults_number_that_cannot_be_read_is_an_error_naming_it() -> None:
    with pytest.raises(MalformedAnswer, match="vault 'photos': SizeInBytes is 'big'"):
        vault_columns({"VaultName": "photos", "SizeInBytes": "big"})
