"""The examples in the docstrings of what other programs use: each is there, and runs."""

from __future__ import annotations

import inspect
import io
import json
import textwrap
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import Asset, AssetWatcher, dag

import glacier_jobs.reports
import glacier_jobs.storage
from glacier_jobs.compaction.days import compact_closed_days
from glacier_jobs.dataset.inventory_writer import InventoryWriter
from glacier_jobs.dataset.layout import Dataset, new_inventory, new_observation
from glacier_jobs.dataset.storage import open_dataset
from glacier_jobs.dataset.writer import ObservationWriter
from glacier_jobs.events import GlacierJobCompletedTrigger
from glacier_jobs.glacier.client import RetryPolicy
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.initiation import JobRequest
from glacier_jobs.glacier.rows import ObservedPage, jobs_batch
from glacier_jobs.history.store import History, fold_closed_days
from glacier_jobs.inventory.descriptions import described_files
from glacier_jobs.inventory.reader import InventoryReader
from glacier_jobs.inventory.record import record_inventory
from glacier_jobs.inventory.rows import converted_archives
from glacier_jobs.operators import (
    GlacierInitiateJobOperator,
    GlacierInventoryToParquetOperator,
    GlacierJobOutputToObjectStorageOperator,
    GlacierJobsToParquetOperator,
)
from glacier_jobs.reports.questions import Inquiry, run
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.snapshot.observe import observe
from local_aws.client import Control
from tests.conftest import Connect
from tests.inventory.documents import INVENTORY_ROW, archive, document
from tests.observations import local_dataset, observation_row, publish, vault_row

DOCUMENTED = [
    GlacierJobsHook,
    *(method for name, method in vars(GlacierJobsHook).items() if inspect.isfunction(method) and name[0] != "_"),
    RetryPolicy,
    glacier_jobs.storage,
    open_dataset,
    Dataset.scan,
    ObservationWriter,
    observe,
    compact_closed_days,
    History,
    fold_closed_days,
    glacier_jobs.reports,
    run,
    Inquiry,
    GlacierJobsToParquetOperator,
    GlacierInitiateJobOperator,
    GlacierJobOutputToObjectStorageOperator,
    InventoryReader,
    InventoryWriter,
    described_files,
    record_inventory,
    GlacierInventoryToParquetOperator,
    GlacierJobSensor,
    GlacierJobCompletedTrigger,
]

MOMENT = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=3)


def example_of(documented: Any) -> str:
    """Return the indented block that follows ``Example::``."""
    _, found, rest = (inspect.getdoc(documented) or "").partition("Example::\n")
    assert found, f"{documented} has no example"
    block = []
    for line in rest.splitlines():
        if line and not line.startswith("    "):
            break
        block.append(line)
    return textwrap.dedent("\n".join(block)).strip()


@pytest.fixture
def names(connect: Connect, local_aws: Control, tmp_path: Path) -> dict[str, Any]:
    """Return what the examples use without an import."""
    local_aws.add_jobs("photos", [{"JobId": "a", "StatusCode": "Succeeded"}, {"JobId": "b"}])
    connect("aws_default")
    hook = GlacierJobsHook(aws_conn_id=connect("aws_archive"))
    publish(local_dataset(tmp_path), MOMENT, ["a"])
    observation = new_observation("123456789012", "us-east-1", datetime.now(timezone.utc))
    inventory = new_inventory("123456789012", "us-east-1", "photos", MOMENT)
    return {
        **{each.__name__: each for each in DOCUMENTED if inspect.isclass(each) or inspect.isfunction(each)},
        **{each.__name__: each for each in (date, datetime, JobRequest, ObservedPage, Asset, AssetWatcher, dag)},
        "timezone": timezone,
        "hook": hook,
        "job_id": "a",
        "started": "a",
        "dataset": local_dataset(tmp_path),
        "observation": observation,
        "batch": jobs_batch(
            list(hook.list_jobs("photos")), observation=observation, vault_name="photos", observed_at=MOMENT
        ),
        "vault_rows": [vault_row("photos", MOMENT)],
        "observation_row": observation_row(MOMENT),
        "pa": pa,
        "body": io.BytesIO(json.dumps(document([archive(1)])).encode()),
        "inventory": inventory,
        "archives": converted_archives([archive(1)], inventory).batch,
        "inventory_row": INVENTORY_ROW,
    }


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda documented: documented.__name__)
def test_each_public_class_and_function_has_an_example_of_few_lines_that_runs(
    documented: Any, names: dict[str, Any], tmp_path: Path
) -> None:
    example = example_of(documented)

    assert len([line for line in example.splitlines() if line]) <= 6
    for uri in ("s3://aws_archive@my-bucket/glacier", "file:///data/glacier"):
        example = example.replace(uri, tmp_path.as_uri())
    exec(compile(example, documented.__name__, "exec"), names)  # noqa: S102 - our own docstring
