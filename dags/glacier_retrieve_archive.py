"""An example to copy: get one archive back, as a file or an object in S3, verified."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, Variable, dag, get_current_context, task

from glacier_jobs.arguments import ALLOW_PARAMS_VARIABLE, check_params_allowed
from glacier_jobs.errors import ConnectionNotFound
from glacier_jobs.glacier.initiation import TIERS, JobRequest
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.no_retries import without_retries
from glacier_jobs.operators import GlacierInitiateJobOperator, GlacierJobOutputToObjectStorageOperator

#: The connection and the Region of runs that give no others. Without a connection (``None``), the credentials of the
#: environment are used, such as an execution role; without a Region, that of the connection or the environment.
AWS_CONN_ID: str | None = "aws_archive"
REGION_NAME: str | None = None

#: The destination of runs that give no other.
DESTINATION_URI: str | None = None

DOC = f"""
### Get one archive back

- **check_params** checks the params. If the connection does not exist, nothing is initiated: the credentials of the
  environment, which Airflow would use for some connections, could belong to another account. To use these credentials,
  such as an execution role, leave the param `aws_conn_id` empty.
- **retrieve** initiates the retrieval job, once: a retry finds the job that an earlier try initiated. It waits in the
  triggerer until the job has succeeded: typically 5 to 12 hours for the tier Bulk, 3 to 5 hours for Standard. If the
  job fails, the task fails with Glacier's status message.
- **store** downloads the archive, compares it with AWS's tree hashes, and publishes it at `destination_uri` as a whole
  or not at all. It replaces nothing. A retry continues the download.

AWS charges for a retrieval by size and tier, and you cannot cancel it.

Whoever may trigger this DAG chooses among all connections and destinations. The Variable `{ALLOW_PARAMS_VARIABLE}` with
the value `false` switches the params `aws_conn_id`, `region_name` and `destination_uri` off. Then set them in the file.
"""


@task
def check_params() -> dict[str, str]:
    """Return the params of this run, checked before they are stored as XComs."""
    from glacier_jobs.retrieval.destinations import check_destination

    params = get_current_context()["params"]
    aws_conn_id, region_name = params["aws_conn_id"], params["region_name"] or None
    destination_uri = params["destination_uri"] or DESTINATION_URI
    given = {
        # No connection is a choice as well.
        "aws_conn_id": (aws_conn_id or "") if aws_conn_id != AWS_CONN_ID else None,
        "region_name": region_name if region_name != REGION_NAME else None,
        "destination_uri": destination_uri if destination_uri != DESTINATION_URI else None,
    }
    with without_retries():
        check_params_allowed(given, Variable.get(ALLOW_PARAMS_VARIABLE, default=None))
        check_destination(destination_uri, "destination_uri")
        request = JobRequest.checked(
            vault_name=params["vault_name"],
            job_type="archive-retrieval",
            archive_id=params["archive_id"],
            tier=params["tier"],
        )
        hook = GlacierJobsHook(aws_conn_id=aws_conn_id, region_name=region_name)
        if aws_conn_id is not None and not hook.conn_config:
            raise ConnectionNotFound(
                f"the Airflow connection {aws_conn_id!r} does not exist; create it, or leave aws_conn_id empty for the "
                "credentials of the environment"
            )
        client: Any = hook.get_conn()
    return {
        # Each value is an XCom of its own, and Airflow 3.0 fails to store None. Hooks use no connection for "" either.
        "aws_conn_id": aws_conn_id or "",
        "region_name": client.meta.region_name,
        "vault_name": request.vault_name,
        "archive_id": params["archive_id"],
        "tier": params["tier"],
        "destination_uri": destination_uri,
    }


@dag(
    dag_id="glacier_retrieve_archive",
    schedule=None,
    params={
        "vault_name": Param("photo-archive", type="string", title="Vault", description_md="Its name."),
        "archive_id": Param("", type="string", title="Archive", description_md="Its ID, from the table `archives`."),
        "destination_uri": Param(
            DESTINATION_URI,
            type=["null", "string"],
            title="Destination",
            description_md="The file or object: `file:///…/name`, `s3://bucket/key` or `s3://conn_id@bucket/key`.",
        ),
        "tier": Param("Bulk", enum=list(TIERS), title="Tier", description_md="The slower, the cheaper."),
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
    # Airflow 3.3.2 can lose a task that is resumed just after its deferral. A retry finds the same job.
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["glacier", "aws", "example"],
    doc_md=DOC,
)
def glacier_retrieve_archive() -> None:
    """Initiate and wait, store."""
    checked: Any = check_params()
    where: dict[str, Any] = {name: checked[name] for name in ("aws_conn_id", "region_name", "vault_name")}
    retrieve = GlacierInitiateJobOperator(
        task_id="retrieve",
        **where,
        job_type="archive-retrieval",
        archive_id=checked["archive_id"],
        tier=checked["tier"],
        wait_for_completion=True,
        deferrable=True,
    )
    GlacierJobOutputToObjectStorageOperator(
        task_id="store",
        **where,
        job_id=retrieve.output,
        destination_uri=checked["destination_uri"],
    )


glacier_retrieve_archive()
