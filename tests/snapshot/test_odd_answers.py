"""An answer that is not as documented costs a snapshot at most the vault that it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.errors import VaultsUnavailable, WrongAccount
from glacier_jobs.glacier.rows import ConvertedJobs, converted_pages
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot import listing
from glacier_jobs.snapshot.observe import observe
from local_aws.http_server import Handler, serving
from tests.conftest import Connect
from tests.observations import local_dataset

ACCOUNT = "123456789012"
ARN = f"arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/"
GOOD = {"VaultName": "good", "VaultARN": f"{ARN}good"}
ODD = {"VaultName": "odd", "VaultARN": f"{ARN}odd"}


def body_of(vault_name: str, **fields: Any) -> str:
    job = {"JobId": "a", "VaultARN": f"{ARN}{vault_name}", **fields}
    return json.dumps({"JobList": [job], "Marker": None})


@contextmanager
def glacier_of(vaults: list[Any], odd: str | None = None) -> Iterator[str]:
    """Serve these vaults, each with one job; ``odd`` is the answer to List Jobs for the vault of this name."""

    class Answering(Handler):
        def respond(self) -> None:
            _, _, _, *rest = unquote(self.path.partition("?")[0]).split("/")
            if not rest:
                self.answer_text(json.dumps({"VaultList": vaults, "Marker": None}))
            else:
                self.answer_text(odd if odd is not None and rest[0] == "odd" else body_of(rest[0]))

        def answer_text(self, text: str) -> None:
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with serving(Answering) as url:
        yield url


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return local_dataset(tmp_path / "records")


def recorded(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    rows = dataset.scan("vaults").to_table().to_pylist()
    return {row["vault_name"]: (row["outcome"], row["error"]) for row in rows}


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json.dumps({"JobList": [], "Marker": "\ud800"}), r"the answer's Marker is '\ud800'; expected Unicode text"),
        (json.dumps({"JobList": [], "Marker": 7}), "the answer's Marker is 7; expected text or null"),
        (f'{{"JobList": [{{"JobId": "a", "VaultARN": "{ARN}odd", "New": {NESTED}}}]}}', "is nested too deeply"),
        (NESTED, "is nested too deeply"),
        (json.dumps({"JobList": [NESTED[:10]]}), "JobList holds str; expected objects"),
        (json.dumps({"JobList": None}), "the answer's JobList is NoneType; expected a list"),
        (body_of("odd", JobId=None), "JobId is None; expected text"),
        (body_of("odd", JobId="\ud800"), r"JobId is '\ud800'; expected text that can be encoded"),
        (body_of("odd", VaultARN="odd"), "found 'odd'; expected a vault's ARN"),
    ],
    ids=range(9),
)
@pytest.mark.usefixtures("no_backoff")
def test_an_odd_answer_to_list_jobs_fails_its_vault_alone(
    connect: Connect, dataset: Dataset, answer: str, error: str
) -> None:
    with glacier_of([GOOD, ODD], odd=answer) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url, attempts=1))
        observed = observe(hook, dataset, account_id=ACCOUNT, on_vault_error="record")

    assert (observed.jobs, observed.failed_vaults) == (1, ["odd"])
    outcome, message = recorded(dataset)["odd"]
    assert outcome == "failed"
    assert message is not None
    assert error in message
    assert recorded(dataset)["good"] == ("listed", None)


@pytest.mark.parametrize(
    ("vault", "name"),
    [
        ({"VaultName": "odd"}, "odd"),
        ({"VaultName": "odd", "VaultARN": None}, "odd"),
        ({"VaultName": "odd", "VaultARN": "arn:odd"}, "odd"),
        ({"VaultName": "odd", "VaultARN": 7}, "odd"),
        ({"VaultName": "a/b", "VaultARN": f"{ARN}a/b"}, "a/b"),
        ({"VaultName": "o\ud800", "VaultARN": f"{ARN}o\ud800"}, r"o\ud800"),
        ({"VaultName": "odd", "VaultARN": f"{ARN}odd\ud800"}, "odd"),
        ({"VaultName": "odd", "VaultARN": "arn:aws:glacier:us-east-1::vaults/odd"}, "odd"),
        ({"VaultName": "odd", "VaultARN": "arn:aws:glacier:us-east-1:12345:vaults/odd"}, "odd"),
        ({"VaultName": None, "VaultARN": f"{ARN}odd"}, "odd"),
        ({"VaultName": 7, "VaultARN": f"{ARN}odd"}, "odd"),
        ({"VaultName": 7}, "(without name 1)"),
        ({"VaultName": ""}, "(without name 1)"),
    ],
)
def test_an_odd_description_of_a_vault_fails_this_vault_alone(
    connect: Connect, dataset: Dataset, vault: dict[str, Any], name: str
) -> None:
    with glacier_of([vault, GOOD]) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url))
        observed = observe(hook, dataset, account_id=ACCOUNT, on_vault_error="record")

    assert (observed.jobs, observed.failed_vaults) == (1, [name])
    outcome, message = recorded(dataset)[name]
    assert outcome == "failed"
    assert str(message).startswith("List Vaults describes the vault {'VaultName': ")
    assert recorded(dataset)["good"] == ("listed", None)
    [arn] = [row["vault_arn"] for row in dataset.scan("vaults").to_table().to_pylist() if row["vault_name"] == name]
    assert arn == f"{ARN}{name}"


@pytest.mark.parametrize("entries", [[None], ["text"], [{}, 7, []]])
def test_vaults_without_a_name_are_recorded_as_failed_and_no_vault_counts_as_deleted(
    connect: Connect, dataset: Dataset, entries: list[Any]
) -> None:
    with glacier_of([*entries, GOOD]) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url))
        observed = observe(hook, dataset, account_id=ACCOUNT, on_vault_error="record")

    assert observed.failed_vaults == [f"(without name {number + 1})" for number in range(len(entries))]
    assert recorded(dataset)["good"] == ("listed", None)
    [row] = dataset.scan("observations").to_table().to_pylist()
    assert row["scope"] == "named"


def test_a_vault_that_is_described_twice_is_listed_by_its_correct_description(
    connect: Connect, dataset: Dataset
) -> None:
    with glacier_of([{"VaultARN": f"{ARN}good"}, GOOD, {"VaultName": "good"}]) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url))
        observed = observe(hook, dataset, account_id=ACCOUNT)

    assert (observed.jobs, observed.failed_vaults) == (1, [])
    [row] = dataset.scan("observations").to_table().to_pylist()
    assert row["scope"] == "all"


@pytest.mark.usefixtures("no_backoff")
def test_a_job_with_an_odd_account_in_its_arn_fails_its_vault_alone(connect: Connect, dataset: Dataset) -> None:
    with glacier_of([GOOD, ODD], odd=body_of("odd", VaultARN="arn:aws:glacier:us-east-1::vaults/odd")) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url, attempts=1))
        observed = observe(hook, dataset, account_id=ACCOUNT, on_vault_error="record")

    assert observed.failed_vaults == ["odd"]
    assert recorded(dataset)["good"] == ("listed", None)


def test_an_unexpected_error_fails_its_vault_alone_and_is_logged(
    connect: Connect, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(pages: Any, *, vault_name: str, **others: Any) -> ConvertedJobs:
        if vault_name == "odd":
            raise ZeroDivisionError("division by zero")
        return converted_pages(pages, vault_name=vault_name, **others)

    monkeypatch.setattr(listing, "converted_pages", failing)
    with glacier_of([GOOD, ODD]) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url))
        observed = observe(hook, dataset, account_id=ACCOUNT, on_vault_error="record")
        with pytest.raises(VaultsUnavailable, match="odd: unexpected ZeroDivisionError: division by zero"):
            observe(hook, dataset, account_id=ACCOUNT)

    assert (observed.jobs, observed.failed_vaults) == (1, ["odd"])
    assert recorded(dataset)["odd"] == (
        "failed",
        "unexpected ZeroDivisionError: division by zero; the log has its traceback",
    )
    assert "Traceback" in caplog.text


def test_a_vault_of_another_account_still_fails_the_snapshot(connect: Connect, dataset: Dataset) -> None:
    other = {"VaultName": "odd", "VaultARN": "arn:aws:glacier:us-east-1:999999999999:vaults/odd"}
    with glacier_of([GOOD, other]) as url, pytest.raises(WrongAccount):
        observe(
            GlacierJobsHook(aws_conn_id=connect(endpoint_url=url)),
            dataset,
            account_id=ACCOUNT,
            on_vault_error="record",
        )


def test_an_error_text_that_cannot_be_encoded_is_recorded_with_escapes(connect: Connect, dataset: Dataset) -> None:
    class Refusing(Handler):
        def respond(self) -> None:
            self.answer(403, {"code": "AccessDeniedException", "message": "not \ud800"})

    with serving(Refusing) as url:
        hook = GlacierJobsHook(aws_conn_id=connect(endpoint_url=url))
        observe(hook, dataset, account_id=ACCOUNT, vault_names=["odd"], on_vault_error="record")

    assert r"not \ud800" in str(recorded(dataset)["odd"][1])
