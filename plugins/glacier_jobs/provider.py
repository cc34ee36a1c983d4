"""This package's metadata for Airflow's provider discovery."""

from __future__ import annotations

from typing import Any

from glacier_jobs import __version__

#: The date of the files in the wheel, in seconds since 1970: that of Hatchling, which builds the same wheel each time.
_SOURCE_DATE_EPOCH = 1580601600


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, for the entry point ``apache_airflow_provider``.

    It has the keys that Airflow's schema of the file ``provider.yaml`` requires, so that it is valid by that schema as
    well as by the schema of this function's result.
    """
    return {
        "package-name": "airflow-glacier-jobs",
        "name": "Amazon Glacier jobs",
        "description": "List all jobs of Amazon Glacier, wait for them with few requests, and store them as Parquet.",
        "state": "ready",
        "source-date-epoch": _SOURCE_DATE_EPOCH,
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Amazon Glacier jobs",
                "external-doc-url": "https://docs.aws.amazon.com/amazonglacier/latest/dev/job-operations.html",
                "tags": ["aws"],
            }
        ],
        "hooks": [{"integration-name": "Amazon Glacier jobs", "python-modules": ["glacier_jobs.glacier.hook"]}],
        "operators": [{"integration-name": "Amazon Glacier jobs", "python-modules": ["glacier_jobs.operators"]}],
        "sensors": [{"integration-name": "Amazon Glacier jobs", "python-modules": ["glacier_jobs.sensors"]}],
        "triggers": [
            {
                "integration-name": "Amazon Glacier jobs",
                "python-modules": ["glacier_jobs.triggers", "glacier_jobs.events"],
            }
        ],
    }
