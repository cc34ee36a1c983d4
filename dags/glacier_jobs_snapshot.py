"""Scheduled: all jobs of all targets, kept as Parquet and announced as an asset."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, TriggerRule, Variable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from glacier_jobs.errors import InvalidArgument
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.snapshot.targets import parse_targets, shortfalls, target_name

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pydantic import JsonValue

#: Without a URI of its own, so that ``Asset("glacier_jobs")`` in another DAG file is this very asset.
GLACIER_JOBS = Asset("glacier_jobs")

TARGETS_VARIABLE = "glacier_jobs_targets"
DATASET_VARIABLE = "glacier_jobs_dataset_uri"

DOC = f"""
### Glacier's jobs, kept for good

Amazon Glacier forgets a finished job about a day after it ended. Each run of this DAG lists all jobs of all vaults of
every target and publishes them as Parquet: one observation a target, whole or not at all.

| what | param | Airflow Variable |
|---|---|---|
| accounts and Regions | `targets` | `{TARGETS_VARIABLE}`, JSON |
| the dataset's root | `dataset_uri` | `{DATASET_VARIABLE}` |

A param, where it is given, wins over the Variable. A target is
`{{"aws_conn_id": "aws_default", "region_name": "us-east-1", "account_id": "123456789012", "vault_names": ["photos"]}}`,
of which the last two keys are optional: without them, the account of the credentials and all its vaults.

- **snapshot** observes, a mapped task for each target. A vault that cannot be listed is recorded with its error; the
  others are published all the same.
- **announce** emits one event of the asset `glacier_jobs`, as long as one target was observed. Its `extra` is
  `{{"observations": [...]}}` with what each snapshot returned.
- **all_listed** fails the run where a target or a vault could not be listed, and names them. It comes after
  **announce** because Airflow drops the events of a task that fails.
"""


@task
def targets() -> list[dict[str, Any]]:
    """Return the operator's arguments for each target, from the run's params or else from Airflow's Variables."""
    params = get_current_context()["params"]
    given = params["targets"]
    if given is None:
        given = Variable.get(TARGETS_VARIABLE, default=None)
    if given is None:
        raise AirflowFailException(f"no targets: give the param targets, or set the Variable {TARGETS_VARIABLE}")
    dataset_uri = params["dataset_uri"] or Variable.get(DATASET_VARIABLE, default=None)
    if not dataset_uri:
        raise AirflowFailException(f"no dataset: give the param dataset_uri, or set the Variable {DATASET_VARIABLE}")
    try:
        return [{**target, "dataset_uri": dataset_uri} for target in parse_targets(given)]
    except InvalidArgument as error:
        raise AirflowFailException(f"the param targets, or the Variable {TARGETS_VARIABLE}: {error}") from error


def _observed(context: Context) -> list[dict[str, Any] | None]:
    """Return what became of each target, in their order: a snapshot's XCom, or ``None``."""
    ti = context["ti"]
    count = len(ti.xcom_pull(task_ids="targets") or [])
    found: list[dict[str, Any] | None] = ti.xcom_pull(task_ids="snapshot", map_indexes=range(count))
    return found


@task(trigger_rule=TriggerRule.ALL_DONE, outlets=[GLACIER_JOBS])
def announce() -> None:
    """Emit one event for all that was observed."""
    context = get_current_context()
    observations: list[JsonValue] = [observation for observation in _observed(context) if observation]
    if not observations:
        raise AirflowSkipException("no target was observed, so there is nothing to announce")
    context["outlet_events"][GLACIER_JOBS].extra = {"observations": observations}


@task(trigger_rule=TriggerRule.NONE_FAILED)
def all_listed() -> None:
    """Fail the run where something could not be listed."""
    context = get_current_context()
    if lines := shortfalls(context["ti"].xcom_pull(task_ids="targets"), _observed(context)):
        raise AirflowFailException("\n".join(["Not everything could be listed:", *lines]))


@dag(
    dag_id="glacier_jobs_snapshot",
    # Never rarer than hourly: Glacier keeps a finished job for only about a day, so whatever ends during an outage
    # of almost a day (ours, AWS's, a token's) is on record only if a run follows at once.
    schedule="@hourly",
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    # A past hour cannot be observed again: a run sees what is there at the moment it is made.
    catchup=False,
    max_active_runs=1,
    params={
        "targets": Param(
            None,
            type=["null", "array"],
            items={"type": "object"},
            title="Targets",
            description_md=f"Accounts and Regions to observe, as JSON; empty for the Variable `{TARGETS_VARIABLE}`.",
        ),
        "dataset_uri": Param(
            None,
            type=["null", "string"],
            title="Dataset",
            description_md=f"`file:///…` or `s3://conn_id@bucket/…`; empty for the Variable `{DATASET_VARIABLE}`.",
        ),
    },
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        # A try that hangs would hold back the runs after it, until jobs are forgotten.
        "execution_timeout": timedelta(hours=6),
    },
    user_defined_macros={"target_name": target_name},
    tags=["glacier", "aws", "snapshot"],
    doc_md=DOC,
)
def glacier_jobs_snapshot() -> None:
    """Observe all targets, announce it, and say what is missing."""
    observed_targets = targets()
    snapshot = GlacierJobsToParquetOperator.partial(
        task_id="snapshot",
        on_vault_error="record",
        map_index_template=("{{ target_name(task.aws_conn_id, task.region_name, task.account_id, task.vault_names) }}"),
    ).expand_kwargs(observed_targets)
    # Also directly: after failed targets there is nothing to announce, and nothing to compare.
    [observed_targets, snapshot >> announce()] >> all_listed()


glacier_jobs_snapshot()
