"""Clients of the local AWS: boto3 without retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control

Description = dict[str, Any]
ListAll = Callable[..., list[Description]]

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def glacier(local_aws: Control) -> Iterator[GlacierClient]:
    """Glacier in us-east-1."""
    client = boto3.client("glacier", config=ONE_ATTEMPT, **local_aws.boto3_arguments())
    yield client
    client.close()


@pytest.fixture
def list_all(glacier: GlacierClient) -> ListAll:
    """A function that lists all jobs of a vault with botocore's paginator."""

    def list_all(vault_name: str, page_size: int | None = None, **parameters: str) -> list[Description]:
        config = {} if page_size is None else {"PageSize": page_size}
        pages = glacier.get_paginator("list_jobs").paginate(
            vaultName=vault_name, PaginationConfig=cast(Any, config), **cast(Any, parameters)
        )
        return [cast(Description, job) for page in pages for job in page["JobList"]]

    return list_all


def signed_headers(region: str = "us-east-1") -> dict[str, str]:
    """Return headers for a request without boto3, with a signature for a server that does not verify it."""
    scope = f"K/20260101/{region}/glacier/aws4_request"
    return {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={0:064}",
        "x-amz-glacier-version": "2012-06-01",
    }


def without_nulls(description: Description) -> Description:
    """Return a description as botocore returns it: without nulls."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in description.items()
        if value is not None
    }
