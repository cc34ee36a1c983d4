"""Every week: store the inventory of each vault of all targets as Parquet, and emit an asset event."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, Variable, dag, get_current_context, task

from glacier_jobs.arguments import ALLOW_PARAMS_VARIABLE, check_params_allowed
from glacier_jobs.compat import AirflowFailException, AirflowSkipException
from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.operators import GlacierInventoryToParquetOperator
from glacier_jobs.snapshot.targets import MAX_TARGETS, parse_targets, target_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import Context
    from pydantic import JsonValue

    from glacier_jobs.snapshot.targets import Target

#: Without a URI, so that ``Asset("glacier_inventories")`` in another DAG file is the same asset.
GLACIER_INVENTORIES = Asset("glacier_inventories")

TARGETS_VARIABLE = "glacier_jobs_targets"
DATASET_VARIABLE = "glacier_jobs_dataset_uri"

DOC = f"""
### Store inventories as Parquet

The inventory of a vault is the list of its archives. Glacier takes it about once a day if the vault has changed. A run
starts an inventory job for each vault, waits for all of them in the triggerer (typically 3 to 5 hours), and publishes
each inventory as a whole or not at all. An inventory that is stored already is recorded again without its rows.

| setting | param | Airflow Variable |
|---|---|---|
| accounts and Regions | `targets` | `{TARGETS_VARIABLE}`, JSON |
| root of the dataset | `dataset_uri` | `{DATASET_VARIABLE}` |
| vaults; without them, all vaults of the targets | `vault_names` | |
| archives of a job, for vaults of tens of millions | `limit` | |

Targets are those of the DAG `glacier_jobs_snapshot`, with their `vault_names` and `exclude_vaults`. Params override
Variables, so whoever may trigger this DAG chooses among all connections and destinations. The Variable
`{ALLOW_PARAMS_VARIABLE}` with the value `false` switches `targets` and `dataset_uri` off. AWS charges for each job as
for a retrieval request, and a job cannot be cancelled.

- **vaults** lists the vaults. Vaults without an inventory yet are left out unless they are named.
- **inventory** is one mapped task per vault. If one fails, the others go on.
- **announce** emits one event of the asset `glacier_inventories`, if at least one inventory was published. Its `extra`
  is `{{"inventories": [...]}}` with the result of each.
- **all_stored** fails the run if the inventory of a vault is missing, and names it. It runs after **announce**, because
  Airflow drops the events of a task that fails.
"""


@task
def vaults() -> list[dict[str, Any]]:
    """Return the arguments of the operator for each vault, from the params of the run or from Airflow Variables."""
    from glacier_jobs.dataset.storage import configured_location

    params = get_current_context()["params"]
    param, uri_param, wanted = params["targets"], params["dataset_uri"] or None, params["vault_names"]
    try:
        check_params_allowed(
            {"targets": param, "dataset_uri": uri_param}, Variable.get(ALLOW_PARAMS_VARIABLE, default=None)
        )
        given = Variable.get(TARGETS_VARIABLE, default=None) if param is None else param
        if given is None:
            raise InvalidArgument(f"no targets: give the param targets, or set the Variable {TARGETS_VARIABLE}")
        dataset_uri = configured_location(uri_param, DATASET_VARIABLE)
        found = [_arguments(target, name) for target in parse_targets(given) for name in _vaults_of(target, wanted)]
    except FinalError as error:
        raise AirflowFailException(str(error)) from error
    if wanted and (missing := set(wanted) - {each["vault_name"] for each in found}):
        raise AirflowFailException(f"no target has the vaults {', '.join(sorted(missing))} of the param vault_names")
    if len(found) > MAX_TARGETS:
        raise AirflowFailException(
            f"there are {len(found)} vaults; a task can be mapped over at most {MAX_TARGETS}: use the param vault_names"
        )
    return [{**each, "dataset_uri": dataset_uri, "limit": params["limit"]} for each in found]


def _arguments(target: Target, vault_name: str) -> dict[str, Any]:
    return {
        "aws_conn_id": target["aws_conn_id"],
        "region_name": target["region_name"],
        "account_id": target["account_id"],
        "vault_name": vault_name,
    }


def _vaults_of(target: Target, wanted: Collection[str] | None) -> list[str]:
    """Return the names of a target's vaults of which inventories are stored."""
    named = target["vault_names"]
    if named is None:
        hook = GlacierJobsHook(
            aws_conn_id=target["aws_conn_id"],
            region_name=target["region_name"],
            requests_per_second=target["requests_per_second"],
        )
        listed = hook.list_vaults(target["account_id"])
        # Glacier refuses inventory jobs of the others.
        named = [each["VaultName"] for each in listed if wanted or each.get("LastInventoryDate") is not None]
    patterns = target["exclude_vaults"] or []
    kept = [name for name in named if not any(fnmatchcase(name, pattern) for pattern in patterns)]
    return [name for name in kept if not wanted or name in wanted]


class Inventory(GlacierInventoryToParquetOperator):
    """The operator without templates.

    Airflow renders what a mapped task gets through ``expand_kwargs()`` once more. A template in the params of a run
    could read every connection and Variable.
    """

    template_fields: Sequence[str] = ()


def _stored(context: Context) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return each vault with the result of its task: the XCom, or ``None``."""
    ti = context["ti"]
    mapped = ti.xcom_pull(task_ids="vaults") or []
    found = ti.xcom_pull(task_ids="inventory", map_indexes=range(len(mapped)))
    return list(zip(mapped, found, strict=True))


@task(trigger_rule="all_done", outlets=[GLACIER_INVENTORIES])
def announce() -> None:
    """Emit one event for all published inventories."""
    context = get_current_context()
    inventories: list[JsonValue] = [inventory for _, inventory in _stored(context) if inventory]
    if not inventories:
        raise AirflowSkipException("no inventory was stored, so there is nothing to announce")
    context["outlet_events"][GLACIER_INVENTORIES].extra = {"inventories": inventories}


@task(trigger_rule="none_failed")
def all_stored() -> None:
    """Fail the run if the inventory of a vault is missing."""
    lines = [
        f"vault {vault['vault_name']} of {_label(vault)}: no inventory was stored; the log of its task says why"
        for vault, inventory in _stored(get_current_context())
        if inventory is None
    ]
    if lines:
        raise AirflowFailException("\n".join(["Not every inventory could be stored:", *lines]))


def _label(vault: dict[str, Any]) -> str:
    return target_name(vault["aws_conn_id"], vault["region_name"], vault["account_id"])


@dag(
    dag_id="glacier_inventory",
    # Glacier takes an inventory of a vault about once a day. AWS charges for each job as for a retrieval request.
    schedule="17 3 * * 0",
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    # A past week's inventory cannot be had any more.
    catchup=False,
    max_active_runs=1,
    params={
        "vault_names": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Vaults",
            description_md="Their names; empty for all vaults of the targets.",
        ),
        "targets": Param(
            None,
            type=["null", "array"],
            items={"type": "object"},
            title="Targets",
            description_md=f"Accounts and Regions, as JSON; empty for the Variable `{TARGETS_VARIABLE}`.",
        ),
        "dataset_uri": Param(
            None,
            type=["null", "string"],
            title="Dataset",
            description_md=f"`file:///…` or `s3://conn_id@bucket/…`; empty for the Variable `{DATASET_VARIABLE}`.",
        ),
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Archives of a job",
            description_md="The limit of each job, for vaults of tens of millions of archives; empty for no limit.",
        ),
    },
    default_args={
        "retries": 4,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    },
    user_defined_macros={"target_name": target_name},
    tags=["glacier", "aws", "inventory"],
    doc_md=DOC,
)
def glacier_inventory() -> None:
    """Store the inventories of all vaults, emit an event, and fail if one is missing."""
    listed = vaults()
    inventory = Inventory.partial(
        task_id="inventory",
        deferrable=True,
        map_index_template=(
            "{{ task.vault_name }}, {{ target_name(task.aws_conn_id, task.region_name, task.account_id) }}"
        ),
    ).expand_kwargs(listed)
    # Also directly: if `vaults` fails, `announce` is skipped, and the run must fail all the same.
    [listed, inventory >> announce()] >> all_stored()


glacier_inventory()
