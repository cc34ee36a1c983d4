"""Asking an Airflow that is out of order for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from local_airflow.rest import AirflowApi, Refused
from local_aws.http_server import Handler, serving


@dataclass
class Airflow:
    """Starts runs, and does to the first requests what it is told to: an HTTP status, or what becomes of the answer."""

    url: str = ""
    mishaps: list[int | str] = field(default_factory=list)
    asked: int = 0
    runs: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    airflow = Airflow()

    class Api(Handler):
        """Knows runs by their ids, as Airflow does."""

        def respond(self) -> None:
            if self.command == "GET":
                self._unless_mishap(200, {"dags": [{"dag_id": "snapshots"}]})
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if airflow.mishaps and airflow.mishaps[0] != "answer lost":
                self._unless_mishap(200, {})
            elif body["dag_run_id"] in airflow.runs:
                self._unless_mishap(409, {"detail": "Unique constraint violation"})
            else:
                airflow.runs[body["dag_run_id"]] = body["conf"]
                self._unless_mishap(200, {"dag_run_id": body["dag_run_id"]})

        def _unless_mishap(self, status: int, body: Any) -> None:
            airflow.asked += 1
            mishap = airflow.mishaps.pop(0) if airflow.mishaps else status
            if isinstance(mishap, str):
                self.close_connection = True
            else:
                self.answer(mishap, body if mishap == status else {"detail": "Database error"})

    with serving(Api) as airflow.url:
        yield airflow


@pytest.mark.parametrize("mishaps", [[], [500], [503, "dropped"], ["answer lost"], ["answer lost", 500, "dropped"]])
def test_a_run_is_started_once_whatever_happens_to_the_requests(airflow: Airflow, mishaps: list[int | str]) -> None:
    airflow.mishaps = list(mishaps)

    run_id = AirflowApi(airflow.url).trigger("snapshots", {"region": "us-east-1"})

    assert airflow.runs == {run_id: {"region": "us-east-1"}}
    assert airflow.asked == len(mishaps) + 1


def test_two_runs_are_two(airflow: Airflow) -> None:
    api = AirflowApi(airflow.url)

    assert api.trigger("snapshots") != api.trigger("snapshots")
    assert len(airflow.runs) == 2


def test_what_is_read_is_read_again(airflow: Airflow) -> None:
    airflow.mishaps = [500, "dropped"]

    assert AirflowApi(airflow.url).dag_ids() == {"snapshots"}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_is_final(airflow: Airflow, status: int) -> None:
    airflow.mishaps = [status]

    with pytest.raises(Refused, match=rf"POST .*: {status} .*Database error"):
        AirflowApi(airflow.url).trigger("snapshots")

    assert airflow.asked == 1


def test_patience_ends(airflow: Airflow) -> None:
    airflow.mishaps = [500] * 10

    with pytest.raises(Refused, match="500"):
        AirflowApi(airflow.url, patience_seconds=0).trigger("snapshots")

    assert airflow.asked == 1
