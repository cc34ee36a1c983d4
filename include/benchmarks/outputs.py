"""Benchmarks of stored outputs: time, CPU time and memory, compared with what one writes with boto3 or sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.measuring import environment

_TURNS = 3

_BEGIN = """
import json, os, sys, time
import psutil
from benchmarks.measuring import MIB, peak_mib
endpoint, folder = sys.argv[1:]
settings = {"endpoint_url": endpoint, "region_name": "us-east-1", "aws_access_key_id": "LOCALAWSACCESSKEY000",
            "aws_secret_access_key": "local-aws-secret"}
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps({"conn_type": "aws", "login": settings["aws_access_key_id"],
    "password": settings["aws_secret_access_key"], "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"}})
"""

_END = """
run = prepared()
# Now: memory that was free for seconds belongs to the host of a virtual machine, and costs CPU time when it is used.
if os.path.exists(f"{folder}/output"):
    os.remove(f"{folder}/output")
idle = psutil.Process().memory_info().rss
wall, cpu = time.perf_counter(), time.process_time()
run()
print(json.dumps({"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
                  "memory_mib": peak_mib() - idle / MIB}))
"""

_OURS = """
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators.job_output import DEFAULT_MAX_RANGES
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.s3_target import ObjectOptions
from glacier_jobs.retrieval.source import job_source

def prepared():
    source = job_source(GlacierJobsHook(), "photos", "job", "-")
    target = open_target(uri, dest_aws_conn_id=None, options=ObjectOptions(), max_requests=DEFAULT_MAX_RANGES)
    return lambda: store_output(source, target, uri, replace=False, max_ranges=DEFAULT_MAX_RANGES)
"""

_OURS_TO_S3 = f'uri = "s3://bucket/key"\n{_OURS}'
_OURS_TO_FILE = f'uri = f"file://{{folder}}/output"\n{_OURS}'

_BOTO3_TO_S3 = """
import boto3

def prepared():
    glacier, s3 = boto3.client("glacier", **settings), boto3.client("s3", **settings)
    def run():
        body = glacier.get_job_output(vaultName="photos", jobId="job")["body"]
        s3.upload_fileobj(body, "bucket", "key")
    return run
"""

_SOCKET_TO_FILE = """
import hashlib, http.client

def prepared():
    def run():
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
        connection.request("GET", "/-/vaults/photos/jobs/job/output")
        answer = connection.getresponse()
        with open(f"{folder}/output", "wb") as file:
            while block := answer.read(MIB):
                hashlib.sha256(block).digest()
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    return run
"""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a program needed; memory is the peak minus the memory of the idle process."""

    wall_seconds: float
    cpu_seconds: float
    memory_mib: float


def outputs(folder: Path) -> Iterator[Figure]:
    """Yield the time, the CPU time and the memory for outputs that are stored on S3 and as a local file."""
    with _server("--gib", "2", "--latency-ms", "20", "--mb-per-second", "50") as endpoint:
        ours, boto3 = (_usage(program, endpoint, folder) for program in (_OURS_TO_S3, _BOTO3_TO_S3))
    yield Figure(
        name="2 GiB to S3, verified, 50 MB/s per connection and 20 ms per request",
        unit="s",
        ours=ours.wall_seconds,
        other=boto3.wall_seconds,
        other_name="get_job_output → upload_fileobj",
        reads="more",
        target=Target(of="ratio", at_least=4),
    )
    yield Figure(
        name="memory above idle, 2 GiB to S3",
        unit="MiB",
        ours=ours.memory_mib,
        other=boto3.memory_mib,
        other_name="get_job_output → upload_fileobj",
        target=Target(of="ours", at_most=200),
    )
    with _server("--gib", "1") as endpoint:
        pairs = [
            tuple(_usage(program, endpoint, folder) for program in (_OURS_TO_FILE, _SOCKET_TO_FILE))
            for _ in range(_TURNS)
        ]
    yield Figure(
        name="CPU time per GiB to a local file",
        unit="s",
        ours=median(ours.cpu_seconds for ours, _ in pairs),
        other=median(other.cpu_seconds for _, other in pairs),
        other_name="socket → SHA-256 of each MiB → file",
        target=Target(of="ratio", at_most=1.5),
    )
    with _server("--gib", "40") as endpoint:
        more = _usage(_OURS_TO_S3, endpoint, folder)
    yield Figure(
        name="memory above idle, 40 GiB to S3",
        unit="MiB",
        ours=more.memory_mib,
        other=ours.memory_mib,
        other_name="ours for 2 GiB",
        target=Target(of="ours", at_most=200),
    )


@contextmanager
def _server(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.output_server", *options]
    with subprocess.Popen(  # noqa: S603 - a fixed command
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _usage(program: str, endpoint: str, folder: Path) -> Usage:
    completed = subprocess.run(  # noqa: S603 - a fixed command
        [sys.executable, "-c", f"{_BEGIN}{program}{_END}", endpoint, str(folder)],
        env={**environment(), "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Usage(**json.loads(completed.stdout.splitlines()[-1]))
