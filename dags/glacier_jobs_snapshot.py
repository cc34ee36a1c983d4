"""Every hour: publish all jobs of all targets as Parquet, and emit an asset event."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, Variable, dag, get_current_context, task

from glacier_jobs.arguments import ALLOW_PARAMS_VARIABLE, check_params_allowed
from glacier_jobs.compat import AirflowFailException, AirflowSkipException
from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.snapshot.targets import parse_targets, shortfalls, target_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context
    from pydantic import JsonValue

    from glacier_jobs.snapshot.targets import Target

#: Without a URI, so that ``Asset("glacier_jobs")`` in another DAG file is the same asset.
GLACIER_JOBS = Asset("glacier_jobs")

TARGETS_VARIABLE = "glacier_jobs_targets"
DATASET_VARIABLE = "glacier_jobs_dataset_uri"

DOC = f"""
### Record Glacier jobs as Parquet

Amazon Glacier deletes a finished job about a day after it ended. Each run of this DAG lists all jobs of all vaults of
each target and publishes one snapshot per target as Parquet, as a whole or not at all.

| setting | param | Airflow Variable |
|---|---|---|
| accounts and Regions | `targets` | `{TARGETS_VARIABLE}`, JSON |
| root of the dataset | `dataset_uri` | `{DATASET_VARIABLE}` |
| requests per second, for each target without its own | `requests_per_second` | |
| vaults to leave out, for each target without its own | `exclude_vaults` | |

Params override Variables, so whoever may trigger this DAG chooses among all connections and destinations. The Variable
`{ALLOW_PARAMS_VARIABLE}` with the value `false` switches these params off. A target is
`{{"aws_conn_id": "aws_default", "region_name": "us-east-1", "account_id": "123456789012", "vault_names": ["photos"]}}`.
The last two keys are optional. Without them, all vaults of the credentials' account are listed. Other optional keys are
`exclude_vaults` (names or patterns such as `"test-*"`) and `requests_per_second`.

- **snapshot** is one mapped task per target. If a vault cannot be listed, its error is recorded, and the other vaults
  are published.
- **announce** emits one event of the asset `glacier_jobs`, if at least one target was published. Its `extra` is
  `{{"observations": [...]}}` with the result of each snapshot.
- **all_listed** fails the run if a target or a vault could not be listed, and names it. It runs after **announce**,
  because Airflow drops the events of a task that fails.
"""


@task
def targets() -> list[dict[str, Any]]:
    """Return the arguments of the operator for each target, from the params of the run or from Airflow Variables."""
    from glacier_jobs.dataset.storage import configured_location

    params = get_current_context()["params"]
    param, uri_param = params["targets"], params["dataset_uri"] or None
    try:
        check_params_allowed(
            {"targets": param, "dataset_uri": uri_param}, Variable.get(ALLOW_PARAMS_VARIABLE, default=None)
        )
        given = Variable.get(TARGETS_VARIABLE, default=None) if param is None else param
        if given is None:
            raise InvalidArgument(f"no targets: give the param targets, or set the Variable {TARGETS_VARIABLE}")
        dataset_uri = configured_location(uri_param, DATASET_VARIABLE)
    except FinalError as error:
        raise AirflowFailException(str(error)) from error
    try:
        return [{**target, "dataset_uri": dataset_uri} for target in _parsed(given, params)]
    except InvalidArgument as error:
        source = f"the Variable {TARGETS_VARIABLE}" if param is None else "the param targets"
        raise AirflowFailException(f"{source}: {error}") from error


class Snapshot(GlacierJobsToParquetOperator):
    """The operator without templates.

    Airflow renders what a mapped task gets through ``expand_kwargs()`` once more. A template in the params of a run
    could read every connection and Variable.
    """

    template_fields: Sequence[str] = ()


def _parsed(given: object, params: Mapping[str, Any]) -> list[Target]:
    return parse_targets(
        given, exclude_vaults=params["exclude_vaults"], requests_per_second=params["requests_per_second"]
    )


def _observed(context: Context) -> list[dict[str, Any] | None]:
    """Return the result of each target in order: the XCom of its snapshot, or ``None``."""
    ti = context["ti"]
    count = len(ti.xcom_pull(task_ids="targets") or [])
    found: list[dict[str, Any] | None] = ti.xcom_pull(task_ids="snapshot", map_indexes=range(count))
    return found


@task(trigger_rule="all_done", outlets=[GLACIER_JOBS])
def announce() -> None:
    """Emit one event for all published snapshots."""
    context = get_current_context()
    observations: list[JsonValue] = [observation for observation in _observed(context) if observation]
    if not observations:
        raise AirflowSkipException("no target was observed, so there is nothing to announce")
    context["outlet_events"][GLACIER_JOBS].extra = {"observations": observations}


@task(trigger_rule="none_failed")
def all_listed() -> None:
    """Fail the run if a target or a vault could not be listed."""
    context = get_current_context()
    if lines := shortfalls(context["ti"].xcom_pull(task_ids="targets"), _observed(context)):
        raise AirflowFailException("\n".join(["Not everything could be listed:", *lines]))


@dag(
    dag_id="glacier_jobs_snapshot",
    # At least hourly: Glacier keeps a finished job for only about a day. A job that ends during an outage of almost a
    # day (of Airflow, AWS or a token) is recorded only if a run follows soon after the outage.
    schedule="@hourly",
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    # A past hour cannot be listed again: a run lists the jobs that exist when it runs.
    catchup=False,
    max_active_runs=1,
    params={
        "targets": Param(
            None,
            type=["null", "array"],
            items={"type": "object"},
            title="Targets",
            description_md=f"Accounts and Regions to list, as JSON; empty for the Variable `{TARGETS_VARIABLE}`.",
        ),
        "dataset_uri": Param(
            None,
            type=["null", "string"],
            title="Dataset",
            description_md=f"`file:///…` or `s3://conn_id@bucket/…`; empty for the Variable `{DATASET_VARIABLE}`.",
        ),
        "exclude_vaults": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Vaults to leave out",
            description_md="Names or patterns such as `test-*`, for targets without `exclude_vaults`.",
        ),
        "requests_per_second": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            title="Requests per second",
            description_md="The limit of each target without `requests_per_second`; empty for no limit.",
        ),
    },
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        # A try that hangs would delay the next runs until Glacier has deleted jobs.
        "execution_timeout": timedelta(hours=6),
    },
    user_defined_macros={"target_name": target_name},
    tags=["glacier", "aws", "snapshot"],
    doc_md=DOC,
)
def glacier_jobs_snapshot() -> None:
    """Publish snapshots of all targets, emit an event, and fail if something is missing."""
    observed_targets = targets()
    snapshot = Snapshot.partial(
        task_id="snapshot",
        on_vault_error="record",
        map_index_template=("{{ target_name(task.aws_conn_id, task.region_name, task.account_id, task.vault_names) }}"),
    ).expand_kwargs(observed_targets)
    # Also directly: if `targets` fails, `announce` is skipped, and the run must fail all the same.
    [observed_targets, snapshot >> announce()] >> all_listed()


glacier_jobs_snapshot()
