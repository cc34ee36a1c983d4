"""Benchmark of a download whose process is killed again and again: how many ranges are requested again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3

from benchmarks.figures import Figure, Target
from benchmarks.measuring import environment
from local_aws.process import running

KILLS = 50

_GIB = 1024**3

#: Forks processes that download an archive, and kills each at a random moment; the last one completes the download.
_PROGRAM = """
import json, os, random, signal, sys, time
from botocore.utils import calculate_tree_hash
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators.job_output import DEFAULT_MAX_RANGES
from glacier_jobs.retrieval.destinations import open_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.s3_target import ObjectOptions
from glacier_jobs.retrieval.source import job_source
from local_aws.client import Control

endpoint, job_id, path, kills = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps({"conn_type": "aws", "login": "LOCALAWSACCESSKEY000",
    "password": "local-aws-secret", "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"}})
control = Control(endpoint)

def download():
    source = job_source(GlacierJobsHook(), "photos", job_id, "-")
    target = open_target(f"file://{path}", dest_aws_conn_id=None, options=ObjectOptions(), max_requests=20)
    return source, store_output(source, target, path, replace=False, max_ranges=DEFAULT_MAX_RANGES)

def requests():
    return control.calls().by_operation.get("GetJobOutput", 0)

def killed_download(new_requests):
    # By its requests, and not by time: a download first reads what is stored, longer and longer.
    kill_at = requests() + new_requests
    child = os.fork()
    if not child:
        download()
        os._exit(0)
    while requests() < kill_at and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
        raise SystemExit("a download was complete before it was killed: use a larger archive")

random = random.Random(7)
seen, repeated, total = set(), [], 0
for number in range(kills + 1):
    if number < kills:
        killed_download(random.randint(1, 15))
    else:
        source, stored = download()
    requested = [call["range"] for call in control.requests("GetJobOutput")][total:]
    total += len(requested)
    repeated.append(sum(each in seen for each in requested))
    seen |= set(requested)
with open(path, "rb") as file:
    if not stored.verified or calculate_tree_hash(file) != source.sha256_tree_hash:
        raise SystemExit("the file differs from the archive")
print(json.dumps({"most_repeated": max(repeated), "repeated": sum(repeated), "needed": len(seen),
                  "ranges_at_once": DEFAULT_MAX_RANGES}))
"""


def killed_outputs(folder: Path) -> Iterator[Figure]:
    """Yield how many ranges are requested again after a kill, while a download is killed at random moments."""
    with running() as local_aws:
        local_aws.add_vaults("photos")
        [archive_id] = local_aws.add_archives("photos", [{"Size": 8 * _GIB + 1}])
        local_aws.next_outcome(vault_name="photos", duration_seconds=0)
        glacier = boto3.client("glacier", **local_aws.boto3_arguments())
        job_id = glacier.initiate_job(
            vaultName="photos", jobParameters={"Type": "archive-retrieval", "ArchiveId": archive_id}
        )["jobId"]
        folder.mkdir(parents=True, exist_ok=True)
        completed = subprocess.run(  # noqa: S603 - a fixed command
            [sys.executable, "-c", _PROGRAM, local_aws.endpoint, job_id, str(folder / "archive"), str(KILLS)],
            env={**environment(), "AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found = json.loads(completed.stdout.splitlines()[-1])
    (folder / "archive").unlink()
    yield Figure(
        name=f"most ranges requested again after one of {KILLS} random kills of a download",
        unit="ranges",
        ours=found["most_repeated"],
        other=found["ranges_at_once"],
        other_name="ranges under way at once",
        target=Target(of="ratio", at_most=1),
    )
    yield Figure(
        name=f"ranges requested again in all, with {KILLS} kills",
        unit="ranges",
        ours=found["repeated"],
        other=found["needed"],
        other_name="ranges of the archive",
    )
