from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from glacier_jobs.dataset import staging
from glacier_jobs.dataset.layout import new_observation
from glacier_jobs.dataset.publisher import _ObjectPublisher, publisher_for
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.errors import ConnectionNotFound, InvalidArgument, ObservationExists, StoreNotSuitable
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.observations import local_dataset, publish, s3_of

MOMENT = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def s3(local_aws: Control) -> Any:
    """A bucket ``records`` on the local AWS, through boto3."""
    client = boto3.client("s3", **local_aws.boto3_arguments())
    client.create_bucket(Bucket="records")
    return client


@pytest.fixture
def s3_filesystem(s3: Any, local_aws: Control) -> S3FileSystem:
    return s3_of(local_aws)


def staged(tmp_path: Path, content: bytes = b"content") -> Path:
    file = tmp_path / "jobs.part"
    file.write_bytes(content)
    return file


def test_a_local_file_becomes_visible_where_none_existed(tmp_path: Path) -> None:
    target = tmp_path / "jobs" / "snapshot_date=2026-11-22" / "a.parquet"

    publisher_for(LocalFileSystem(), str(tmp_path)).publish(staged(tmp_path), str(target))

    assert target.read_bytes() == b"content"


def test_a_local_file_is_on_disk_before_it_becomes_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, target = staged(tmp_path), tmp_path / "jobs" / "a.parquet"
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)

    publisher_for(LocalFileSystem(), str(tmp_path)).publish(file, str(target))

    # The file, and the folder that gets it, before there is a name for it; and the name afterwards.
    inodes = [path.stat().st_ino for path in (file, target.parent, tmp_path)]
    assert synced == list(zip(inodes, [False, False, True], strict=True))


def test_the_name_of_a_local_file_in_a_folder_that_exists_is_on_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, target = staged(tmp_path), tmp_path / "jobs" / "a.parquet"
    target.parent.mkdir()
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda each: synced.append((os.fstat(each).st_ino, target.exists())))

    publisher_for(LocalFileSystem(), str(tmp_path)).publish(file, str(target))

    assert synced == [(file.stat().st_ino, False), (target.parent.stat().st_ino, True)]


def test_a_folder_is_never_visible_without_its_first_file(tmp_path: Path) -> None:
    folder = tmp_path / "jobs" / "snapshot_date=2026-11-22"
    seen = []

    def trace(frame: Any, event: str, argument: Any) -> Any:
        seen.append((folder.exists(), (folder / "a.parquet").exists()))
        return trace

    publisher, file = publisher_for(LocalFileSystem(), str(tmp_path)), staged(tmp_path)
    sys.settrace(trace)
    try:
        publisher.publish(file, str(folder / "a.parquet"))
    finally:
        sys.settrace(None)

    assert set(seen) == {(False, False), (True, True)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "jobs.part"]


def test_a_folder_that_another_process_has_just_created_gets_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "jobs", Path.rename

    def rename_too_late(self: Path, target: Path) -> Path:
        folder.mkdir()
        (folder / "b.parquet").write_bytes(b"other")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_too_late)

    publisher_for(LocalFileSystem(), str(tmp_path)).publish(staged(tmp_path), str(folder / "a.parquet"))

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "a.parquet": b"content",
        "b.parquet": b"other",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "jobs.part"]


def test_a_local_file_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.parquet"
    target.write_bytes(b"first")

    with pytest.raises(ObservationExists, match=r"a\.parquet exists already"):
        publisher_for(LocalFileSystem(), str(tmp_path)).publish(staged(tmp_path), str(target))

    assert target.read_bytes() == b"first"


@pytest.mark.parametrize("folder", ["", "new"], ids=["in a folder that exists", "in a new folder"])
def test_of_many_writers_of_one_name_exactly_one_succeeds(folder: str, tmp_path: Path) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    barrier = threading.Barrier(8)
    target = tmp_path / folder / "a.parquet"

    def attempt(number: int) -> bool:
        file = tmp_path / f"{number}.part"
        file.write_bytes(str(number).encode())
        barrier.wait()
        try:
            publisher.publish(file, str(target))
        except ObservationExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))

    assert outcomes.count(True) == 1
    assert target.read_bytes() == str(outcomes.index(True)).encode()


def test_files_that_a_killed_run_left_are_removed_only_once_they_are_old(tmp_path: Path) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    old, young = publisher.stage("old"), publisher.stage("young")
    (old / "jobs.part").write_bytes(b"half")
    long_ago(old)

    publisher.stage("next")

    assert not old.exists()
    assert young.exists()


def long_ago(path: Path) -> Path:
    moment = time.time() - staging.ABANDONED_AFTER_SECONDS - 60
    os.utime(path, (moment, moment))
    return path


_STAGE = """
import os, signal, sys, tempfile
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem
from glacier_jobs.dataset.publisher import _ObjectPublisher, publisher_for

if sys.argv[1] == "local":
    publisher = publisher_for(LocalFileSystem(), sys.argv[2])
else:
    tempfile.tempdir = sys.argv[2]
    publisher = _ObjectPublisher(LocalFileSystem())
folder = publisher.stage("killed")
(folder / "jobs.part").write_bytes(b"half")
print(folder, flush=True)
sys.stdin.read(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("store", ["local", "objects"])
def test_what_a_killed_run_left_is_removed_at_once_and_what_a_living_run_uses_is_not(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    publisher = (
        publisher_for(LocalFileSystem(), str(tmp_path)) if store == "local" else _ObjectPublisher(LocalFileSystem())
    )
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", _STAGE, store, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/plugins:{ROOT}/include:{ROOT}"},
    ) as run:
        assert run.stdout is not None
        left = Path(run.stdout.readline().strip())
        publisher.stage("while-it-runs")
        assert (left / "jobs.part").exists()
        run.communicate("x")

    assert run.returncode == -signal.SIGKILL
    assert left.exists()
    publisher.stage("next")
    assert not left.exists()


@pytest.mark.parametrize("owner", [b"another machine or an earlier start", None])
def test_a_folder_of_another_machine_or_without_an_owner_is_removed_only_once_it_is_old(
    tmp_path: Path, owner: bytes | None
) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    other = tmp_path / ".staging" / "other"
    other.mkdir(parents=True)
    if owner is not None:
        (other / "owner").write_bytes(owner)

    publisher.stage("next")
    assert other.exists()
    long_ago(other)
    publisher.stage("later")
    assert not other.exists()


def left_by_a_killed_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "owner").write_bytes(Path("/proc/sys/kernel/random/boot_id").read_bytes().strip())
    return folder


def test_a_young_folder_of_another_user_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    anothers = left_by_a_killed_run(tmp_path / ".staging" / "anothers")
    user = os.geteuid()

    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: user + 1)
        publisher.stage("by-another-user")
    assert anothers.exists()

    publisher.stage("by-its-user")
    assert not anothers.exists()


@pytest.mark.parametrize("store", ["local", "objects"])
def test_a_pipe_or_a_link_in_place_of_the_lock_does_not_stop_a_run(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    publisher = (
        publisher_for(LocalFileSystem(), str(tmp_path)) if store == "local" else _ObjectPublisher(LocalFileSystem())
    )
    parent = tmp_path / ".staging" if store == "local" else tmp_path
    pipe, link = parent / "glacier-jobs-staging-pipe", parent / "glacier-jobs-staging-link"
    elsewhere = left_by_a_killed_run(tmp_path / "elsewhere")
    for folder in (pipe, link):
        folder.mkdir(parents=True)
    os.mkfifo(pipe / "owner")
    (link / "owner").symlink_to(elsewhere / "owner")

    staging_thread = threading.Thread(target=publisher.stage, args=("next",), daemon=True)
    staging_thread.start()
    staging_thread.join(10)

    assert not staging_thread.is_alive()
    assert pipe.exists()
    assert link.exists()


def test_a_discarded_folder_is_removed_with_its_lock(tmp_path: Path) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    folder = publisher.stage("a")

    publisher.discard(folder)

    assert not folder.exists()
    assert folder not in staging._locks
    assert publisher.stage("a") == folder


def test_a_folder_is_removed_with_no_file_in_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS renames a file that is open when it is removed, and its folder stays."""
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    folder = publisher.stage("a")
    remove = shutil.rmtree
    removed = []

    def checking(path: Path, **arguments: Any) -> None:
        opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert not [name for name in opened if name.startswith(str(path))]
        removed.append(path)
        remove(path, **arguments)

    monkeypatch.setattr(shutil, "rmtree", checking)
    publisher.discard(folder)

    assert removed == [folder]


def refusing(code: int) -> Any:
    def refused(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    return refused


@pytest.mark.parametrize(
    ("function", "code", "message"),
    [
        ("link", errno.EPERM, "cannot create hard links: Operation not permitted. Use one that can, such as ext4"),
        ("link", errno.EOPNOTSUPP, "cannot create hard links: Operation not supported"),
        ("fsync", errno.EINVAL, "cannot make the names of new files durable .fsync of a folder.: Invalid argument"),
    ],
)
def test_a_file_system_that_lacks_what_publishing_needs_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, message: str
) -> None:
    """The error of the system call stands in for such a file system, which cannot be mounted in a test."""
    monkeypatch.setattr(os, function, refusing(code))
    observation = new_observation("123456789012", "us-east-1", MOMENT)

    with pytest.raises(StoreNotSuitable, match=message), ObservationWriter(local_dataset(tmp_path), observation):
        pytest.fail("the listing began")

    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_can_hold_files_that_are_only_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))

    folder = publisher.stage("a", only_replaces=True)
    (folder / "file").write_bytes(b"content")
    publisher.replace(folder / "file", str(tmp_path / "file"))
    publisher.discard(folder)

    assert (tmp_path / "file").read_bytes() == b"content"
    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    with pytest.raises(StoreNotSuitable, match="fsync of a folder"):
        publisher.stage("b", only_replaces=True)


def test_a_full_disk_does_not_make_a_store_unsuitable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refusing(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        publisher_for(LocalFileSystem(), str(tmp_path)).stage("a")


def test_an_old_file_in_the_staging_folder_is_removed_too(tmp_path: Path) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    stray = publisher.stage("first").parent / "stray"
    stray.write_bytes(b"other")
    long_ago(stray)

    publisher.stage("next")

    assert not stray.exists()


def test_a_file_that_cannot_be_removed_does_not_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = publisher_for(LocalFileSystem(), str(tmp_path))
    anothers, own = publisher.stage("anothers"), publisher.stage("own")
    long_ago(anothers)
    long_ago(own)
    remove = shutil.rmtree

    def refused(path: Path) -> None:
        # As the system refuses it; not so to root, as whom tests may run.
        if path == anothers:
            raise PermissionError(path)
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", refused)

    assert publisher.stage("next").is_dir()
    assert anothers.exists()
    assert not own.exists()


def test_files_that_a_killed_upload_left_are_removed_and_no_others(
    tmp_path: Path, s3_filesystem: S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    publisher = publisher_for(s3_filesystem, "records/root")
    old, young = publisher.stage("observation"), publisher.stage("observation")
    (old / "jobs.part").write_bytes(b"half")
    long_ago(old)
    (tmp_path / "folder-of-another-program").mkdir()
    others = long_ago(tmp_path / "folder-of-another-program")

    publisher.stage("next")

    assert not old.exists()
    assert young.exists()
    assert others.exists()


def test_an_object_becomes_visible_where_none_existed(tmp_path: Path, s3: Any, s3_filesystem: S3FileSystem) -> None:
    publisher_for(s3_filesystem, "records/root").publish(staged(tmp_path), "records/root/a.parquet")

    assert s3.get_object(Bucket="records", Key="root/a.parquet")["Body"].read() == b"content"


def test_an_object_is_never_replaced(tmp_path: Path, s3: Any, s3_filesystem: S3FileSystem) -> None:
    s3.put_object(Bucket="records", Key="root/a.parquet", Body=b"another")

    with pytest.raises(ObservationExists, match=r"records/root/a\.parquet exists already"):
        publisher_for(s3_filesystem, "records/root").publish(staged(tmp_path), "records/root/a.parquet")

    assert s3.get_object(Bucket="records", Key="root/a.parquet")["Body"].read() == b"another"


def test_an_object_of_several_parts_is_never_replaced_either(
    tmp_path: Path, s3: Any, s3_filesystem: S3FileSystem
) -> None:
    s3.put_object(Bucket="records", Key="a.parquet", Body=b"another")
    large = staged(tmp_path, os.urandom(110 * 1024 * 1024))

    with pytest.raises(ObservationExists):
        publisher_for(s3_filesystem, "records").publish(large, "records/a.parquet")

    assert s3.get_object(Bucket="records", Key="a.parquet")["Body"].read() == b"another"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="records")


def test_a_refused_retry_of_an_upload_that_succeeded_is_a_success(
    tmp_path: Path, s3: Any, s3_filesystem: S3FileSystem
) -> None:
    s3.put_object(Bucket="records", Key="a.parquet", Body=b"content")

    publisher_for(s3_filesystem, "records").publish(staged(tmp_path), "records/a.parquet")

    assert s3.get_object(Bucket="records", Key="a.parquet")["Body"].read() == b"content"


@pytest.mark.parametrize("content", [b"contenT", b"content and more"])
def test_an_object_with_nearly_the_same_content_is_a_different_one(
    tmp_path: Path, s3: Any, s3_filesystem: S3FileSystem, content: bytes
) -> None:
    s3.put_object(Bucket="records", Key="a.parquet", Body=content)

    with pytest.raises(ObservationExists):
        publisher_for(s3_filesystem, "records").publish(staged(tmp_path), "records/a.parquet")


def test_an_error_of_a_stores_client_is_an_os_error_with_the_path(
    tmp_path: Path, s3_filesystem: S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropped(*_: object, **__: object) -> None:
        raise RuntimeError("the connection was dropped")

    monkeypatch.setattr(s3_filesystem, "put_file", dropped)

    with pytest.raises(OSError, match=r"records/a\.parquet could not be written: the connection was dropped"):
        publisher_for(s3_filesystem, "records").publish(staged(tmp_path), "records/a.parquet")


def test_a_store_that_cannot_create_objects_atomically_is_refused() -> None:
    with pytest.raises(StoreNotSuitable, match="MemoryFileSystem"):
        publisher_for(MemoryFileSystem(), "root")


@pytest.mark.usefixtures("s3")
def test_a_dataset_on_s3_is_written_and_read_through_an_airflow_connection(connect: Connect) -> None:
    connect("bucket_owner")
    dataset = open_dataset("s3://bucket_owner@records/some/root")

    observation = publish(dataset, MOMENT, jobs=["a", "b"])

    assert dataset.root == "records/some/root"
    assert dataset.observation_ids() == [observation.observation_id]
    assert dataset.scan("jobs").to_table()["job_id"].to_pylist() == ["a", "b"]


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    assert open_dataset(f"file://{tmp_path}/records/").root == f"{tmp_path}/records"


NO_URIS = ["", "/data/x", "relative", "file:", "file://data/x", "file://localhost/x", "s3:bucket", "s3:///x", None, 5]


@pytest.mark.parametrize("uri", NO_URIS)
def test_an_invalid_uri_is_refused_with_the_expected_forms(uri: Any) -> None:
    with pytest.raises(InvalidArgument, match="expected file:///absolute/path"):
        open_dataset(uri)


def test_a_connection_in_the_uri_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConnectionNotFound, match="the Airflow connection in dataset_uri does not exist"):
        open_dataset("s3://nobody@records/root")
