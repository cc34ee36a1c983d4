"""The Airflow operators for Amazon Glacier."""

from glacier_jobs.operators.initiate import GlacierInitiateJobOperator
from glacier_jobs.operators.inventory import GlacierInventoryToParquetOperator
from glacier_jobs.operators.job_output import GlacierJobOutputToObjectStorageOperator
from glacier_jobs.operators.snapshot import GlacierJobsToParquetOperator

__all__ = [
    "GlacierInitiateJobOperator",
    "GlacierInventoryToParquetOperator",
    "GlacierJobOutputToObjectStorageOperator",
    "GlacierJobsToParquetOperator",
]
