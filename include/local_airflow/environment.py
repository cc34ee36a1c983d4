"""Environment variables for a local Airflow that uses its own folders and the local AWS."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: The connection to the local AWS. It is the default, so that tasks without a connection use the local AWS too.
CONN_ID = "aws_default"

#: The connection that the documents set up, and that the example DAG uses by default. It is the same here.
ARCHIVE_CONN_ID = "aws_archive"

#: The Regions in which the demo seed of the local AWS has vaults.
DEMO_TARGETS: Sequence[Mapping[str, Any]] = (
    {"aws_conn_id": CONN_ID, "region_name": "us-east-1"},
    {"aws_conn_id": CONN_ID, "region_name": "eu-west-1"},
)

_DATABASE_TIMEOUT_SECONDS = 60

_FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW", "AWS_", "BOTO", "MOTO_")
_FOREIGN_NAMES = {
    "all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy",
    "pythonhome", "pythonpath", "pythonstartup", "pythonwarnings",
}  # fmt: skip


def clean_environment() -> dict[str, str]:
    """Return the environment without settings for Airflow, AWS, proxies and Python's search path."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name.lower() not in _FOREIGN_NAMES
    }


def aws_connection(endpoint: str, region_name: str = "us-east-1") -> str:
    """Return an Airflow connection to the local AWS at an endpoint, as JSON."""
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "LOCALAWSACCESSKEY000",
            "password": "local-aws-secret",
            "extra": {"region_name": region_name, "endpoint_url": endpoint},
        }
    )


def airflow_environment(
    home: Path, *, endpoint: str, dataset: Path, targets: Sequence[Mapping[str, Any]] = DEMO_TARGETS
) -> dict[str, str]:
    """Return the environment for processes of an Airflow on SQLite that runs this project's DAGs.

    :param home: the Airflow home, for all files that Airflow writes.
    :param endpoint: the endpoint of the local AWS.
    :param dataset: the folder to which the snapshot DAG publishes.
    :param targets: the targets of the snapshot DAG.
    """
    return {
        **clean_environment(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT / "include")]),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Each write blocks all others, on a busy machine for longer than the 5 s that SQLite waits by default. Then the
        # API returns 500, and tasks fail. Airflow derives the URL of its asynchronous engine from this one.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout={_DATABASE_TIMEOUT_SECONDS}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        **{f"AIRFLOW_CONN_{conn_id.upper()}": aws_connection(endpoint) for conn_id in (CONN_ID, ARCHIVE_CONN_ID)},
        "AIRFLOW_VAR_GLACIER_JOBS_TARGETS": json.dumps(list(targets)),
        # Not as_uri(): object storage does not decode "%20" to a space.
        "AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI": f"file://{dataset}",
    }
