"""An S3 filesystem that delays each request, as the network to a Region does, and counts the requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from local_aws.client import Control


class DelayedS3(S3FileSystem):  # type: ignore[misc]  # fsspec has no types
    """An S3 filesystem over a local AWS.

    :param endpoint: the endpoint of the local AWS.
    :param latency_ms: the delay of each request.
    """

    #: Not shared: each instance counts its own requests.
    cachable = False

    def __init__(self, endpoint: str, latency_ms: float) -> None:
        keys = Control(endpoint).boto3_arguments()
        super().__init__(
            key=keys["aws_access_key_id"],
            secret=keys["aws_secret_access_key"],
            endpoint_url=endpoint,
        )
        self._latency_seconds = latency_ms / 1000
        self.requests: Counter[str] = Counter()
        """The number of requests by the name of the client's method, such as ``get_object``."""

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.requests[method] += 1
        await asyncio.sleep(self._latency_seconds)
        return await super()._call_s3(method, *args, **kwargs)

    #: The one of the base class calls its own method. Tags are requested with this.
    call_s3 = sync_wrapper(_call_s3)
