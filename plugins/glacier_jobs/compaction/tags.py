"""Tags of S3 objects: a lifecycle rule may expire raw files with this tag, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from fsspec import AbstractFileSystem

from glacier_jobs.errors import AccessDenied

#: The tag of raw files whose rows are in a compacted file.
TAG = {"glacier-jobs": "compacted"}

_TAGGED_AT_A_TIME = 16


def tag(filesystem: AbstractFileSystem, paths: Sequence[str]) -> None:
    """Add :data:`TAG` to objects, beside the tags that they have. A disk has no tags: nothing is done.

    :raises AccessDenied: the store's credentials may not read or write tags.
    :raises OSError: an object could not be tagged; others may be tagged.
    """
    put_tags = getattr(filesystem, "put_tags", None)
    if put_tags is None:
        return
    with ThreadPoolExecutor(_TAGGED_AT_A_TIME, thread_name_prefix="tag") as pool:
        tagging = [pool.submit(put_tags, path, TAG, mode="m") for path in paths]
        for path, done in zip(paths, tagging, strict=True):
            try:
                done.result()
            except PermissionError as error:
                pool.shutdown(cancel_futures=True)
                raise AccessDenied(
                    f"{path} may not be tagged ({error}); allow s3:GetObjectTagging and s3:PutObjectTagging, as in "
                    "include/aws/iam-dataset-policy.json"
                ) from error
            except OSError as error:
                pool.shutdown(cancel_futures=True)
                raise OSError(f"{path} could not be tagged: {error}") from error
