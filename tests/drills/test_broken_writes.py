"""Interrupt a snapshot in every way: nothing partial becomes visible, and the next run succeeds."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from s3fs import S3FileSystem

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.publisher import publisher_for
from glacier_jobs.errors import ObservationExists
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.snapshot.observe import observe
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from local_aws.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.conftest import ROOT, Connect
from tests.drills.snapshots import Snapshots, jobs_by_committed_observation, snapshots
from tests.drills.table import NotTried, RecordDrill
from tests.examples import how_many

_VAULTS, _JOBS = 4, 400
_DISK_BYTES = 16 * 1024 * 1024


@pytest.fixture
def filled(local_aws: Control) -> int:
    """Fill the local AWS, and return how many jobs it has."""
    local_aws.seed("large", vaults=_VAULTS, jobs=_JOBS)
    local_aws.fault("latency", seconds=0.005)
    return _VAULTS * _JOBS


@pytest.fixture
def bucket(local_aws: Control) -> Any:
    client = boto3.client("s3", **local_aws.boto3_arguments())
    client.create_bucket(Bucket="records")
    return client


@pytest.fixture
def children(connect: Connect, filled: int, tmp_path: Path) -> Iterator[Snapshots]:
    connect()
    with snapshots(tmp_path / "children.log") as children:
        yield children


def _typical_seconds(children: Snapshots, uri: str) -> float:
    began = time.monotonic()
    assert children.make(uri) == 0
    return time.monotonic() - began


def _kill_at_random_moments(children: Snapshots, uri: str, jobs: int, *, kills: int) -> str:
    rng = random.Random(kills)  # noqa: S311 - not for secrets
    open_dataset(uri)
    children.make(uri)
    seconds = _typical_seconds(children, uri)
    codes: list[int] = []
    while codes.count(-signal.SIGKILL) < kills and len(codes) < 10 * kills:
        codes.append(children.kill_after(uri, rng.uniform(0, seconds)))

    assert codes.count(-signal.SIGKILL) == kills
    assert set(codes) <= {0, -signal.SIGKILL}, "a snapshot failed without being killed"
    committed = jobs_by_committed_observation(open_dataset(uri))
    assert set(committed.values()) == {jobs}
    assert 2 + codes.count(0) <= len(committed) <= 2 + len(codes)
    assert children.make(uri) == 0
    assert len(jobs_by_committed_observation(open_dataset(uri))) == len(committed) + 1
    late = len(committed) - 2 - codes.count(0)

    return f"all visible observations are complete ({late} were killed after their commit); the next run succeeded"


@pytest.mark.quick_drill
def test_a_kill_at_any_moment_leaves_only_complete_observations_on_a_local_disk(
    children: Snapshots, filled: int, tmp_path: Path, record_drill: RecordDrill
) -> None:
    kills = how_many(6, in_drills=50)

    held = _kill_at_random_moments(children, f"file://{tmp_path}/records", filled, kills=kills)

    record_drill(f"kill -9 at {kills} random moments of a snapshot on a local disk", held)


@pytest.mark.drill
@pytest.mark.usefixtures("bucket")
def test_a_kill_at_any_moment_leaves_only_complete_observations_on_s3(
    children: Snapshots, filled: int, record_drill: RecordDrill
) -> None:
    held = _kill_at_random_moments(children, "s3://local_aws@records/root", filled, kills=50)

    record_drill("kill -9 at 50 random moments of a snapshot on S3", held)


@pytest.mark.quick_drill
def test_a_disk_that_fills_up_at_any_byte_leaves_no_file(
    children: Snapshots, filled: int, tmp_path: Path, record_drill: RecordDrill
) -> None:
    """A limit on the file size simulates the full disk, because mounting a small disk needs permissions."""
    assert children.make(f"file://{tmp_path}/whole") == 0
    [whole] = (tmp_path / "whole" / "jobs").rglob("*.parquet")
    uri = f"file://{tmp_path}/records"

    codes = [children.make(uri, file_bytes=int(whole.stat().st_size * share)) for share in (0, 0.01, 0.5, 0.99)]

    assert set(codes) == {1}
    assert not list((tmp_path / "records").rglob("*.p*"))
    assert children.make(uri) == 0
    assert set(jobs_by_committed_observation(open_dataset(uri)).values()) == {filled}

    record_drill(
        "file size limited to 0, 1, 50 and 99 % of the largest file", "no file is left; the next run succeeded"
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """Mount a small disk in memory. ``None`` if mounting is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:  # noqa: S603 - our own command
        yield None
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - our own command


@pytest.mark.drill
def test_a_disk_that_is_really_full_shows_nothing_new(
    children: Snapshots, filled: int, small_disk: Path | None, record_drill: RecordDrill, not_tried: NotTried
) -> None:
    broke = "a small disk with space for 0, 1, 50 and 99 % of a snapshot"
    if small_disk is None:
        not_tried(
            broke, "mounting a disk is not permitted on this machine; the drill with limited file size replaces it"
        )
    uri, ballast = f"file://{small_disk}/records", small_disk / "ballast"
    empty = shutil.disk_usage(small_disk).free
    assert children.make(uri) == 0
    needed = empty - shutil.disk_usage(small_disk).free

    for share in (0, 0.01, 0.5, 0.99):
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - int(needed * share)))
        assert children.make(uri) == 1
        assert set(jobs_by_committed_observation(open_dataset(uri)).values()) == {filled}
        ballast.unlink()

    assert children.make(uri) == 0
    assert list(jobs_by_committed_observation(open_dataset(uri)).values()) == [filled, filled]
    record_drill(broke, "nothing new is visible; the next run succeeded")


@pytest.fixture
def proxy(local_aws: Control) -> Iterator[Proxy]:
    with faulty_proxy(local_aws.endpoint) as proxy:
        yield proxy


def _s3_behind(proxy: Proxy, local_aws: Control) -> dict[str, Any]:
    arguments = local_aws.boto3_arguments()
    return {
        "key": arguments["aws_access_key_id"],
        "secret": arguments["aws_secret_access_key"],
        "endpoint_url": proxy.endpoint,
        "client_kwargs": {"region_name": "us-east-1"},
        "config_kwargs": {"retries": {"total_max_attempts": 2}, "connect_timeout": 5, "read_timeout": 5},
        "skip_instance_cache": True,
    }


def _dataset_behind(proxy: Proxy, local_aws: Control) -> Dataset:
    return Dataset(filesystem=S3FileSystem(**_s3_behind(proxy, local_aws)), root="records/root")


def _uploads_of(table: str, fault: Fault) -> Callable[[str, str], Fault | None]:
    return lambda method, path: fault if method == "PUT" and f"/root/{table}/" in path else None


REFUSALS = {
    "refusing (403)": Fault(status=403, code="AccessDenied"),
    "failing (500)": Fault(status=500),
    "dropping connections": Fault(dropped=True),
}


@pytest.mark.quick_drill
@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("table", ["jobs", "vaults", "observations"])
def test_nothing_is_committed_when_s3_rejects_the_files_of_a_table(
    connect: Connect, local_aws: Control, proxy: Proxy, record_drill: RecordDrill, table: str, refusal: str
) -> None:
    local_aws.add_jobs("photos", [{"JobId": f"j{number}"} for number in range(60)])
    hook = GlacierJobsHook(aws_conn_id=connect())
    dataset = _dataset_behind(proxy, local_aws)
    proxy.rule = _uploads_of(table, REFUSALS[refusal])

    with pytest.raises(OSError) as caught:  # noqa: PT011 - each refusal has another message
        observe(hook, dataset)

    assert not isinstance(caught.value, ObservationExists)
    assert jobs_by_committed_observation(dataset) == {}
    proxy.rule = lambda method, path: None
    observed = observe(hook, dataset)
    assert jobs_by_committed_observation(dataset) == {observed.observation.observation_id: 60}
    record_drill(f"S3 {refusal} when {table} is uploaded", "an error; nothing is committed; the next run succeeded")


@pytest.mark.quick_drill
@pytest.mark.usefixtures("bucket")
def test_slow_s3_is_waited_for(connect: Connect, local_aws: Control, proxy: Proxy, record_drill: RecordDrill) -> None:
    local_aws.add_jobs("photos", [{"JobId": "j"}])
    proxy.rule = lambda method, path: Fault(delay_seconds=0.5) if method == "PUT" else None
    dataset = _dataset_behind(proxy, local_aws)

    observed = observe(GlacierJobsHook(aws_conn_id=connect()), dataset)

    assert jobs_by_committed_observation(dataset) == {observed.observation.observation_id: 1}
    record_drill("S3 slow: each upload takes 0.5 s longer", "the snapshot is published")


@pytest.mark.drill
@pytest.mark.parametrize("part", ["the last part", "the completion"])
def test_s3_failing_at_the_end_of_a_large_upload_shows_nothing(
    bucket: Any, local_aws: Control, proxy: Proxy, tmp_path: Path, record_drill: RecordDrill, part: str
) -> None:
    dataset = _dataset_behind(proxy, local_aws)
    publisher = publisher_for(dataset.filesystem, dataset.root)
    large = tmp_path / "large.part"
    large.write_bytes(os.urandom(110 * 1024 * 1024))
    failing = "partNumber=3" if part == "the last part" else "uploadId="
    method = "PUT" if part == "the last part" else "POST"
    proxy.rule = lambda called, path: Fault(status=500) if called == method and failing in path else None

    with pytest.raises(OSError):  # noqa: PT011 - the message comes from S3
        publisher.publish(large, f"{dataset.root}/large.parquet")

    assert "Contents" not in bucket.list_objects_v2(Bucket="records")
    proxy.rule = lambda called, path: None
    publisher.publish(large, f"{dataset.root}/large.parquet")
    [found] = bucket.list_objects_v2(Bucket="records")["Contents"]
    assert found["Size"] == large.stat().st_size
    record_drill(f"S3 failing on {part} of a multipart upload", "an error; no object; the next upload succeeded")


_PUBLISH = """
import json, sys
from pathlib import Path
from s3fs import S3FileSystem
from glacier_jobs.dataset.publisher import publisher_for

arguments, staged, path = sys.argv[1:]
publisher_for(S3FileSystem(**json.loads(arguments)), "records/root").publish(Path(staged), path)
"""


@pytest.mark.drill
def test_a_kill_during_a_large_upload_leaves_no_object(
    bucket: Any, local_aws: Control, proxy: Proxy, tmp_path: Path, record_drill: RecordDrill
) -> None:
    """The uploaded parts remain, but are not visible, until S3's lifecycle rule aborts the upload."""
    large = tmp_path / "large.part"
    large.write_bytes(os.urandom(110 * 1024 * 1024))
    under_way = threading.Event()

    def delay_third_part(method: str, path: str) -> Fault | None:
        if "partNumber=3" not in path:
            return None
        under_way.set()
        return Fault(delay_seconds=5)

    proxy.rule = delay_third_part
    arguments = [json.dumps(_s3_behind(proxy, local_aws)), str(large), "records/root/large.parquet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
    with subprocess.Popen([sys.executable, "-c", _PUBLISH, *arguments], env=environment) as child:  # noqa: S603 - our own command
        assert under_way.wait(120)
        child.kill()

    assert "Contents" not in bucket.list_objects_v2(Bucket="records")
    assert len(bucket.list_multipart_uploads(Bucket="records")["Uploads"]) == 1
    dataset = _dataset_behind(proxy, local_aws)
    proxy.rule = lambda method, path: None
    publisher_for(dataset.filesystem, dataset.root).publish(large, f"{dataset.root}/large.parquet")
    [found] = bucket.list_objects_v2(Bucket="records")["Contents"]
    assert found["Size"] == large.stat().st_size

    record_drill(
        "kill -9 during a multipart upload to S3", "no object; the parts are not visible; the next upload succeeded"
    )
