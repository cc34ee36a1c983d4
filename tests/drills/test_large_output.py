"""An output of more than 4 GiB, with faults of the connection, becomes a file with all its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.downloader import store_output
from glacier_jobs.retrieval.local_target import LocalTarget
from glacier_jobs.retrieval.source import job_source
from glacier_jobs.retrieval.tree_hash import MEBIBYTE
from local_aws.client import Control
from tests.conftest import Connect
from tests.drills.table import RecordDrill
from tests.retrieval.outputs import PART, ranges

SIZE = 4 * 1024 * MEBIBYTE + 1


@pytest.mark.drill
@pytest.mark.usefixtures("no_backoff")
def test_an_output_of_more_than_4_gibibytes_is_stored_whole(
    connect: Connect, local_aws: Control, tmp_path: Path, record_drill: RecordDrill
) -> None:
    local_aws.add_vaults("photos")
    (archive_id,) = local_aws.add_archives("photos", [{"Size": SIZE}])
    hook = GlacierJobsHook(aws_conn_id=connect(attempts=None))
    job_id = hook.initiate_job("photos", "archive-retrieval", archive_id=archive_id, tier="Expedited")
    local_aws.advance(180)
    local_aws.fault("cut_body", position=5 * MEBIBYTE, probability=0.05)
    local_aws.fault("corrupted_body", position=7 * MEBIBYTE, probability=0.05)
    local_aws.fault("throttling", operation="GetJobOutput", probability=0.05)
    path = tmp_path / "archive"

    source = job_source(hook, "photos", job_id, "-")
    stored = store_output(source, LocalTarget(path), path.as_uri(), replace=False, max_ranges=4)

    assert (stored.size_in_bytes, path.stat().st_size, stored.verified) == (SIZE, SIZE, True)
    assert stored.sha256_tree_hash == source.sha256_tree_hash
    descriptor = os.open(path, os.O_RDONLY)
    try:
        begin, middle, end = (os.pread(descriptor, MEBIBYTE, at) for at in (0, SIZE // 2, SIZE - 1))
    finally:
        os.close(descriptor)
    assert (begin == middle, begin[:1]) == (True, end)
    requests = len(ranges(local_aws))
    assert requests > SIZE // PART
    path.unlink()
    record_drill(
        "5% each of the answers to Get Job Output are cut, corrupted or throttled, for an archive of 4 GiB + 1 byte",
        f"the file has all bytes and the tree hash of the job, after {requests} requests for 257 parts",
    )
