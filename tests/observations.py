"""Publish small observations, and return rows for the writer, without AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from s3fs import S3FileSystem

from glacier_jobs import __version__
from glacier_jobs.dataset.layout import Dataset, list_partitions, new_observation
from glacier_jobs.dataset.schema import SCHEMA_VERSION, TABLES, Observation
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.glacier.rows import jobs_batch
from local_aws.client import Control


def local_dataset(root: Path) -> Dataset:
    return Dataset(filesystem=LocalFileSystem(), root=str(root))


def s3_of(local_aws: Control) -> S3FileSystem:
    """Return a file system with a cache of listings of its own, as another program has."""
    arguments = local_aws.boto3_arguments()
    return S3FileSystem(
        key=arguments["aws_access_key_id"],
        secret=arguments["aws_secret_access_key"],
        endpoint_url=local_aws.endpoint,
        skip_instance_cache=True,
    )


def expire(dataset: Dataset, *, until: date) -> None:
    """Delete the raw files of the days up to a day, as a lifecycle rule or a person does after compaction."""
    for table in TABLES:
        files = list_partitions(dataset.filesystem, f"{dataset.root}/{table}", "snapshot_date", until=until)
        for path in (file for partition in files.values() for file in partition):
            dataset.filesystem.rm(path)


def vault_row(vault_name: str, moment: datetime, **values: Any) -> dict[str, Any]:
    """Return a row of the table ``vaults`` for the writer."""
    return {
        "vault_name": vault_name,
        "vault_arn": f"arn:aws:glacier:us-east-1:123456789012:vaults/{vault_name}",
        "jobs": 0,
        "pages": 1,
        "listing_began_at": moment,
        "listing_ended_at": moment,
        "outcome": "listed",
        **values,
    }


def observation_row(moment: datetime, **values: Any) -> dict[str, Any]:
    """Return a row of the table ``observations`` for the writer."""
    return {
        "ended_at": moment,
        "scope": "all",
        "vaults_listed": 1,
        "vaults_gone": 0,
        "vaults_failed": 0,
        "jobs": 0,
        "package_version": __version__,
        "schema_version": SCHEMA_VERSION,
        **values,
    }


def write_jobs(
    writer: ObservationWriter, observation: Observation, jobs: Sequence[Mapping[str, Any]], vault_name: str = "photos"
) -> None:
    """Write one page of jobs of one vault."""
    arn = f"arn:aws:glacier:us-east-1:123456789012:vaults/{vault_name}"
    batch = jobs_batch(
        [{"VaultARN": arn, **job} for job in jobs],
        observation=observation,
        vault_name=vault_name,
        observed_at=datetime.now(timezone.utc),
    )
    writer.write_jobs(batch)


def publish(
    dataset: Dataset, moment: datetime, jobs: Sequence[str | Mapping[str, Any]], vault_name: str = "photos"
) -> Observation:
    """Publish an observation of one vault that has these jobs, each given by its id or by its description."""
    observation = new_observation("123456789012", "us-east-1", moment)
    with ObservationWriter(dataset, observation, clock=lambda: moment) as writer:
        descriptions = [{"JobId": job} if isinstance(job, str) else job for job in jobs]
        write_jobs(writer, observation, descriptions, vault_name)
        writer.finish_jobs()
        writer.publish(
            vaults=[vault_row(vault_name, moment, jobs=len(jobs))], observation=observation_row(moment, jobs=len(jobs))
        )
    return observation
