"""An example to copy: initiate an inventory retrieval, wait for it, and read the inventory."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.glacier import GlacierCreateJobOperator
from airflow.sdk import Param, dag, get_current_context, task

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.sensors import GlacierJobSensor

AWS_CONN_ID = "aws_default"

DOC = """
### Wait for a vault's inventory

- **start** initiates the inventory retrieval job with the operator of Airflow's Amazon provider.
- **wait** releases its worker slot and waits in the triggerer, typically 3 to 5 hours. If the job fails, the task fails
  with Glacier's status message.
- **read** reads the inventory and returns the number and the total size of the archives in the vault.

Set the param `vault_name`. AWS charges for an inventory retrieval, and you cannot cancel it.
"""


@task
def read(job: Any) -> dict[str, Any]:
    """Return totals of the inventory. The list of archives can be too large for an XCom."""
    vault_name = get_current_context()["params"]["vault_name"]
    output = GlacierJobsHook(aws_conn_id=AWS_CONN_ID).retrieve_inventory_results(vault_name, job["JobId"])
    inventory = json.load(output["body"])
    archives = inventory["ArchiveList"]
    return {
        "vault_arn": inventory["VaultARN"],
        "inventory_date": inventory["InventoryDate"],
        "archives": len(archives),
        "size_in_bytes": sum(archive["Size"] for archive in archives),
    }


@dag(
    dag_id="glacier_wait_for_inventory",
    schedule=None,
    params={"vault_name": Param("photo-archive", type="string", title="Vault", description_md="Its name.")},
    tags=["glacier", "aws", "example"],
    doc_md=DOC,
)
def glacier_wait_for_inventory() -> None:
    """Initiate, wait, read."""
    start = GlacierCreateJobOperator(
        task_id="start",
        aws_conn_id=AWS_CONN_ID,
        vault_name="{{ params.vault_name }}",
        # Glacier cannot distinguish a repeated request from a new one, so a retry could pay for two inventories.
        retries=0,
    )
    job = GlacierJobSensor(
        task_id="wait",
        aws_conn_id=AWS_CONN_ID,
        vault_name="{{ params.vault_name }}",
        job_id=start.output,
        deferrable=True,
        # Airflow 3.3.2 can lose a task that is resumed just after its deferral. A retry finds the same job.
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    read(job.output)


glacier_wait_for_inventory()
