"""Requests to an Airflow that fails for some time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local_airflow.rest import AirflowApi, AirflowApiError
from local_aws.http_server import Handler, serving


@dataclass
class Airflow:
    """Starts runs. Its first requests fail as configured: with an HTTP status, or with a dropped or lost response."""

    url: str = ""
    failures: list[int | str] = field(default_factory=list)
    requests: int = 0
    runs: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    airflow = Airflow()

    class Api(Handler):
        """Rejects a second run with the same ID, as Airflow does."""

        def respond(self) -> None:
            if self.command == "GET":
                self._respond_or_fail(200, {"dags": [{"dag_id": "snapshots"}]})
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if airflow.failures and airflow.failures[0] != "response lost":
                self._respond_or_fail(200, {})
            elif body["dag_run_id"] in airflow.runs:
                self._respond_or_fail(409, {"detail": "Unique constraint violation"})
            else:
                airflow.runs[body["dag_run_id"]] = body["conf"]
                self._respond_or_fail(200, {"dag_run_id": body["dag_run_id"]})

        def _respond_or_fail(self, status: int, body: Any) -> None:
            airflow.requests += 1
            failure = airflow.failures.pop(0) if airflow.failures else status
            if isinstance(failure, str):
                self.close_connection = True
            else:
                self.answer(failure, body if failure == status else {"detail": "Database error"})

    with serving(Api) as airflow.url:
        yield airflow


@pytest.mark.parametrize(
    "failures", [[], [500], [503, "dropped"], ["response lost"], ["response lost", 500, "dropped"]]
)
def test_a_run_is_started_once_although_requests_fail(airflow: Airflow, failures: list[int | str]) -> None:
    airflow.failures = list(failures)

    run_id = AirflowApi(airflow.url).trigger("snapshots", {"region": "us-east-1"})

    assert airflow.runs == {run_id: {"region": "us-east-1"}}
    assert airflow.requests == len(failures) + 1


def test_two_triggers_start_two_runs(airflow: Airflow) -> None:
    api = AirflowApi(airflow.url)

    assert api.trigger("snapshots") != api.trigger("snapshots")
    assert len(airflow.runs) == 2


def test_get_requests_are_retried(airflow: Airflow) -> None:
    airflow.failures = [500, "dropped"]

    assert AirflowApi(airflow.url).dag_ids() == {"snapshots"}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_client_error_is_not_retried(airflow: Airflow, status: int) -> None:
    airflow.failures = [status]

    with pytest.raises(AirflowApiError, match=rf"POST .*: {status} .*Database error"):
        AirflowApi(airflow.url).trigger("snapshots")

    assert airflow.requests == 1


def test_retries_end_after_the_timeout(airflow: Airflow) -> None:
    airflow.failures = [500] * 10

    with pytest.raises(AirflowApiError, match="500"):
        AirflowApi(airflow.url, retry_timeout_seconds=0).trigger("snapshots")

    assert airflow.requests == 1
