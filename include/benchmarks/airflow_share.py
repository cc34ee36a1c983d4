"""Benchmarks of the overhead of Airflow: time to the first request to AWS, and time to parse the DAG."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.measuring import ROOT, environment

_TURNS = 5
_FIRST_REQUEST_TIMEOUT_SECONDS = 60.0

_OUR_TASK = """
import json, os, sys, types
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps({"conn_type": "aws", "login": "LOCALAWSACCESSKEY000",
    "password": "local-aws-secret", "extra": {"endpoint_url": sys.argv[1], "region_name": "us-east-1"}})
from glacier_jobs.operators import GlacierJobsToParquetOperator
operator = GlacierJobsToParquetOperator(task_id="t", dataset_uri="file://" + sys.argv[2])
ti = types.SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
operator.execute({"ti": ti})
"""

_BASELINE_SCRIPT = """
import sys, boto3, pandas
client = boto3.client("glacier", endpoint_url=sys.argv[1], region_name="us-east-1",
                      aws_access_key_id="LOCALAWSACCESSKEY000", aws_secret_access_key="local-aws-secret")
list(client.get_paginator("list_vaults").paginate())
"""

#: The minimal imports of a DAG for Glacier: Airflow, and the Glacier operator of the provider.
_PROVIDER_DAG = """
from airflow.sdk import dag
from airflow.providers.amazon.aws.operators.glacier import GlacierCreateJobOperator
"""

_TIMED_SCRIPT = """
import json, sys, time
started = time.perf_counter()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "parsed"})
print(json.dumps([time.perf_counter() - started, sorted({"pandas", "pyarrow"} & set(sys.modules))]))
"""


def airflow_share(folder: Path) -> Iterator[Figure]:
    """Yield the time before the first request, and the time of each parse of the DAG file."""
    yield Figure(
        name="time from process start to the first request",
        unit="s",
        ours=_first_request_seconds(_OUR_TASK, folder),
        other=_first_request_seconds(_BASELINE_SCRIPT, folder),
        other_name="a boto3 and pandas script",
    )
    provider = folder / "provider.py"
    provider.write_text(_PROVIDER_DAG)
    parsed = [_parsed(ROOT / "dags" / "glacier_jobs_snapshot.py", folder) for _ in range(_TURNS)]
    minimal = [_parsed(provider, folder) for _ in range(_TURNS)]
    yield Figure(
        name="time to parse the snapshot DAG",
        unit="s",
        ours=median(seconds for seconds, _ in parsed),
        other=median(seconds for seconds, _ in minimal),
        other_name="importing the provider's Glacier operator",
    )
    yield Figure(
        name="pandas and pyarrow imported by parsing it",
        unit="modules",
        ours=len(parsed[0][1]),
        other=len(minimal[0][1]),
        other_name="the same import",
        target=Target(of="ours", at_most=0),
    )


def _first_request_seconds(program: str, folder: Path) -> float:
    """Return how long a program takes to connect to a listener at its AWS endpoint."""
    seconds = []
    for turn in range(_TURNS):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(_FIRST_REQUEST_TIMEOUT_SECONDS)
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            started = time.perf_counter()
            with subprocess.Popen(  # noqa: S603 - a fixed command
                [sys.executable, "-c", program, endpoint, str(folder / f"share-{turn}")],
                env=_airflow_environment(folder),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                try:
                    connection, _ = listener.accept()
                    seconds.append(time.perf_counter() - started)
                    connection.close()
                finally:
                    process.kill()
    return median(seconds)


def _parsed(file: Path, folder: Path) -> tuple[float, list[str]]:
    completed = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-c", _TIMED_SCRIPT, str(file)],
        env=_airflow_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds, heavy = json.loads(completed.stdout.splitlines()[-1])
    return seconds, heavy


def _airflow_environment(folder: Path) -> dict[str, str]:
    return {**environment(), "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
