from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from glacier_jobs.errors import (
    AccessDenied,
    InvalidArgument,
    JobOutputExpired,
    MalformedAnswer,
    ServiceUnavailable,
    StoreNotSuitable,
    TargetDiffers,
    TargetInUse,
    TreeHashMismatch,
)
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.downloader import Stored, store_output
from glacier_jobs.retrieval.local_target import FOLDER, LocalTarget
from glacier_jobs.retrieval.source import job_source
from local_aws.client import Control
from tests.conftest import ROOT, Connect
from tests.retrieval.outputs import MEBIBYTE, PART, Archive, distinct_bytes, ranges, tree_hash, upload

SIZE = 3 * PART + 5 * MEBIBYTE + 7


@pytest.fixture
def hook(connect: Connect) -> GlacierJobsHook:
    return GlacierJobsHook(aws_conn_id=connect(attempts=None))


@pytest.fixture
def archive(local_aws: Control) -> Archive:
    """An archive of 4 parts."""
    return upload(local_aws, distinct_bytes(SIZE))


def store(hook: GlacierJobsHook, job_id: str, path: Path, *, replace: bool = False, max_ranges: int = 8) -> Stored:
    source = job_source(hook, "photos", job_id, "-")
    return store_output(source, LocalTarget(path), path.as_uri(), replace=replace, max_ranges=max_ranges)


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the only journal after its header."""
    (journal,) = (folder / FOLDER).glob("*/journal")
    return [json.loads(line) for line in journal.read_text().splitlines()[1:]]


@pytest.mark.parametrize("size", [1, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, PART, PART + 1, SIZE])
def test_an_output_of_any_size_becomes_a_file_with_its_bytes(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path, size: int
) -> None:
    archive = upload(local_aws, distinct_bytes(size))
    path = tmp_path / "new" / "photo.jpg"

    stored = store(hook, archive.retrieve(), path)

    assert path.read_bytes() == archive.content
    assert (stored.size_in_bytes, stored.sha256_tree_hash) == (size, tree_hash(archive.content))
    assert (stored.verified, stored.result) == (True, "stored")
    assert [each.name for each in path.parent.iterdir()] == ["photo.jpg"]
    assert len(ranges(local_aws)) == -(-size // PART)


def test_ranges_are_requested_at_once(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.fault("crowd", operation="GetJobOutput", size=4, seconds=20)

    store(hook, job_id, tmp_path / "photo.jpg")

    assert local_aws.calls().most_in_flight == 4


def test_a_wrong_range_is_requested_again_and_no_other(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.fault("corrupted_body", position=5 * MEBIBYTE, skip=1, count=2)

    stored = store(hook, job_id, tmp_path / "photo.jpg", max_ranges=1)

    assert (tmp_path / "photo.jpg").read_bytes() == archive.content
    assert stored.verified
    assert len(ranges(local_aws)) == 4 + 2
    assert len(set(ranges(local_aws))) == 4


def test_a_range_that_is_always_wrong_is_an_error_with_both_hashes(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.fault("corrupted_body", position=0, skip=3)

    with pytest.raises(TreeHashMismatch, match=rf"bytes {3 * PART} to {SIZE - 1}") as caught:
        store(hook, job_id, tmp_path / "photo.jpg", max_ranges=1)

    assert tree_hash(archive.content[3 * PART :]) in str(caught.value)
    assert not (tmp_path / "photo.jpg").exists()
    assert [entry["part"] for entry in journal_lines(tmp_path)] == [0, 1, 2]


def test_a_whole_that_does_not_match_is_an_error_with_both_hashes_and_is_not_continued(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job = {**hook.get_job("photos", archive.retrieve()), "SHA256TreeHash": "ab" * 32, "JobId": "other"}
    local_aws.add_jobs("photos", [job])

    with pytest.raises(TreeHashMismatch, match="ab" * 32) as caught:
        store(hook, "other", tmp_path / "photo.jpg")

    assert tree_hash(archive.content) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_backoff")
def test_dropped_connections_and_refused_requests_lose_nothing(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.fault("cut_body", position=3 * MEBIBYTE, count=2)
    local_aws.fault("throttling", operation="GetJobOutput", skip=3, count=2)
    local_aws.fault("dropped_connection", operation="GetJobOutput", skip=6, count=1)

    stored = store(hook, job_id, tmp_path / "photo.jpg")

    assert (tmp_path / "photo.jpg").read_bytes() == archive.content
    assert stored.verified


@pytest.mark.parametrize("span", [(0, 2 * PART - 1), (3 * MEBIBYTE, 21 * MEBIBYTE - 1), (5 * MEBIBYTE, SIZE - 1)])
def test_a_retrieved_range_is_verified_by_its_ranges_even_if_it_has_no_tree_hash(
    hook: GlacierJobsHook, archive: Archive, tmp_path: Path, span: tuple[int, int]
) -> None:
    start, end = span

    stored = store(hook, archive.retrieve(RetrievalByteRange=f"{start}-{end}"), tmp_path / "part")

    expected = archive.content[start : end + 1]
    assert (tmp_path / "part").read_bytes() == expected
    assert (stored.sha256_tree_hash, stored.verified) == (tree_hash(expected), True)


def test_an_inventory_is_stored_and_said_not_to_be_verified(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path
) -> None:
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"Size": 1, "ArchiveDescription": "x" * 900} for _ in range(20_000)])
    job_id = hook.get_conn().initiate_job(vaultName="photos", jobParameters={"Type": "inventory-retrieval"})["jobId"]
    local_aws.advance(5 * 3600)

    stored = store(hook, job_id, tmp_path / "inventory.json")

    content = (tmp_path / "inventory.json").read_bytes()
    assert len(json.loads(content)["ArchiveList"]) == 20_000
    assert len(content) > PART
    assert (stored.sha256_tree_hash, stored.verified) == (tree_hash(content), False)


def test_a_size_other_than_the_jobs_is_an_error(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job = {**hook.get_job("photos", archive.retrieve()), "JobId": "other", "RetrievalByteRange": f"0-{SIZE - 2}"}
    local_aws.add_jobs("photos", [{**job, "ArchiveSizeInBytes": SIZE - 1}])
    local_aws.add_jobs("photos", [{**job, "JobId": "empty", "ArchiveSizeInBytes": 0}])
    del job["RetrievalByteRange"]
    local_aws.add_jobs("photos", [{**job, "JobId": "larger", "ArchiveSizeInBytes": SIZE + 1}])

    with pytest.raises(MalformedAnswer, match=f"{SIZE} bytes, of which .* expected {SIZE + 1} bytes"):
        store(hook, "larger", tmp_path / "photo.jpg")
    with pytest.raises(MalformedAnswer, match="ArchiveSizeInBytes is 0"):
        store(hook, "empty", tmp_path / "photo.jpg")


@pytest.mark.parametrize("span", [f"1-{SIZE - 1}", f"0-{PART}"])
def test_a_retrieved_range_that_cannot_be_verified_is_an_error(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path, span: str
) -> None:
    job = {**hook.get_job("photos", archive.retrieve()), "JobId": "other", "RetrievalByteRange": span}
    local_aws.add_jobs("photos", [job])

    with pytest.raises(MalformedAnswer, match=f"RetrievalByteRange is '{span}'"):
        store(hook, "other", tmp_path / "photo.jpg")


def test_an_equal_file_is_found_and_another_one_is_an_error_that_names_both(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    path.write_bytes(archive.content)

    found = store(hook, job_id, path)

    assert (found.result, found.verified, ranges(local_aws)) == ("found", True, [])
    for other in (b"x", distinct_bytes(SIZE, seed=1)):
        path.write_bytes(other)
        with pytest.raises(TargetDiffers, match=rf"{len(other)} bytes.*{tree_hash(archive.content)}"):
            store(hook, job_id, path)
        assert path.read_bytes() == other
    assert ranges(local_aws) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(
    hook: GlacierJobsHook, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, publish = tmp_path / "photo.jpg", LocalTarget.publish

    def late(self: LocalTarget, *arguments: Any, **keywords: Any) -> Any:
        path.write_bytes(appearing)
        return publish(self, *arguments, **keywords)

    monkeypatch.setattr(LocalTarget, "publish", late)

    appearing = b"another file"
    with pytest.raises(TargetDiffers, match="12 bytes"):
        store(hook, archive.retrieve(), path)
    assert path.read_bytes() == appearing
    path.unlink()
    appearing = archive.content
    assert store(hook, archive.retrieve(), path).result == "found"
    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]


def test_another_file_is_replaced_on_request(hook: GlacierJobsHook, archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"old")

    assert store(hook, archive.retrieve(), path, replace=True).result == "stored"

    assert path.read_bytes() == archive.content


def test_a_folder_at_the_destination_is_an_error(hook: GlacierJobsHook, archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not a file"):
        store(hook, archive.retrieve(), tmp_path)


def test_an_expiry_in_mid_download_keeps_the_checkpoint_and_a_new_job_continues(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    local_aws.hook("advance", {"seconds": 25 * 3600}, operation="GetJobOutput", skip=1, count=1)

    with pytest.raises(JobOutputExpired, match=rf"{job_id}.*kept until 2.*{2 * PART} of {SIZE} bytes") as caught:
        store(hook, job_id, path, max_ranges=1)

    assert str(tmp_path / FOLDER) in str(caught.value)
    assert "Initiate a new job for the same archive" in str(caught.value)
    local_aws.reset_calls()
    store(hook, archive.retrieve(), path)
    assert path.read_bytes() == archive.content
    assert len(ranges(local_aws)) == 2


def test_an_expiry_before_the_first_part_names_no_checkpoint(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.hook("advance", {"seconds": 25 * 3600}, operation="DescribeJob", count=1)

    with pytest.raises(
        JobOutputExpired, match=rf"{job_id}.*Nothing is stored\. Initiate a new job for the same archive"
    ):
        store(hook, job_id, tmp_path / "photo.jpg")


def test_a_file_system_without_hard_links_is_refused_before_the_download(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(StoreNotSuitable, match="cannot create hard links"):
        store(hook, archive.retrieve(), tmp_path / "photo.jpg")

    assert (ranges(local_aws), list(tmp_path.iterdir())) == ([], [])


def test_a_folder_that_may_not_be_written_is_a_final_error(
    hook: GlacierJobsHook, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(AccessDenied, match=r"photo\.jpg cannot be stored"):
        store(hook, archive.retrieve(), tmp_path / "photo.jpg")


class Killed(BaseException):
    """The end of a process."""


def interrupt(hook: GlacierJobsHook, job_id: str, path: Path, step: str) -> None:
    """Store an output until a step of the target, at which the process is killed."""

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalTarget, step, killed)
        with pytest.raises(Killed):
            store(hook, job_id, path)


@pytest.mark.parametrize("replace", [False, True])
def test_a_published_file_that_was_edited_since_is_not_published_again(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path, replace: bool
) -> None:
    archive = upload(local_aws, distinct_bytes(MEBIBYTE + 1))
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    interrupt(hook, job_id, path, "discard")
    edited = b"edited" + archive.content[6:]
    path.write_bytes(edited)
    copy = tmp_path / "copy.jpg"
    os.link(path, copy)
    if not replace:
        path.unlink()

    store(hook, job_id, path, replace=replace)

    assert (path.read_bytes(), copy.read_bytes()) == (archive.content, edited)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.jpg", "photo.jpg"]


def test_a_staged_part_that_has_changed_is_fetched_again(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path
) -> None:
    archive = upload(local_aws, distinct_bytes(PART + 1))
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    interrupt(hook, job_id, path, "publish")
    (content,) = (tmp_path / FOLDER).glob("*/content")
    with content.open("r+b") as file:
        file.seek(5)
        file.write(b"edited")
    local_aws.reset_calls()

    store(hook, job_id, path)

    assert path.read_bytes() == archive.content
    assert ranges(local_aws) == [f"bytes=0-{PART - 1}"]


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.ENOSPC, ServiceUnavailable, rf"{MEBIBYTE} bytes, and \d+ bytes are free"),
        (errno.EDQUOT, ServiceUnavailable, "Make room"),
        (errno.EIO, ServiceUnavailable, "check the disk"),
        (errno.EROFS, AccessDenied, "let the worker write"),
        (errno.ENAMETOOLONG, InvalidArgument, "another destination"),
    ],
)
def test_an_error_of_the_file_system_says_whether_a_later_try_may_succeed(
    hook: GlacierJobsHook,
    local_aws: Control,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[Exception],
    message: str,
) -> None:
    job_id = upload(local_aws, distinct_bytes(MEBIBYTE)).retrieve()

    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", refuse)

    with pytest.raises(error, match=rf"photo\.jpg cannot be stored.*{message}"):
        store(hook, job_id, tmp_path / "photo.jpg")

    assert len(ranges(local_aws)) == 1


def test_an_output_for_which_there_is_no_room_is_not_fetched(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = upload(local_aws, distinct_bytes(MEBIBYTE)).retrieve()
    room = os.statvfs(tmp_path)
    little = os.statvfs_result([room.f_bsize, 1000, *room[2:4], 1000, *room[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: little)

    with pytest.raises(ServiceUnavailable, match=rf"{MEBIBYTE} of the {MEBIBYTE} bytes .* are missing, and 1000000 "):
        store(hook, job_id, tmp_path / "photo.jpg")

    assert (ranges(local_aws), list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize("replace", [False, True])
def test_a_path_that_can_never_be_a_file_is_refused_before_the_download(
    hook: GlacierJobsHook, local_aws: Control, tmp_path: Path, replace: bool
) -> None:
    job_id = upload(local_aws, b"x").retrieve()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("folder", "file/below", "link", "x" * 300):
        with pytest.raises(InvalidArgument, match="another destination"):
            store(hook, job_id, tmp_path / name, replace=replace)

    assert ranges(local_aws) == []
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_can_never_be_created_is_an_error_and_not_tried_for_ever(
    hook: GlacierJobsHook, local_aws: Control
) -> None:
    with pytest.raises(InvalidArgument, match=r"/proc/none/\.retrieving/.* cannot be created"):
        store(hook, upload(local_aws, b"x").retrieve(), Path("/proc/none/photo.jpg"))


def test_a_lost_staged_file_is_not_taken_for_complete(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    local_aws.fault("access_denied", operation="GetJobOutput", skip=3, count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        store(hook, job_id, path, max_ranges=1)
    assert len(journal_lines(tmp_path)) == 3
    (content,) = (tmp_path / FOLDER).glob("*/content")
    content.unlink()

    store(hook, job_id, path)

    assert path.read_bytes() == archive.content


@pytest.mark.parametrize(
    "torn", [b'{"part": 3, "tree_ha', b'{"part": 99, "tree_hash": "00", "verified": true}\n', b"[]\n"]
)
def test_a_torn_line_of_the_journal_is_removed(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path, torn: bytes
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    local_aws.fault("access_denied", operation="GetJobOutput", skip=2, count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        store(hook, job_id, path, max_ranges=1)
    (journal,) = (tmp_path / FOLDER).glob("*/journal")
    journal.write_bytes(journal.read_bytes() + torn)
    local_aws.reset_calls()

    store(hook, job_id, path)

    assert path.read_bytes() == archive.content
    assert len(ranges(local_aws)) == 2


def test_two_that_store_the_same_output_do_not_disturb_each_other(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    local_aws.fault("latency", operation="GetJobOutput", seconds=3, count=1)
    first: list[Stored] = []
    thread = threading.Thread(target=lambda: first.append(store(hook, job_id, path)))
    thread.start()
    while not list((tmp_path / FOLDER).glob("*/content")):
        thread.join(0.01)

    with pytest.raises(TargetInUse, match="another process"):
        store(hook, job_id, path)

    thread.join()
    assert first[0].result == "stored"
    assert path.read_bytes() == archive.content
    assert store(hook, job_id, path).result == "found"
    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]


CHILD = """
import os, signal, sys
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval import local_target
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.source import job_source
from pathlib import Path

job_id, path, step = sys.argv[1:]

def dying(owner, name, *, after, count):
    original = getattr(owner, name)
    calls = []
    def dies(*arguments, **keywords):
        calls.append(1)
        if not after and len(calls) >= count:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **keywords)
        if after and len(calls) >= count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, dies)

owner, name, after, count = {
    "before the first byte": (os, "pwrite", False, 1),
    "in a part": (os, "pwrite", True, 20),
    "before a record": (local_target.LocalTarget, "_append", False, 3),
    "after a record": (local_target.LocalTarget, "_append", True, 3),
    # The first link is that of the check of the file system.
    "before publication": (os, "link", False, 2),
    "after publication": (os, "link", True, 2),
}[step]
dying(owner, name, after=after, count=count)
hook = GlacierJobsHook(aws_conn_id="local_aws")
source, target = job_source(hook, "photos", job_id, "-"), local_target.LocalTarget(Path(path))
store_output(source, target, path, replace=False, max_ranges=2)
"""


@pytest.mark.parametrize(
    "step",
    [
        "before the first byte",
        "in a part",
        "before a record",
        "after a record",
        "before publication",
        "after publication",
    ],
)
def test_a_killed_process_costs_at_most_the_ranges_under_way(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path, step: str
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}

    killed = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", CHILD, job_id, str(path), step], env=environment, capture_output=True, check=False
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert path.exists() == (step == "after publication")
    stored = store(hook, job_id, path, max_ranges=2)
    assert path.read_bytes() == archive.content
    assert stored.sha256_tree_hash == tree_hash(archive.content)
    assert len(ranges(local_aws)) <= 4 + 2
    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]


def test_what_an_earlier_run_left_for_a_file_that_is_there_is_removed(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    path, job_id = tmp_path / "photo.jpg", archive.retrieve()
    local_aws.fault("access_denied", operation="GetJobOutput", skip=2, count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        store(hook, job_id, path, max_ranges=1)
    path.write_bytes(archive.content)

    assert store(hook, job_id, path).result == "found"

    assert [each.name for each in tmp_path.iterdir()] == ["photo.jpg"]


def test_the_staged_bytes_are_on_the_file_system_of_the_destination(
    hook: GlacierJobsHook, local_aws: Control, archive: Archive, tmp_path: Path
) -> None:
    job_id = archive.retrieve()
    local_aws.fault("access_denied", operation="GetJobOutput", skip=1, count=1)
    with pytest.raises(Exception, match="AccessDenied"):
        store(hook, job_id, tmp_path / "photo.jpg", max_ranges=1)

    (content,) = (tmp_path / FOLDER).glob("*/content")
    assert content.stat().st_size == SIZE
    shutil.rmtree(tmp_path / FOLDER)
