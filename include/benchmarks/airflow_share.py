"""What Airflow adds: from a process's start to its first request to AWS, and what parsing the DAG costs."""

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
_ARRIVAL_SECONDS = 60.0

_OUR_TASK = """
import json, os, sys, types
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps({"conn_type": "aws", "login": "LOCALAWSACCESSKEY000",
    "password": "local-aws-secret", "extra": {"endpoint_url": sys.argv[1], "region_name": "us-east-1"}})
from glacier_jobs.operators import GlacierJobsToParquetOperator
operator = GlacierJobsToParquetOperator(task_id="t", dataset_uri="file://" + sys.argv[2])
ti = types.SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
operator.execute({"ti": ti})
"""

_PEERS_SCRIPT = """
import sys, boto3, pandas
client = boto3.client("glacier", endpoint_url=sys.argv[1], region_name="us-east-1",
                      aws_access_key_id="LOCALAWSACCESSKEY000", aws_secret_access_key="local-aws-secret")
list(client.get_paginator("list_vaults").paginate())
"""

#: The least that a DAG on Glacier can import: Airflow itself, and the provider's own Glacier operator.
_PROVIDERS_DAG = """
from airflow.sdk import dag
from airflow.providers.amazon.aws.operators.glacier import GlacierCreateJobOperator
"""

_TIMED = """
import json, sys, time
began = time.perf_counter()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "parsed"})
print(json.dumps([time.perf_counter() - began, sorted({"pandas", "pyarrow"} & set(sys.modules))]))
"""


def airflow_share(folder: Path) -> Iterator[Figure]:
    """Yield what comes before the first request, and what every parse of the DAG file takes."""
    yield Figure(
        name="time from process start to the first request",
        unit="s",
        ours=_first_request_seconds(_OUR_TASK, folder),
        other=_first_request_seconds(_PEERS_SCRIPT, folder),
        other_name="a boto3 and pandas script",
    )
    provider = folder / "provider.py"
    provider.write_text(_PROVIDERS_DAG)
    parsed = [_parsed(ROOT / "dags" / "glacier_jobs_snapshot.py", folder) for _ in range(_TURNS)]
    least = [_parsed(provider, folder) for _ in range(_TURNS)]
    yield Figure(
        name="time to parse the snapshot DAG",
        unit="s",
        ours=median(seconds for seconds, _ in parsed),
        other=median(seconds for seconds, _ in least),
        other_name="importing the provider's Glacier operator",
    )
    yield Figure(
        name="pandas and pyarrow imported by parsing it",
        unit="modules",
        ours=len(parsed[0][1]),
        other=len(least[0][1]),
        other_name="the same import",
        target=Target(of="ours", at_most=0),
    )


def _first_request_seconds(program: str, folder: Path) -> float:
    """Return how long a program takes until somebody listening in AWS's place hears of it."""
    seconds = []
    for turn in range(_TURNS):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(_ARRIVAL_SECONDS)
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            began = time.perf_counter()
            with subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-c", program, endpoint, str(folder / f"share-{turn}")],
                env=_airflow_environment(folder),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                try:
                    connection, _ = listener.accept()
                    seconds.append(time.perf_counter() - began)
                    connection.close()
                finally:
                    process.kill()
    return median(seconds)


def _parsed(file: Path, folder: Path) -> tuple[float, list[str]]:
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _TIMED, str(file)],
        env=_airflow_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds, heavy = json.loads(ended.stdout.splitlines()[-1])
    return seconds, heavy


def _airflow_environment(folder: Path) -> dict[str, str]:
    return {**environment(), "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
