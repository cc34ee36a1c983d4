from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from glacier_jobs.exchanges import ask
from glacier_jobs.hooks import GlacierJobsHook
from local_aws.client import Control
from tests.conftest import Connect

PHOTOS = {"accountId": "-", "vaultName": "photos"}


@pytest.fixture
def client(connect: Connect) -> Any:
    return GlacierJobsHook(aws_conn_id=connect()).get_conn()


def test_an_answer_shows_how_it_was_asked_for(client: Any, local_aws: Control) -> None:
    local_aws.add_vaults("photos")

    shown = ask(client, "list_jobs", PHOTOS).shown

    assert shown is not None
    assert shown.operation.name == "ListJobs"
    assert shown.request.url == f"{local_aws.endpoint}/-/vaults/photos/jobs"


def test_an_answer_for_which_nothing_was_sent_shows_nothing(client: Any) -> None:
    with Stubber(client) as stubber:
        stubber.add_response("list_jobs", {"JobList": []}, PHOTOS)

        answer = ask(client, "list_jobs", PHOTOS)

    assert answer.content["JobList"] == []
    assert answer.shown is None


@pytest.mark.usefixtures("no_backoff")
def test_an_attempt_that_failed_before_is_botocores_first(client: Any, local_aws: Control) -> None:
    local_aws.add_jobs("photos", [{"JobId": "a"}])
    failed = EndpointConnectionError(endpoint_url=local_aws.endpoint)

    answer = ask(client, "list_jobs", PHOTOS, outcome=failed)

    assert [job["JobId"] for job in answer.content["JobList"]] == ["a"]
    assert local_aws.calls().by_operation["ListJobs"] == 1
