"""The README against the code: what it shows is run, what it lists is compared."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.figures import table
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.reports import QUESTIONS
from tests.observations import local_dataset, publish

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
ENGINES = ["DuckDB", "pandas", "Polars", "pyarrow"]

_READ = """
import json, sys
root = sys.argv[1]
{block}
if hasattr(jobs, "fetchall"):
    rows = [dict(zip(jobs.columns, row)) for row in jobs.fetchall()]
elif hasattr(jobs, "to_pylist"):
    rows = jobs.to_pylist()
elif hasattr(jobs, "to_dicts"):
    rows = jobs.to_dicts()
else:
    rows = jobs.astype(object).to_dict("records")
rows = [{{name: row[name] for name in sorted(row)}} for row in rows]
print(json.dumps(sorted(rows, key=lambda row: row["job_id"]), default=lambda value: value.isoformat()))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two observations on two dates, and an uncommitted one."""
    dataset = local_dataset(tmp_path / "records")
    moment = datetime(2026, 11, 22, 23, 59, 59, 123456, tzinfo=timezone.utc)
    publish(dataset, moment, jobs=["a", "b"])
    publish(dataset, moment + timedelta(days=1), jobs=["c"])
    uncommitted = publish(dataset, moment, jobs=["never"])
    Path(dataset.path("observations", uncommitted.observation_id)).unlink()
    return tmp_path / "records"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York"])
def test_the_readmes_query_reads_the_committed_jobs_alike_in_every_engine(
    root: Path, engine: str, time_zone: str
) -> None:
    [block] = [block for block in PYTHON_BLOCKS if block.startswith(f"# {engine}:")]

    run = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _READ.format(block=block), str(root)],
        env={**os.environ, "TZ": time_zone},
        capture_output=True,
        text=True,
        check=True,
    )

    assert [comparable(row) for row in json.loads(run.stdout)] == [comparable(row) for row in expected_rows(root)]


def expected_rows(root: Path) -> list[dict[str, Any]]:
    """Read the committed files one by one, without any engine."""
    rows = []
    for file in sorted((root / "jobs").rglob("*.parquet")):
        if (root / "observations" / file.relative_to(root / "jobs")).exists():
            date = file.parent.name.removeprefix("snapshot_date=")
            rows += [{**row, "snapshot_date": date} for row in pq.ParquetFile(file).read().to_pylist()]
    assert [row["job_id"] for row in rows] == ["a", "b", "c"]
    return rows


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Make moments of one another's equals; not-a-number is what pandas makes of a null."""
    return {name: moment_or_value(value) for name, value in row.items()}


def moment_or_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:", value):
        return datetime.fromisoformat(value).astimezone(timezone.utc)
    return value


@pytest.mark.parametrize("table", TABLES)
def test_the_column_table_is_the_schema(table: str) -> None:
    section = re.search(rf"<!-- columns of {table} -->(.*?)<!-- end of columns -->", README, flags=re.DOTALL)
    assert section is not None
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section[1].splitlines() if "| `" in line]

    assert [(name.strip("`"), kind.strip("`"), null == "yes") for name, kind, null, _ in rows] == [
        (field.name, str(field.type).replace("tz=UTC", "UTC"), field.nullable) for field in TABLES[table]
    ]
    assert all(meaning for *_, meaning in rows)


def test_the_table_of_questions_is_the_questions_that_can_be_asked() -> None:
    section = re.search(r"<!-- questions -->(.*?)<!-- end of questions -->", README, flags=re.DOTALL)
    assert section is not None
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section[1].splitlines() if "| `" in line]

    assert {name.strip("`"): re.findall(r"`(\w+)`", arguments) for name, arguments, _ in rows} == {
        name: list(question.defaults) for name, question in QUESTIONS.items()
    }


def test_every_python_block_is_valid_and_imports_what_exists() -> None:
    assert len(PYTHON_BLOCKS) == 8
    for block in PYTHON_BLOCKS:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("glacier_jobs"):
                module = __import__(node.module, fromlist=["_"])
                assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize(
    ("dag_id", "task_ids"), [("restore", {"start", "wait", "failed_lately", "keep"}), ("fetch", {"job_ids"})]
)
def test_a_dag_in_the_readme_is_accepted_by_airflow(dag_id: str, task_ids: set[str]) -> None:
    [block] = [block for block in PYTHON_BLOCKS if f"def {dag_id}(" in block]
    namespace: dict[str, Any] = {"__name__": "readme"}

    exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 - the README's own code

    assert set(namespace[dag_id]().task_ids) == task_ids


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()

    mentioned = set(re.findall(r"`?make ([a-z-]+)`?", README))

    assert {"demo", "test", "airflow", "drill"} <= mentioned
    for target in mentioned - {"and"}:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_table_of_the_benchmarks_is_the_one_that_they_print() -> None:
    tables = "".join(file.read_text() for file in (ROOT / "include" / "benchmarks").glob("*.py"))
    written = re.findall(r'\bname=f?"(.*)",\n +unit=', tables)
    # Where a name is put together, whatever number stands there.
    names = [".+".join(map(re.escape, re.split(r"\{[^}]*\}", name))) for name in written]
    _, _, after = README.partition("\n| figure ")
    header, _, *rows = f"| figure {after}".partition("\n\n")[0].splitlines()
    shown = [_cells(row)[0] for row in rows]

    assert _cells(header) == _cells(table([]).splitlines()[0])
    assert len(shown) == len(names)
    assert all(any(re.fullmatch(name, row) for row in shown) for name in names)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_file_the_readme_links_to_exists() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_policies_allow_exactly_what_the_hook_calls() -> None:
    policy = json.loads((ROOT / "include/aws/iam-snapshot-policy.json").read_text())
    actions = {action for statement in policy["Statement"] for action in _listed(statement["Action"])}

    assert {action for action in actions if action.startswith("glacier:")} == {"glacier:ListVaults", "glacier:ListJobs"}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
