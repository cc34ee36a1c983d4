from __future__ import annotations

from benchmarks.delayed_s3 import DelayedS3
from local_aws.client import Control


def test_each_kind_of_request_is_counted(local_aws: Control) -> None:
    filesystem = DelayedS3(local_aws.endpoint, 0)
    filesystem.mkdir("counted")
    filesystem.pipe_file("counted/file", b"content")

    filesystem.requests.clear()
    filesystem.cat_file("counted/file", 0, 3)
    filesystem.ls("counted")
    filesystem.put_tags("counted/file", {"a": "b"}, mode="m")

    assert filesystem.requests == {
        "get_object": 1,
        "list_objects_v2": 1,
        "get_object_tagging": 1,
        "put_object_tagging": 1,
    }
