"""Faults of Glacier: a snapshot publishes every job, or it fails and publishes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import AccessDenied, GlacierJobsError, VaultsRefused, VaultsUnavailable
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from local_aws.http_server import Handler, serving
from tests.conftest import Connect
from tests.drills.table import RecordDrill
from tests.observations import local_dataset

_ARN = "arn:aws:glacier:us-east-1:123456789012:vaults/photos"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path / "records")


def fill(local_aws: Control, *, vaults: int, jobs: int) -> set[tuple[str, str]]:
    for vault in range(vaults):
        local_aws.add_jobs(f"vault-{vault}", [{"JobId": f"{vault}-{number}"} for number in range(jobs)])
    return {(job["VaultARN"], job["JobId"]) for job in local_aws.jobs()}


def published(dataset: Dataset) -> list[tuple[str, str]]:
    rows = dataset.scan("jobs").to_table(columns=["vault_arn", "job_id"])
    return list(zip(rows["vault_arn"].to_pylist(), rows["job_id"].to_pylist(), strict=True))


def assert_all_once(dataset: Dataset, expected: set[tuple[str, str]]) -> None:
    found = published(dataset)
    assert len(found) == len(expected)
    assert set(found) == expected


def _all_at_once(local_aws: Control) -> None:
    local_aws.fault("throttling", probability=0.30)
    local_aws.fault("service_unavailable", probability=0.10)
    local_aws.fault("dropped_connection", probability=0.05)


@pytest.mark.drill
def test_no_job_is_lost_with_throttling_errors_and_dropped_connections_at_once(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    expected = fill(local_aws, vaults=12, jobs=400)
    _all_at_once(local_aws)

    observe(GlacierJobsHook(aws_conn_id=connect(attempts=None)), dataset)

    assert_all_once(dataset, expected)
    record_drill("30 % throttled, 10 % HTTP 500, 5 % dropped, at once", f"all {len(expected):,} jobs, each once")


@pytest.mark.drill
def test_a_total_outage_of_a_minute_is_waited_out(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    expected = fill(local_aws, vaults=3, jobs=120)
    for kind, calls in (("service_unavailable", "ListJobs"), ("dropped_connection", "ListVaults")):
        local_aws.fault(kind, operation=calls, skip=1)
    end = threading.Timer(60, Control(local_aws.endpoint).clear_faults)
    end.start()
    try:
        observe(GlacierJobsHook(aws_conn_id=connect(attempts=None)), dataset)
    finally:
        end.cancel()

    assert_all_once(dataset, expected)
    record_drill("only errors for 60 s, during the listing", f"waited out; all {len(expected)} jobs, each once")


@pytest.mark.quick_drill
@pytest.mark.usefixtures("no_backoff")
def test_a_token_that_expires_during_a_listing_is_renewed(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    expected = fill(local_aws, vaults=3, jobs=200)
    hook = GlacierJobsHook(aws_conn_id=connect(access_key="LOCALAWSACCESSKEYOLD"), max_requests=3)
    hook.get_conn()
    connect(access_key="LOCALAWSACCESSKEYNEW")
    local_aws.fault("expired_token", operation="ListJobs", access_key="LOCALAWSACCESSKEYOLD", skip=4)

    observe(hook, dataset)

    assert_all_once(dataset, expected)
    record_drill("token expired while three vaults were listed", f"renewed; all {len(expected)} jobs, each once")


@pytest.mark.quick_drill
def test_a_wrong_clock_is_named_in_the_error(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    fill(local_aws, vaults=1, jobs=1)
    local_aws.fault("invalid_signature")

    with pytest.raises(AccessDenied, match="clock"):
        observe(GlacierJobsHook(aws_conn_id=connect()), dataset)

    assert dataset.observation_ids() == []
    record_drill(
        "signature refused, as with a wrong clock",
        "an error that names the clock and is not retried; nothing published",
    )


BODIES = ("truncated_body", "cut_json", "not_json")


@pytest.mark.quick_drill
@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_cannot_be_read_is_retried_and_then_an_error(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill, body: str
) -> None:
    expected = fill(local_aws, vaults=2, jobs=200)
    local_aws.fault(body, operation="ListJobs", probability=0.3)

    observe(GlacierJobsHook(aws_conn_id=connect(attempts=None)), dataset)

    assert_all_once(dataset, expected)
    local_aws.clear_faults()
    local_aws.fault(body, operation="ListJobs", vault_name="vault-0", skip=2)
    with pytest.raises(VaultsUnavailable, match="vault-0"):
        observe(GlacierJobsHook(aws_conn_id=connect()), dataset)
    assert len(dataset.observation_ids()) == 1
    record_drill(
        f"{body.replace('_', ' ')}: on 30 % of the pages, then on every page", "all jobs, each once; then an error"
    )


@pytest.mark.quick_drill
def test_a_thousand_null_fields_add_nothing_to_a_row(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    nulls = {f"New{number}": None for number in range(1000)}
    local_aws.add_jobs(
        "photos", [{"JobId": f"j{number}", **nulls, "_life": {"verbatim": True}} for number in range(50)]
    )

    observe(GlacierJobsHook(aws_conn_id=connect()), dataset)

    rows = dataset.scan("jobs").to_table()
    assert rows.num_rows == 50
    assert rows["extra"].null_count == 50
    record_drill("a page of 50 jobs with 1,000 null fields each", "50 rows, nothing in `extra`")


class GlacierWithUnusualMarkers:
    """A Glacier that gives these markers, and accepts each marker only exactly as given."""

    def __init__(self, markers: list[str]) -> None:
        self.markers = markers
        self.endpoint = ""

    def answer(self, marker: str | None) -> dict[str, Any]:
        page = 0 if marker is None else self.markers.index(marker) + 1
        next_marker = self.markers[page] if page < len(self.markers) else None
        return {"JobList": [{"JobId": f"job-{page}", "VaultARN": _ARN}], "Marker": next_marker}


@pytest.fixture
def unusual_glacier() -> Iterator[GlacierWithUnusualMarkers]:
    """A Glacier with a marker for each ASCII character and for some others."""
    glacier = GlacierWithUnusualMarkers(
        [f"a{chr(code)}b" for code in range(1, 128)]
        + ["é", "日本", "\U0001f9ca", "%2F", "%", "+", "&marker=x", "?", "#", "../..", "null", "None", "\\u0000"]
    )

    class OneVault(Handler):
        def respond(self) -> None:
            query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            try:
                self.answer(200, glacier.answer(query.get("marker", [None])[0]))
            except ValueError:
                self.answer(400, {"code": "InvalidParameterValueException", "message": "no such marker"})

    with serving(OneVault) as glacier.endpoint:
        yield glacier


@pytest.mark.quick_drill
def test_markers_are_sent_back_exactly_as_given(
    connect: Connect, unusual_glacier: GlacierWithUnusualMarkers, dataset: Dataset, record_drill: RecordDrill
) -> None:
    hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=unusual_glacier.endpoint))

    observe(hook, dataset, account_id="123456789012", vault_names=["photos"])

    pages = len(unusual_glacier.markers) + 1
    assert_all_once(dataset, {(_ARN, f"job-{page}") for page in range(pages)})
    record_drill(
        f"{pages - 1} markers with each ASCII character and some others", "each was sent back exactly as given"
    )


@pytest.mark.quick_drill
@pytest.mark.parametrize("length", [1, 4])
def test_markers_that_repeat_are_an_error(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill, length: int
) -> None:
    fill(local_aws, vaults=1, jobs=600)
    local_aws.fault("marker_cycle", operation="ListJobs", skip=6, length=length)

    with pytest.raises((VaultsUnavailable, VaultsRefused), match="came a second time"):
        observe(GlacierJobsHook(aws_conn_id=connect()), dataset)

    assert dataset.observation_ids() == []
    record_drill(
        f"markers that repeat after {length}", "an error that names the vault and the marker; nothing published"
    )


@pytest.mark.quick_drill
def test_every_refusal_is_raised_as_a_glacier_jobs_error(
    connect: Connect, local_aws: Control, dataset: Dataset, record_drill: RecordDrill
) -> None:
    fill(local_aws, vaults=1, jobs=1)
    for kind in ("no_longer_supported", "limit_exceeded", "unrecognized_client", "access_denied"):
        local_aws.clear_faults()
        local_aws.fault(kind)

        with pytest.raises(GlacierJobsError):
            observe(GlacierJobsHook(aws_conn_id=connect()), dataset)
    record_drill("Glacier refusing with four kinds of errors", "each is raised as a GlacierJobsError")
