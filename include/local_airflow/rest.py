"""A client for the parts of Airflow's REST API that demo and drills use."""

from __future__ import annotations

import http.client
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TypeVar
from urllib.parse import quote

_POLL_SECONDS = 0.5
_REQUEST_TIMEOUT_SECONDS = 30.0
_RETRY_TIMEOUT_SECONDS = 120.0
_FINAL_STATES = {"success", "failed"}

_T = TypeVar("_T")

# Without the proxies of the environment: this API is on the local machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


#: The components whose health Airflow reports.
COMPONENTS = {"metadatabase", "scheduler", "dag_processor", "triggerer"}


class AirflowApiError(Exception):
    """Airflow returned an error; the message contains its status and body."""

    def __init__(self, request: str, status: int, body: str) -> None:
        super().__init__(f"{request}: {status} {body}")
        self.status = status


class TookTooLong(Exception):
    """A condition was not met in time."""


def wait_for(what: str, found: Callable[[], _T | None], seconds: float) -> _T:
    """Call ``found`` repeatedly, and return its first result that is not ``None``.

    :param what: the condition, for the error message.
    :raises TookTooLong: the condition was not met in time.
    """
    end = time.monotonic() + seconds
    while True:
        if (result := found()) is not None:
            return result
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


class AirflowApi:
    """A client of one Airflow.

    Idempotent requests are retried if Airflow returns a server error or drops the connection.

    :param url: the base URL, without a trailing slash.
    :param retry_timeout_seconds: how long requests are retried.
    """

    def __init__(self, url: str, *, retry_timeout_seconds: float = _RETRY_TIMEOUT_SECONDS) -> None:
        self.url = url
        self._retry_timeout_seconds = retry_timeout_seconds
        self._token: str | None = None

    def log_in(self, username: str, password: str) -> None:
        """Get a token for all later requests."""
        response = self._request_with_retries("POST", "/auth/token", {"username": username, "password": password})
        self._token = response["access_token"]

    def get(self, path: str) -> Any:
        """Send a GET request and return the JSON of the response."""
        return self._request_with_retries("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a POST request, without retries, and return the JSON of the response."""
        return self._request("POST", path, body)

    def is_healthy(self) -> bool:
        """Return whether all :data:`COMPONENTS` are healthy."""
        return self.healthy_components() == COMPONENTS

    def healthy_components(self) -> set[str]:
        """Return those of :data:`COMPONENTS` that are healthy; none if the API server does not answer."""
        return {name for name, health in self._health().items() if health.get("status") == "healthy"}

    def heartbeats(self) -> dict[str, datetime]:
        """Return when each of :data:`COMPONENTS` that has sent a heartbeat sent the latest; the database sends none."""
        latest = {name: health.get(f"latest_{name}_heartbeat") for name, health in self._health().items()}
        # Python 3.10 does not know "Z".
        return {name: datetime.fromisoformat(at.replace("Z", "+00:00")) for name, at in latest.items() if at}

    def _health(self) -> dict[str, dict[str, Any]]:
        try:
            components = self._request("GET", "/api/v2/monitor/health")
        except (OSError, http.client.HTTPException, AirflowApiError):
            return {}
        return {name: components.get(name) or {} for name in COMPONENTS}

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the import errors, each with ``filename`` and ``stack_trace``."""
        errors: list[dict[str, Any]] = self.get("/api/v2/importErrors")["import_errors"]
        return errors

    def dag_ids(self) -> set[str]:
        """Return the IDs of the DAGs that Airflow has parsed so far."""
        return {dag["dag_id"] for dag in self.get("/api/v2/dags?limit=100")["dags"]}

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start one run of a DAG and return its run ID. Retries cannot start a second run."""
        run_id = f"manual__{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S}_{secrets.token_hex(4)}"
        try:
            self._request_with_retries(
                "POST",
                f"/api/v2/dags/{dag_id}/dagRuns",
                {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}},
            )
        except AirflowApiError as error:
            # The run ID is unique, so an earlier request started this run and its response was lost.
            if error.status != http.client.CONFLICT:
                raise
        return run_id

    def finished_run(self, dag_id: str, run_id: str, *, seconds: float) -> dict[str, Any]:
        """Wait for the end of a run and return it, with its ``state``.

        :raises TookTooLong: the run has not ended in time.
        """

        def found() -> dict[str, Any] | None:
            run: dict[str, Any] = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
            return run if run["state"] in _FINAL_STATES else None

        return wait_for(f"the end of {dag_id}'s run {run_id}", found, seconds)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, each with ``task_id``, ``map_index`` and ``state``."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        instances: list[dict[str, Any]] = self.get(path)["task_instances"]
        return instances

    def _request_with_retries(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        end = time.monotonic() + self._retry_timeout_seconds
        while True:
            try:
                return self._request(method, path, body)
            except (OSError, http.client.HTTPException, AirflowApiError) as error:
                final = isinstance(error, AirflowApiError) and error.status < http.client.INTERNAL_SERVER_ERROR
                if final or time.monotonic() >= end:
                    raise
            time.sleep(_POLL_SECONDS)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - the local Airflow
        try:
            with _opener.open(request, timeout=_REQUEST_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AirflowApiError(f"{method} {path}", error.code, error.read().decode(errors="replace")) from error
