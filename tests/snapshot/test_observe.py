from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import Provenance
from glacier_jobs.errors import (
    InvalidArgument,
    VaultsRefused,
    VaultsUnavailable,
    WrongAccount,
)
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.reports import run
from glacier_jobs.snapshot.observe import PublishedObservation, observe
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.descriptions import job_descriptions
from tests.examples import examples
from tests.glacier.test_rows import description_of, without_nulls
from tests.observations import local_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path / "records")


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect())


def fill(local_aws: Control, jobs_by_vault: dict[str, int]) -> None:
    local_aws.add_vaults(*jobs_by_vault)
    for vault_name, jobs in jobs_by_vault.items():
        local_aws.add_jobs(vault_name, [{"JobId": f"{vault_name}-{number:04}"} for number in range(jobs)])


def recorded(dataset: Dataset, observed: PublishedObservation) -> list[dict[str, Any]]:
    """Return what the Parquet holds of an observation, as AWS's descriptions."""
    rows = dataset.scan("jobs").to_table().to_pylist()
    return [description_of(row) for row in rows if row["observation_id"] == observed.observation.observation_id]


def by_arn_and_id(descriptions: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    keyed = {
        (description["VaultARN"], description["JobId"]): without_nulls(description) for description in descriptions
    }
    assert len(keyed) == len(descriptions), "a job is there twice"
    return keyed


def vault_rows(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {row["vault_name"]: row for row in dataset.scan("vaults").to_table().to_pylist()}


def test_the_parquet_files_equal_the_jobs_of_aws_field_by_field(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    local_aws.set_clock(speed=0)
    local_aws.seed("demo")

    observed = observe(hook, dataset)

    truth = local_aws.jobs()
    assert by_arn_and_id(recorded(dataset, observed)) == by_arn_and_id(truth)
    assert observed.jobs == len(truth)
    described = {vault["VaultName"]: vault for vault in hook.list_vaults()}
    counts = Counter(job["VaultARN"].rpartition("/")[2] for job in truth)
    for name, row in vault_rows(dataset).items():
        assert row["vault_arn"] == described[name]["VaultARN"]
        assert row["number_of_archives"] == described[name].get("NumberOfArchives")
        assert row["size_in_bytes"] == described[name].get("SizeInBytes")
        assert (row["jobs"], row["outcome"], row["error"]) == (counts[name], "listed", None)
    assert observed.vaults == len(described)


FAULTS: dict[str, dict[str, Any]] = {
    "short_page": {"size": 2, "probability": 0.5},
    "empty_page": {"probability": 0.3},
    "repeated_job": {"probability": 0.5},
    "throttling": {"probability": 0.2},
    "service_unavailable": {"probability": 0.2},
    "request_timeout": {"probability": 0.2},
    "dropped_connection": {"probability": 0.2},
    "truncated_body": {"probability": 0.2},
    "cut_json": {"probability": 0.15},
    "not_json": {"probability": 0.15},
    "latency": {"seconds": 0.002},
    "expired_token": {"count": 1},
}


@pytest.mark.usefixtures("no_backoff")
@examples(8, in_drills=20)
@given(data=st.data())
def test_any_vaults_jobs_page_sizes_and_faults_give_the_jobs_of_aws(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, connect: Connect, local_aws_process: Control
) -> None:
    local_aws = local_aws_process
    local_aws.reset()
    local_aws.set_clock(speed=0)
    local_aws.settings(
        max_limit=data.draw(st.integers(1, 10)),
        newest_first=data.draw(st.booleans()),
        marker_repeats_job=data.draw(st.booleans()),
    )
    for number in range(data.draw(st.integers(0, 12))):
        name = f"vault-{number}"
        jobs = data.draw(st.lists(job_descriptions(name), max_size=12, unique_by=lambda job: job["JobId"]))
        local_aws.add_vaults(name)
        local_aws.add_jobs(name, [{**job, "_life": {"verbatim": True}} for job in jobs])
    local_aws.seed_dice(data.draw(st.integers(0, 2**32)))
    for kind in data.draw(st.sets(st.sampled_from(sorted(FAULTS)))):
        local_aws.fault(kind, **FAULTS[kind])
    dataset = local_dataset(tmp_path_factory.mktemp("records"))
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None), max_requests=data.draw(st.integers(1, 5)))

    observed = observe(hook, dataset)

    assert by_arn_and_id(recorded(dataset, observed)) == by_arn_and_id(local_aws.jobs())
    assert observed.failed_vaults == []


def test_requests_are_concurrent_up_to_the_limit(connect: Connect, local_aws: Control, dataset: Dataset) -> None:
    fill(local_aws, {f"vault-{number:02}": 1 for number in range(12)})
    local_aws.reset_calls()
    local_aws.fault("crowd", operation="ListJobs", size=4, seconds=10.0)

    observe(GlacierJobsHook(aws_conn_id=connect(), max_requests=4), dataset)

    assert local_aws.calls().most_in_flight == 4


def test_named_vaults_are_listed_without_list_vaults(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 1, "b": 2, "c": 3})

    observed = observe(hook, dataset, vault_names=["c", "a", "c"])

    assert (observed.jobs, observed.vaults) == (4, 2)
    assert "ListVaults" not in local_aws.calls().by_operation
    [row] = dataset.scan("observations").to_table().to_pylist()
    assert row["scope"] == "named"
    assert {name: row["vault_arn"] for name, row in vault_rows(dataset).items()} == {
        name: f"arn:aws:glacier:us-east-1:123456789012:vaults/{name}" for name in ("a", "c")
    }


def test_excluded_vaults_are_not_requested_and_do_not_count_as_deleted(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    fill(local_aws, {"a": 1, "b": 2, "test-1": 4, "Test-2": 8})
    observe(hook, dataset)
    local_aws.reset_calls()

    observed = observe(hook, dataset, exclude_vaults=["b", "test-*", "typo-*"])

    assert (observed.jobs, observed.vaults) == (9, 2)
    assert {request["vault_name"] for request in local_aws.requests("ListJobs")} == {"a", "Test-2"}
    assert "exclude_vaults: 'typo-*' matches no vault" in caplog.messages
    rows = dataset.scan("observations").to_table().to_pylist()
    assert Counter(row["scope"] for row in rows) == {"all": 1, "named": 1}
    latest = run("latest_jobs", dataset).to_pylist()
    assert Counter(row["vault_name"] for row in latest) == {"a": 1, "b": 2, "test-1": 4, "Test-2": 8}


def test_excluded_vaults_are_left_out_of_named_ones_too(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 1, "b": 2})

    assert observe(hook, dataset, vault_names=["a", "b"], exclude_vaults=["[b-z]"]).jobs == 1


def test_the_observation_records_task_scope_and_counts(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 1, "b": 2})
    before = datetime.now(timezone.utc)

    observed = observe(
        hook, dataset, provenance=Provenance(dag_id="d", run_id="r", task_id="t", map_index=3, try_number=2)
    )

    [row] = dataset.scan("observations").to_table().to_pylist()
    assert row["observation_id"] == observed.observation.observation_id
    assert before <= row["snapshot_at"] <= row["ended_at"] <= row["published_at"] <= datetime.now(timezone.utc)
    assert (row["dag_id"], row["run_id"], row["task_id"], row["map_index"], row["try_number"]) == ("d", "r", "t", 3, 2)
    assert (row["vaults_listed"], row["vaults_gone"], row["vaults_failed"], row["jobs"]) == (2, 0, 0, 3)
    assert (row["scope"], row["account_id"], row["region"]) == ("all", "123456789012", "us-east-1")


def test_an_account_without_vaults_is_recorded(hook: GlacierJobsHook, local_aws: Control, dataset: Dataset) -> None:
    observed = observe(hook, dataset)

    assert (observed.jobs, observed.vaults) == (0, 0)
    assert dataset.observation_ids() == [observed.observation.observation_id]
    assert dataset.scan("jobs").count_rows() == 0


def test_an_account_given_by_number_is_used_without_sts(connect: Connect, local_aws: Control, dataset: Dataset) -> None:
    local_aws.add_jobs("theirs", [{"JobId": "a"}], account_id="210987654321")

    observed = observe(GlacierJobsHook(aws_conn_id=connect()), dataset, account_id="210987654321")

    assert observed.observation.account_id == "210987654321"
    assert {request["account"] for request in local_aws.requests()} == {"210987654321"}


# From the 10th page on, there are rows of the vault that must be left out.
@pytest.mark.parametrize("pages_before", [0, 2, 12])
def test_a_vault_deleted_meanwhile_is_recorded_as_gone_without_jobs(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset, pages_before: int
) -> None:
    fill(local_aws, {"kept": 3, "deleted": 700})
    if pages_before:
        aim = {"operation": "ListJobs", "vault_name": "deleted", "skip": pages_before - 1, "count": 1}
    else:
        aim = {"operation": "ListVaults"}
    local_aws.hook("delete_vault", {"vault_name": "deleted"}, **aim)

    observed = observe(hook, dataset)

    row = vault_rows(dataset)["deleted"]
    assert (row["outcome"], row["jobs"], row["pages"]) == ("gone", 0, pages_before)
    assert (observed.jobs, observed.failed_vaults) == (3, [])
    assert {job["VaultARN"].rpartition("/")[2] for job in recorded(dataset, observed)} == {"kept"}


@pytest.mark.parametrize("pages_before", [0, 2])
@pytest.mark.parametrize("vault_names", [None, ["photos"]])
def test_a_vault_that_is_not_found_for_a_moment_is_listed_completely(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset, pages_before: int, vault_names: list[str] | None
) -> None:
    fill(local_aws, {"photos": 700})
    local_aws.fault("vault_not_found", operation="ListJobs", skip=pages_before, count=1)

    observed = observe(hook, dataset, vault_names=vault_names)

    row = vault_rows(dataset)["photos"]
    assert (row["outcome"], row["jobs"], row["pages"], row["error"]) == ("listed", 700, 14 + pages_before, None)
    assert len({job["JobId"] for job in recorded(dataset, observed)}) == 700


def test_a_named_vault_that_does_not_exist_is_an_error(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"photos": 1})

    with pytest.raises(VaultsRefused, match=r"1 of 2 vaults.*\n- photoes: .*Vault not found"):
        observe(hook, dataset, vault_names=["photos", "photoes"])

    assert dataset.observation_ids() == []


def test_with_fail_nothing_is_published_and_every_vault_that_failed_is_named(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 1, "b": 60, "c": 1, "d": 1})
    local_aws.fault("access_denied", vault_name="a")
    local_aws.fault("access_denied", vault_name="b", skip=1)

    with pytest.raises(VaultsRefused) as caught:
        observe(hook, dataset)

    assert "2 of 4 vaults" in str(caught.value)
    assert "\n- a: " in str(caught.value)
    assert "\n- b: " in str(caught.value)
    assert not Path(dataset.root, "jobs").exists()


@pytest.mark.usefixtures("no_backoff")
def test_with_fail_transient_errors_alone_are_a_transient_error(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 1, "b": 1})
    local_aws.fault("throttling", vault_name="b")

    with pytest.raises(VaultsUnavailable, match=r"- b: .*ThrottlingException"):
        observe(hook, dataset)


@pytest.mark.parametrize("pages_before", [1, 12])
def test_with_record_the_other_vaults_and_the_failure_are_published(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset, pages_before: int
) -> None:
    fill(local_aws, {"a": 5, "b": 700, "c": 1})
    local_aws.fault("access_denied", vault_name="b", skip=pages_before)

    observed = observe(hook, dataset, on_vault_error="record")

    assert (observed.jobs, observed.vaults, observed.failed_vaults) == (6, 3, ["b"])
    row = vault_rows(dataset)["b"]
    assert (row["outcome"], row["jobs"], row["pages"]) == ("failed", 0, pages_before)
    assert "AccessDeniedException" in row["error"]
    assert {job["VaultARN"].rpartition("/")[2] for job in recorded(dataset, observed)} == {"a", "c"}


@pytest.mark.usefixtures("no_backoff")
def test_with_record_a_vault_that_stays_throttled_is_recorded(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 5, "b": 1})
    local_aws.fault("throttling", vault_name="b")

    assert observe(hook, dataset, on_vault_error="record").failed_vaults == ["b"]


@pytest.mark.usefixtures("no_backoff")
def test_with_record_an_outage_of_all_vaults_is_a_transient_error(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    fill(local_aws, {"a": 5, "b": 1})
    local_aws.fault("service_unavailable", operation="ListJobs")

    with pytest.raises(VaultsUnavailable, match="2 of 2 vaults"):
        observe(hook, dataset, on_vault_error="record")

    assert dataset.observation_ids() == []


def test_a_job_with_an_odd_field_is_recorded_and_counted(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    fill(local_aws, {"good": 2})
    odd = {"CreationDate": "yesterday", "InventoryRetrievalParameters": {"Limit": "1e4"}, "_life": {"verbatim": True}}
    local_aws.add_jobs("odd", [{"JobId": "a", **odd}, {"JobId": "b", **odd}])

    observed = observe(hook, dataset)

    assert (observed.jobs, observed.failed_vaults) == (4, [])
    vaults = vault_rows(dataset)
    assert (vaults["odd"]["outcome"], vaults["odd"]["jobs"]) == ("listed", 2)
    message = (
        "4 values are not as AWS documents them and are kept in the column extra: CreationDate (2), "
        "InventoryRetrievalParameters.Limit (2). The first: vault odd, job 'a': CreationDate is 'yesterday'; expected"
    )
    assert vaults["odd"]["error"].startswith(message)
    assert vaults["good"]["error"] is None
    assert any(message in logged for logged in caplog.messages)
    rows = dataset.scan("jobs").to_table().to_pylist()
    assert [json.loads(row["extra"]) for row in rows if row["vault_name"] == "odd"] == [
        {"CreationDate": "yesterday", "InventoryRetrievalParameters": {"Limit": "1e4"}}
    ] * 2


def test_odd_metadata_of_a_vault_is_null_and_said_in_its_row(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    local_aws.add_vaults({"VaultName": "odd", "LastInventoryDate": "long ago"}, "good")
    local_aws.add_jobs("odd", [{"JobId": "a"}])

    observed = observe(hook, dataset)

    assert (observed.jobs, observed.vaults, observed.failed_vaults) == (1, 2, [])
    row = vault_rows(dataset)["odd"]
    assert (row["outcome"], row["last_inventory_date"]) == ("listed", None)
    assert row["error"].startswith(
        "1 values are not as AWS documents them and are null: LastInventoryDate (1). "
        "The first: vault 'odd': LastInventoryDate is 'long ago'; expected"
    )


def test_a_vault_of_another_account_is_refused_with_any_on_vault_error(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    arn = "arn:aws:glacier:us-east-1:999999999999:vaults/odd"
    local_aws.add_jobs("odd", [{"JobId": "a", "VaultARN": arn}])

    with pytest.raises(WrongAccount, match=r"999999999999.*123456789012"):
        observe(hook, dataset, on_vault_error="record")


def test_an_empty_vault_of_another_account_is_refused_too(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    local_aws.add_vaults({"VaultName": "odd", "VaultARN": "arn:aws:glacier:us-east-1:999999999999:vaults/odd"})

    with pytest.raises(WrongAccount, match=r"999999999999.*123456789012"):
        observe(hook, dataset, on_vault_error="record")


@pytest.mark.parametrize(
    "arguments",
    [
        {"on_vault_error": "ignore"},
        {"account_id": "1"},
        {"vault_names": []},
        {"vault_names": "photos"},
        {"exclude_vaults": "photos"},
        {"exclude_vaults": ["a/b"]},
    ],
)
def test_an_invalid_argument_is_refused(hook: GlacierJobsHook, dataset: Dataset, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        observe(hook, dataset, **arguments)


def test_jobs_that_change_or_vanish_between_two_pages_are_written_once_with_their_latest_state(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    start = datetime(2026, 11, 22, 6, tzinfo=timezone.utc)
    local_aws.set_clock(start, speed=0)
    local_aws.settings(marker_repeats_job=True)
    done_in_a_minute = {"_life": {"completes_at": "2026-11-22T06:01:00Z"}}
    local_aws.add_jobs("photos", [{"JobId": f"job-{number:03}", **done_in_a_minute} for number in range(200)])
    local_aws.add_jobs("photos", [{"JobId": "gone", "_life": {"completes_at": "2026-11-21T06:01:00Z"}}])
    local_aws.hook("advance", {"seconds": 90}, operation="ListJobs", count=1)

    observed = observe(hook, dataset)

    status_codes = {job["JobId"]: job["StatusCode"] for job in recorded(dataset, observed)}
    listed = local_aws.requests("ListJobs")
    assert "marker" not in listed[0]["query"]
    assert sorted(set(status_codes) - {"gone"}) == [f"job-{number:03}" for number in range(200)]
    assert list(status_codes.values()).count("InProgress") == 48


def test_two_runs_at_once_make_two_observations(connect: Connect, local_aws: Control, dataset: Dataset) -> None:
    fill(local_aws, {"a": 120, "b": 1})
    conn_id = connect()
    observed: list[PublishedObservation] = []

    def run() -> None:
        observed.append(observe(GlacierJobsHook(aws_conn_id=conn_id), dataset))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(dataset.observation_ids()) == 2
    assert [len(recorded(dataset, each)) for each in observed] == [121, 121]


_SNAPSHOT = """
import resource, signal, sys
from pathlib import Path
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from tests.observations import local_dataset

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
observe(GlacierJobsHook(aws_conn_id="local_aws"), local_dataset(Path(sys.argv[1])))
"""


def test_a_full_disk_is_an_error_that_leaves_nothing_visible(
    connect: Connect, local_aws: Control, dataset: Dataset
) -> None:
    """The limit on a file's size stands in for the full disk: the same error of the same write call."""
    connect()
    fill(local_aws, {"a": 3000})

    run = subprocess.run(  # noqa: S603 - our own command
        [
            sys.executable,
            "-c",
            _SNAPSHOT,
            dataset.root,
        ],
        env=_child_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "File too large" in run.stderr
    assert not list(Path(dataset.root).rglob("*.p*"))


def _child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}/plugins:{ROOT}/include:{ROOT}"}


def test_json_that_is_difficult_for_engines_stays_unchanged(
    hook: GlacierJobsHook, local_aws: Control, dataset: Dataset
) -> None:
    hostile = ["<script>alert(1)</script>", "'; drop table jobs; --", 'a"b\\c', "NULL", "=1+1", "${x}", " "]
    local_aws.add_jobs("photos", [{"JobId": f"j{n}", "JobDescription": text} for n, text in enumerate(hostile)])

    observed = observe(hook, dataset)

    assert [job["JobDescription"] for job in recorded(dataset, observed)] == hostile
