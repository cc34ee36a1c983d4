"""``python -m local_airflow.dag_runs DAG_ID[=PARAMS]…``: run DAGs one after the other, in one process.

They are run with ``dag.test()``. The params of a run are JSON.

Prints each step to stdout; the output of Airflow goes to stderr. Requires the environment of
:func:`local_airflow.environment.airflow_environment`. Creates the database if it does not exist.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


def main(runs: list[str]) -> int:
    """Run the DAGs, and stop at the first that fails; return the exit code."""
    # Airflow and its tasks also write to stdout, from several processes: redirect it to stderr for all of them.
    with os.fdopen(os.dup(1), "w") as console:
        os.dup2(2, 1)

        def report(text: str) -> None:
            print(text, file=console, flush=True)

        started = time.monotonic()
        report("  creating Airflow's database")
        dag_bag = _dag_bag()
        for each in runs:
            dag_id, _, params = each.partition("=")
            report(f"  running the DAG {dag_id}")
            if dag_id not in dag_bag.dags:
                report(f"  the DAG does not exist; import errors: {dag_bag.import_errors or 'none'}")
                return 1
            run = dag_bag.dags[dag_id].test(run_conf=json.loads(params or "{}"))
            report(f"  {dag_id}: {run.state}, {time.monotonic() - started:.0f} s after the start")
            if run.state != "success":
                return 1
    return 0


def _dag_bag() -> DagBag:
    # Imported late: importing Airflow takes a second, and the first step should be printed before.
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    return DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
