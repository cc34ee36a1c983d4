"""An example to copy: initiate an inventory retrieval, wait for it, and read the inventory."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task

from glacier_jobs.arguments import ALLOW_PARAMS_VARIABLE, check_params_allowed
from glacier_jobs.compat import AirflowFailException
from glacier_jobs.errors import ConnectionNotFound, FinalError
from glacier_jobs.glacier.identifiers import check_vault_name
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators import GlacierInitiateJobOperator
from glacier_jobs.sensors import GlacierJobSensor

#: The connection and the Region of runs that give no others. Without a connection (``None``), the credentials of the
#: environment are used, such as an execution role; without a Region, that of the connection or the environment.
AWS_CONN_ID: str | None = "aws_archive"
REGION_NAME: str | None = None

DOC = f"""
### Wait for a vault's inventory

- **check_params** checks the params. If the connection does not exist, nothing is initiated: the credentials of the
  environment, which Airflow would use for some connections, could belong to another account. To use these credentials,
  such as an execution role, leave the param `aws_conn_id` empty.
- **start** initiates the inventory retrieval job, once: a retry finds the job that an earlier try initiated.
- **wait** releases its worker slot and waits in the triggerer, typically 3 to 5 hours. If the job fails, the task fails
  with Glacier's status message.
- **read** reads the inventory and returns the number and the total size of the archives in the vault.

Set the param `vault_name`. AWS charges for an inventory retrieval, and you cannot cancel it.

Whoever may trigger this DAG chooses among all connections. The Variable `{ALLOW_PARAMS_VARIABLE}` with the value
`false` switches the params `aws_conn_id` and `region_name` off.
"""


@task
def check_params() -> dict[str, str]:
    """Return the connection, the Region and the vault of this run, checked before they are stored as XComs."""
    params = get_current_context()["params"]
    aws_conn_id, region_name = params["aws_conn_id"], params["region_name"] or None
    given = {
        # No connection is a choice as well.
        "aws_conn_id": (aws_conn_id or "") if aws_conn_id != AWS_CONN_ID else None,
        "region_name": region_name if region_name != REGION_NAME else None,
    }
    try:
        check_params_allowed(given, Variable.get(ALLOW_PARAMS_VARIABLE, default=None))
        vault_name = check_vault_name(params["vault_name"])
        hook = GlacierJobsHook(aws_conn_id=aws_conn_id, region_name=region_name)
        if aws_conn_id is not None and not hook.conn_config:
            raise ConnectionNotFound(
                f"the Airflow connection {aws_conn_id!r} does not exist; create it, or leave aws_conn_id empty for the "
                "credentials of the environment"
            )
        client: Any = hook.get_conn()
    except FinalError as error:
        raise AirflowFailException(str(error)) from error
    # Each value is an XCom of its own, and Airflow 3.0 fails to store None. Hooks use no connection for "" either.
    return {"aws_conn_id": aws_conn_id or "", "region_name": client.meta.region_name, "vault_name": vault_name}


@task(retries=3, retry_delay=timedelta(minutes=1))
def read(job: Any, aws_conn_id: str, region_name: str, vault_name: str) -> dict[str, Any]:
    """Return totals of the inventory. The list of archives can be too large for an XCom."""
    hook = GlacierJobsHook(aws_conn_id=aws_conn_id, region_name=region_name)
    output = hook.retrieve_inventory_results(vault_name, job["JobId"])
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
    params={
        "vault_name": Param("photo-archive", type="string", title="Vault", description_md="Its name."),
        "aws_conn_id": Param(
            AWS_CONN_ID,
            type=["null", "string"],
            title="Connection",
            description_md="The ID of the AWS connection; empty for the credentials of the environment.",
        ),
        "region_name": Param(
            REGION_NAME,
            type=["null", "string"],
            title="Region",
            description_md="For example `us-east-1`; empty for the Region of the connection or the environment.",
        ),
    },
    tags=["glacier", "aws", "example"],
    doc_md=DOC,
)
def glacier_wait_for_inventory() -> None:
    """Initiate, wait, read."""
    checked: Any = check_params()
    where: dict[str, Any] = {name: checked[name] for name in ("aws_conn_id", "region_name", "vault_name")}
    start = GlacierInitiateJobOperator(
        task_id="start",
        **where,
        job_type="inventory-retrieval",
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    job = GlacierJobSensor(
        task_id="wait",
        **where,
        job_id=start.output,
        deferrable=True,
        # Airflow 3.3.2 can lose a task that is resumed just after its deferral. A retry finds the same job.
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    read(job.output, **where)


glacier_wait_for_inventory()
