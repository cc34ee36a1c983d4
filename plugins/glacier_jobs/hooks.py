"""The Airflow hook, under the path that pipelines import it from."""

from glacier_jobs.glacier.client import RetryPolicy
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.outputs import JobOutput, ResumingJobOutput
from glacier_jobs.glacier.pagination import JobPage

__all__ = ["GlacierJobsHook", "JobOutput", "JobPage", "ResumingJobOutput", "RetryPolicy"]
