"""The three clients that are compared: a minimal one, what a user would write today (the baseline), and ours.

Each client first lists an empty vault, so that imports, credentials and other one-time work are not measured. Then one
call does all the work and returns the number of listed jobs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_airflow.environment import aws_connection
from local_aws.client import Control
from local_aws.vaults import DEFAULT_ACCOUNT_ID, DEFAULT_REGION

#: Vault names of the large seed of the local AWS.
VAULT_NAME = "large-{:04}"

#: The vault for the warm-up of the clients.
EMPTY_VAULT = "empty"

#: The results of the clients in their folders.
BASELINE_FILE = "jobs.parquet"
OUR_DATASET = "dataset"

#: Lists all vaults and returns the number of jobs.
Work = Callable[[], int]


def minimal(endpoint: str, vaults: int, folder: Path) -> Work:
    """Return a minimal client: urllib3 and a fast JSON decoder, no signatures, and no data kept or written."""
    import msgspec
    import urllib3

    pool = urllib3.PoolManager()
    # The local AWS requires a signature but does not verify it; the real Glacier would reject this one.
    scope = f"{Control(endpoint).boto3_arguments()['aws_access_key_id']}/20260101/{DEFAULT_REGION}/glacier/aws4_request"
    headers = {
        "x-amz-glacier-version": "2012-06-01",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}",
    }

    def page(vault_name: str, marker: str | None) -> dict[str, Any]:
        url = f"{endpoint}/{DEFAULT_ACCOUNT_ID}/vaults/{vault_name}/jobs"
        response = pool.request("GET", url, fields={"marker": marker} if marker else None, headers=headers)
        decoded: dict[str, Any] = msgspec.json.decode(response.data)
        return decoded

    def list_vaults(names: Sequence[str]) -> int:
        jobs = 0
        for name in names:
            marker = None
            while True:
                response = page(name, marker)
                jobs += len(response["JobList"])
                marker = response["Marker"]
                if marker is None:
                    break
        return jobs

    list_vaults([EMPTY_VAULT])
    return lambda: list_vaults(_names(vaults))


def baseline(endpoint: str, vaults: int, folder: Path) -> Work:
    """Return what a user would write today: boto3's paginator for each vault, a data frame, ``to_parquet``."""
    import boto3
    import pandas as pd

    client = boto3.client("glacier", **Control(endpoint).boto3_arguments())

    def list_vaults(names: Sequence[str], file: Path) -> int:
        rows: list[Any] = []
        paginator = client.get_paginator("list_jobs")
        for name in names:
            for page in paginator.paginate(accountId="-", vaultName=name):
                rows += page["JobList"]
        pd.DataFrame(rows).to_parquet(file)
        return len(rows)

    list_vaults([EMPTY_VAULT], folder / "warm-up.parquet")
    return lambda: list_vaults(_names(vaults), folder / BASELINE_FILE)


def ours(endpoint: str, vaults: int, folder: Path) -> Work:
    """Return a snapshot as the operator makes it."""
    os.environ["AIRFLOW_CONN_BENCHMARK"] = aws_connection(endpoint)
    os.environ["AIRFLOW_HOME"] = str(folder / "airflow")
    logging.disable(logging.CRITICAL)

    from glacier_jobs.hooks import GlacierJobsHook
    from glacier_jobs.snapshot.observe import observe
    from glacier_jobs.storage import open_dataset

    hook = GlacierJobsHook(aws_conn_id="benchmark")
    observe(hook, open_dataset((folder / "warm-up").as_uri()), vault_names=[EMPTY_VAULT])
    dataset = open_dataset((folder / OUR_DATASET).as_uri())
    return lambda: observe(hook, dataset, vault_names=_names(vaults)).jobs


def _names(vaults: int) -> list[str]:
    return [VAULT_NAME.format(number) for number in range(vaults)]


CLIENTS: Mapping[str, Callable[[str, int, Path], Work]] = {"minimal": minimal, "baseline": baseline, "ours": ours}
