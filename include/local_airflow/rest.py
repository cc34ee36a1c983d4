"""Airflow's REST API, as far as demo and drills ask it."""

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
_REQUEST_SECONDS = 30.0
_PATIENCE_SECONDS = 120.0
_FINISHED = {"success", "failed"}

_T = TypeVar("_T")

# Proxies of the environment are for other machines; this API is on ours.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Airflow answered with an error; the message holds its status and body."""

    def __init__(self, asked: str, status: int, body: str) -> None:
        super().__init__(f"{asked}: {status} {body}")
        self.status = status


class TookTooLong(Exception):
    """What was waited for did not come in time."""


def wait_for(what: str, found: Callable[[], _T | None], seconds: float) -> _T:
    """Return the first result that is not ``None``.

    :raises TookTooLong: names what was waited for.
    """
    end = time.monotonic() + seconds
    while True:
        if (result := found()) is not None:
            return result
        if time.monotonic() > end:
            raise TookTooLong(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


class AirflowApi:
    """Asks one Airflow.

    What may be asked twice is asked again where Airflow has an error of its own or drops the connection.

    :param url: its address, without a trailing slash.
    :param patience_seconds: for how long it is asked again.
    """

    def __init__(self, url: str, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self.url = url
        self._patience_seconds = patience_seconds
        self._token: str | None = None

    def log_in(self, username: str, password: str) -> None:
        """Take a token, with which all that follows is asked."""
        answer = self._ask_again("POST", "/auth/token", {"username": username, "password": password})
        self._token = answer["access_token"]

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return self._ask_again("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send JSON to a path, once, and return the JSON of the answer."""
        return self._ask("POST", path, body)

    def is_healthy(self) -> bool:
        """Tell whether database, scheduler, DAG processor and triggerer are all at work."""
        try:
            parts = self._ask("GET", "/api/v2/monitor/health")
        except (OSError, http.client.HTTPException, Refused):
            return False
        return all(
            (parts.get(name) or {}).get("status") == "healthy"
            for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
        )

    def import_errors(self) -> list[dict[str, Any]]:
        """Return what Airflow could not import, each with ``filename`` and ``stack_trace``."""
        errors: list[dict[str, Any]] = self.get("/api/v2/importErrors")["import_errors"]
        return errors

    def dag_ids(self) -> set[str]:
        """Return the DAGs that Airflow has read so far."""
        return {dag["dag_id"] for dag in self.get("/api/v2/dags?limit=100")["dags"]}

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start one run of a DAG, however often that has to be asked for, and return its run id."""
        run_id = f"manual__{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S}_{secrets.token_hex(4)}"
        try:
            self._ask_again(
                "POST",
                f"/api/v2/dags/{dag_id}/dagRuns",
                {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}},
            )
        except Refused as refused:
            # Nobody else has this id: it was started by a request whose answer did not arrive.
            if refused.status != http.client.CONFLICT:
                raise
        return run_id

    def finished_run(self, dag_id: str, run_id: str, *, seconds: float) -> dict[str, Any]:
        """Wait until a run has ended and return it, with its ``state``.

        :raises TookTooLong: it has not ended in time.
        """

        def found() -> dict[str, Any] | None:
            run: dict[str, Any] = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
            return run if run["state"] in _FINISHED else None

        return wait_for(f"the end of {dag_id}'s run {run_id}", found, seconds)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, each with ``task_id``, ``map_index`` and ``state``."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        instances: list[dict[str, Any]] = self.get(path)["task_instances"]
        return instances

    def _ask_again(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        end = time.monotonic() + self._patience_seconds
        while True:
            try:
                return self._ask(method, path, body)
            except (OSError, http.client.HTTPException, Refused) as error:
                final = isinstance(error, Refused) and error.status < http.client.INTERNAL_SERVER_ERROR
                if final or time.monotonic() >= end:
                    raise
            time.sleep(_POLL_SECONDS)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own Airflow
        try:
            with _direct.open(request, timeout=_REQUEST_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}", error.code, error.read().decode(errors="replace")) from error
