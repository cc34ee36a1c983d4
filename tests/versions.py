"""What the tests take from Airflow and boto3 under names that differ between versions."""

from __future__ import annotations

import datetime as datetime_module
import importlib.metadata
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import airflow
import botocore.auth
import pytest

from glacier_jobs.compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
)

try:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.models import dagbag
    from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    def sync_bag_to_db(dags: Any, bundle_name: str, bundle_version: str | None) -> None:  # type: ignore[misc]
        """Store the DAGs in Airflow's database."""
        if hasattr(dagbag, "sync_bag_to_db"):
            dagbag.sync_bag_to_db(dags, bundle_name, bundle_version)
        else:  # Airflow 3.0
            dags.sync_to_db(bundle_name, bundle_version)


try:
    from airflow.sdk.exceptions import AirflowException, AirflowRescheduleException, TaskDeferred
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowException,
        AirflowRescheduleException,
        TaskDeferred,
    )

try:
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.0
    from airflow.serialization.serialized_objects import (  # type: ignore[assignment, attr-defined]
        SerializedDAG as DagSerialization,
    )

try:
    from airflow.sdk.io import get_fs as _  # noqa: F401

    GET_FS = "airflow.sdk.io.get_fs"
except ImportError:  # Airflow 3.0
    GET_FS = "airflow.io.get_fs"

#: Whether an ARN can be a bucket. With Airflow 3.0 and 3.1 comes a version of universal_pathlib that refuses it.
OPENS_ARNS = not importlib.metadata.version("universal-pathlib").startswith("0.2.")

#: In Airflow 3.0, ``dag.test()`` prints the local variables of a failed task to the console, though not to log files.
AIRFLOW_3_0 = airflow.__version__.startswith("3.0.")

#: What ``dag.test()`` creates a run with.
CREATE_RUN = "airflow.models.dag._get_or_create_dagrun" if AIRFLOW_3_0 else "airflow.models.dagrun.get_or_create_dagrun"

__all__ = [
    "AIRFLOW_3_0",
    "CREATE_RUN",
    "GET_FS",
    "OPENS_ARNS",
    "AirflowException",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "DagBag",
    "DagSerialization",
    "TaskDeferralError",
    "TaskDeferred",
    "stop_clock_of_signatures",
    "sync_bag_to_db",
]


def stop_clock_of_signatures(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let botocore sign all requests as at one moment.

    :param moment: in UTC.
    """
    if hasattr(botocore.auth, "get_current_datetime"):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
    else:  # boto3 before 1.40
        stopped = type("Stopped", (datetime,), {"utcnow": staticmethod(lambda: moment)})
        module = SimpleNamespace(**{**vars(datetime_module), "datetime": stopped})
        monkeypatch.setattr(botocore.auth, "datetime", module)
