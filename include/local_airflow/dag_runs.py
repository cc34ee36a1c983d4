"""``python -m local_airflow.dag_runs DAG_ID…``: run DAGs one after the other through ``dag.test()``, in one process.

Tells each step on stdout. All that Airflow says goes to stderr. Expects the environment that
:func:`local_airflow.environment.airflow_environment` makes; the database is created if there is none.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


def main(dag_ids: list[str]) -> int:
    """Run the DAGs; the result is the exit code, 1 as soon as one of them fails."""
    # Airflow and the tasks write to stdout as well, from several processes: move that to stderr for all of them.
    with os.fdopen(os.dup(1), "w") as console:
        os.dup2(2, 1)

        def tell(text: str) -> None:
            print(text, file=console, flush=True)

        began = time.monotonic()
        tell("  creating Airflow's database")
        dag_bag = _dag_bag()
        for dag_id in dag_ids:
            tell(f"  running the DAG {dag_id}")
            if dag_id not in dag_bag.dags:
                tell(f"  there is no such DAG; import errors: {dag_bag.import_errors or 'none'}")
                return 1
            run = dag_bag.dags[dag_id].test()
            tell(f"  {dag_id}: {run.state}, {time.monotonic() - began:.0f} s since the beginning")
            if run.state != "success":
                return 1
    return 0


def _dag_bag() -> DagBag:
    # Late: importing Airflow takes a second, in which the user shall have read the first step.
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    return DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
