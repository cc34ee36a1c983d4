from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.schema import JOBS, Observation
from glacier_jobs.errors import MalformedAnswer
from glacier_jobs.glacier.rows import ConvertedJobs, ObservedPage, converted_pages, converted_vault, jobs_batch
from glacier_jobs.glacier.values import NO_ODD_VALUES
from tests.descriptions import ARN, OPTIONAL_FIELDS, aws_date, job_descriptions

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
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=timezone.utc)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=timezone.utc)),
    ],
)
def test_a_date_is_read_as_utc_to_the_microsecond(text: str, moment: datetime) -> None:
    [row] = rows_of(job(CreationDate=text))

    assert row["creation_date"] == moment


def test_a_number_may_come_as_digits() -> None:
    [row] = rows_of(job(ArchiveSizeInBytes="17", InventoryRetrievalParameters={"Limit": "1000"}))

    assert row["archive_size_in_bytes"] == 17
    assert row["inventory_retrieval_parameters"]["limit"] == 1000


def converted(*jobs: dict[str, Any]) -> ConvertedJobs:
    page = ObservedPage(jobs=list(jobs), observed_at=MOMENT)
    return converted_pages([page], observation=OBSERVATION, vault_name="photos")


@pytest.mark.parametrize(
    ("field", "column", "value"),
    [
        ("CreationDate", "creation_date", "yesterday"),
        ("CreationDate", "creation_date", "2024-01-01"),
        ("CreationDate", "creation_date", ""),
        ("CompletionDate", "completion_date", "2012-13-01T00:00:00Z"),
        ("CompletionDate", "completion_date", 1335830406),
        ("CompletionDate", "completion_date", "0000-01-01T00:00:00Z"),
        ("CompletionDate", "completion_date", "0001-01-01T00:00:00+14:00"),
        ("CompletionDate", "completion_date", "9999-12-31T23:59:59-10:00"),
        ("ArchiveSizeInBytes", "archive_size_in_bytes", "many"),
        ("ArchiveSizeInBytes", "archive_size_in_bytes", "1e4"),
        ("ArchiveSizeInBytes", "archive_size_in_bytes", 5.0),
        ("ArchiveSizeInBytes", "archive_size_in_bytes", 2**63),
        ("ArchiveSizeInBytes", "archive_size_in_bytes", -(2**70)),
        ("InventorySizeInBytes", "inventory_size_in_bytes", 1.5),
        ("InventorySizeInBytes", "inventory_size_in_bytes", True),
        ("InventorySizeInBytes", "inventory_size_in_bytes", [[1]]),
        ("Completed", "completed", "true"),
        ("Completed", "completed", 1),
        ("JobDescription", "job_description", 5),
        ("StatusCode", "status_code", ["Succeeded"]),
        ("SNSTopic", "sns_topic", {"arn": None}),
        ("InventoryRetrievalParameters", "inventory_retrieval_parameters", "JSON"),
    ],
)
def test_a_value_that_does_not_fit_is_null_and_is_kept_in_extra(field: str, column: str, value: object) -> None:
    found = converted(job(), job(JobId="odd", Tier="Bulk", **{field: value}), job(JobId="j3"))

    before, odd, after = found.batch.to_pylist()
    assert odd[column] is None
    assert json.loads(odd["extra"]) == {field: value}
    assert (odd["job_id"], odd["tier"]) == ("odd", "Bulk")
    assert (before["extra"], after["extra"]) == (None, None)
    assert found.odd.by_field == {field: 1}
    assert str(found.odd.first).startswith(f"vault photos, job 'odd': {field} is {value!r}; expected ")


def test_a_parameter_that_does_not_fit_is_null_and_is_kept_in_extra_under_its_own_name() -> None:
    parameters = {"Format": "CSV", "StartDate": "2024-01-01", "Limit": "1e4", "EndDate": None, "Depth": 2}
    found = converted(job(InventoryRetrievalParameters=parameters, Colour="red"))

    [row] = found.batch.to_pylist()
    assert row["inventory_retrieval_parameters"] == {
        "format": "CSV", "start_date": None, "end_date": None, "limit": None, "marker": None
    }  # fmt: skip
    assert json.loads(row["extra"]) == {
        "Colour": "red",
        "InventoryRetrievalParameters": {"Depth": 2, "Limit": "1e4", "StartDate": "2024-01-01"},
    }
    assert found.odd.by_field == {
        "InventoryRetrievalParameters.StartDate": 1,
        "InventoryRetrievalParameters.Limit": 1,
    }


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("JobDescription", "a\ud800b", "a\\ud800b"),
        ("SelectParameters", {"\udfff": ["\ud800"]}, {"\\udfff": ["\\ud800"]}),
        ("NewField", {"deep": "\ud800"}, {"deep": "\\ud800"}),
        ("New.Field", "\ud800", "\\ud800"),
        ("NewField", [float("inf"), float("nan")], ["inf", "nan"]),
        ("ArchiveSizeInBytes", float("inf"), "inf"),
    ],
)
def test_what_json_text_cannot_contain_is_kept_as_text_that_duckdb_can_read(
    field: str, value: object, kept: object
) -> None:
    found = converted(job(), job(JobId="odd", **{field: value}))

    _, odd = found.batch.to_pylist()
    assert json.loads(odd["extra"]) == {field: kept}
    assert duckdb.execute("SELECT json_valid(?)", [odd["extra"]]).fetchall() == [(True,)]
    assert found.odd.by_field == {field: 1}


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(job_descriptions(), st.sampled_from(sorted(OPTIONAL_FIELDS)), _ANY_JSON)
def test_any_json_in_one_field_leaves_the_row_and_all_other_columns(
    documented: dict[str, Any], field: str, value: object
) -> None:
    changed, unchanged = rows_of({**documented, field: value}, {**documented, field: None})

    assert len({name for name in changed if repr(changed[name]) != repr(unchanged[name])} - {"extra"}) <= 1
    pq.write_table(pa.Table.from_pylist([changed], schema=JOBS), pa.BufferOutputStream())


def test_the_message_about_odd_values_names_the_fields_their_numbers_and_the_first() -> None:
    found = converted(job(CreationDate="x" * 10_000), job(JobId="j2", CreationDate="y", Completed=1))

    message = found.odd.message("kept in the column extra")

    assert message is not None
    assert message.startswith(
        "3 values are not as AWS documents them and are kept in the column extra: Completed (1), CreationDate (2). "
        "The first: vault photos, job 'j1': CreationDate is 'xxx"
    )
    assert len(message) < 500
    assert converted(job()).odd.message("kept") is None


def test_a_field_that_is_nested_too_deeply_is_an_error_of_its_vault() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    for field in ("NewField", "SelectParameters", "JobDescription", "ArchiveSizeInBytes"):
        with pytest.raises(MalformedAnswer, match="vault photos: a field of a job is nested too deeply"):
            converted(job(**{field: nested}))


@pytest.mark.parametrize("field", ["JobId", "VaultARN"])
def test_a_job_without_the_fields_that_name_it_is_refused(field: str) -> None:
    with pytest.raises(MalformedAnswer, match=f"{field} is missing"):
        rows_of({**job(), field: None})


@pytest.mark.parametrize("field", ["JobId", "VaultARN"])
def test_a_job_with_another_value_in_the_fields_that_name_it_is_refused(field: str) -> None:
    with pytest.raises(MalformedAnswer, match=f"vault photos.*{field} is .*; expected text"):
        rows_of({**job(), field: "\ud800"})


def test_a_vault_never_inventoried_has_nulls_for_its_numbers() -> None:
    found = converted_vault(
        {"VaultName": "photos", "CreationDate": "2012-05-01T00:00:06.663Z", "NumberOfArchives": None}
    )

    assert found.odd == NO_ODD_VALUES
    assert found.columns == {
        "creation_date": datetime(2012, 5, 1, 0, 0, 6, 663000, tzinfo=timezone.utc),
        "last_inventory_date": None,
        "number_of_archives": None,
        "size_in_bytes": None,
    }


def test_a_vaults_number_that_does_not_fit_is_null_and_counted() -> None:
    found = converted_vault({"VaultName": "photos", "SizeInBytes": "big", "NumberOfArchives": 3})

    assert (found.columns["size_in_bytes"], found.columns["number_of_archives"]) == (None, 3)
    assert found.odd.by_field == {"SizeInBytes": 1}
    assert found.odd.first == "vault 'photos': SizeInBytes is 'big'; expected a whole number"


def test_a_vaults_date_that_python_does_not_have_is_null_and_counted() -> None:
    found = converted_vault({"VaultName": "photos", "CreationDate": "0000-01-01T00:00:00Z"})

    assert found.columns["creation_date"] is None
    assert found.odd.by_field == {"CreationDate": 1}


def test_a_value_of_a_vault_that_is_nested_too_deeply_is_null_and_counted() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    found = converted_vault({"VaultName": "photos", "SizeInBytes": nested, "NumberOfArchives": 3})

    assert (found.columns["size_in_bytes"], found.columns["number_of_archives"]) == (None, 3)
    assert "SizeInBytes is a value that is nested too deeply; expected" in str(found.odd.first)
