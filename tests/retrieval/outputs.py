"""Archives with distinct bytes, and jobs for them, for tests of the room ``retrieval``."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.utils import calculate_tree_hash

from local_aws.client import Control

MEBIBYTE = 1024 * 1024
PART = 8 * MEBIBYTE


def distinct_bytes(size: int, seed: int = 0) -> bytes:
    """Return bytes of which no two blocks are equal."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - not a secret


def tree_hash(content: bytes) -> str:
    """Return the tree hash as botocore computes it."""
    file: Any = io.BytesIO(content)
    return calculate_tree_hash(file)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive in the vault ``photos``, and what it holds."""

    local_aws: Control
    archive_id: str
    content: bytes

    def retrieve(self, **parameters: Any) -> str:
        """Initiate a job for the archive, let it succeed, and return its id."""
        glacier: Any = boto3.client("glacier", **self.local_aws.boto3_arguments())
        job_parameters = {
            "Type": "archive-retrieval",
            "ArchiveId": self.archive_id,
            "Tier": "Expedited",
            **parameters,
        }
        job_id: str = glacier.initiate_job(vaultName="photos", jobParameters=job_parameters)["jobId"]
        self.local_aws.advance(180)
        return job_id


def upload(local_aws: Control, content: bytes, description: str = "a photo") -> Archive:
    """Upload an archive."""
    glacier: Any = boto3.client("glacier", **local_aws.boto3_arguments())
    local_aws.add_vaults("photos")
    answer = glacier.upload_archive(vaultName="photos", archiveDescription=description, body=content)
    return Archive(local_aws=local_aws, archive_id=answer["archiveId"], content=content)


def ranges(local_aws: Control) -> list[str | None]:
    """Return the ranges of all requests for outputs, in their order."""
    return [request["range"] for request in local_aws.requests("GetJobOutput")]
