"""Later modules may import earlier ones, never the reverse; and what Airflow parses often imports nothing heavy."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "plugins" / "glacier_jobs"

#: Each module may import those that stand before it, lines from top to bottom.
ORDER = [
    *("errors", "job", "arguments", "aws_errors", "targets", "wording"),
    *("paging", "polling", "records", "verdict", "schema", "sights", "memory"),
    *("reading", "days", "dataset", "publishing", "writer", "storage"),
    *("engine", "folding", "listings", "history", "sources", "reports"),
    *("alerts", "axis_limits", "charts", "report_page", "report_files", "report", "news", "notifying"),
    *("exchanges", "next_pages", "calls", "hooks", "snapshot", "job_ids"),
    *("looking", "sweeps", "events", "links"),
    "triggers",
    *("sensors", "operators"),
    "provider",
]

#: The edge, which speaks with Airflow or AWS. All others compute and know neither.
EDGE = {
    *("aws_errors", "calls", "events", "exchanges", "hooks", "links", "next_pages", "notifying", "operators"),
    *("sensors", "storage", "triggers"),
}

#: What a DAG file may import at its top.
LIGHT = ["hooks", "operators", "sensors", "targets", "triggers"]
HEAVY = {"duckdb", "matplotlib", "numpy", "pandas", "pyarrow"}


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__")


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_earlier_ones(module: str) -> None:
    ours = {name.split(".")[1] for name in _imports(PACKAGE / f"{module}.py") if name.startswith("glacier_jobs.")}

    assert ours <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", [module for module in ORDER if module not in EDGE])
def test_a_module_of_the_middle_knows_neither_airflow_nor_boto(module: str) -> None:
    roots = {name.split(".")[0] for name in _imports(PACKAGE / f"{module}.py")}

    assert not roots & {"airflow", "boto3", "botocore"}


def test_the_package_imports_neither_the_local_aws_nor_the_dags_nor_the_tests() -> None:
    roots = {name.split(".")[0] for file in PACKAGE.rglob("*.py") for name in _imports(file)}

    assert not roots & {"demo", "local_airflow", "local_aws", "moto", "tests"}


def test_what_a_dag_file_imports_is_light() -> None:
    program = f"""
import importlib, sys
for module in {LIGHT}:
    importlib.import_module(f"glacier_jobs.{{module}}")
    assert not {HEAVY} & sys.modules.keys(), module
"""

    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "plugins")},
        check=False,
    )

    assert ended.returncode == 0, ended.stderr


def _imports(file: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module or ""
