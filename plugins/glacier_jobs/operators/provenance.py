"""Which task publishes a snapshot or an inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glacier_jobs.dataset.schema import Provenance

if TYPE_CHECKING:
    from airflow.sdk import Context


def provenance_of(context: Context) -> Provenance:
    """Return the task, for the columns of a commit mark. Import this module inside ``execute``: it imports pyarrow."""
    ti = context["ti"]
    return Provenance(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=ti.map_index,
        try_number=ti.try_number,
    )
