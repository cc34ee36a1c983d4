"""The documents match the code: their examples run, and their lists are compared with the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import duckdb
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG
from botocore import xform_name

from benchmarks.figures import table
from glacier_jobs.compaction import compact_closed_days
from glacier_jobs.dataset.cutoff import SETTLES_AFTER, closes_at
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.dataset.uris import check_uri
from glacier_jobs.history.generations import JOBS_LATEST
from glacier_jobs.html_report.build import make_report
from glacier_jobs.reports.questions import LOOKUPS, QUESTIONS, Question
from glacier_jobs.snapshot.targets import parse_targets
from glacier_jobs.storage import open_dataset
from local_aws.client import Control
from mwaa.constraints import pinned
from tests.conftest import Connect
from tests.descriptions import aws_date
from tests.observations import expire, local_dataset, publish
from tests.test_rooms import PACKAGE, ROOMS
from tests.versions import DagSerialization

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "include" / "docs"
RECORDS = ROOT / "include" / "decisions"

#: Every document by its path from the root.
PAGES = {
    str(file.relative_to(ROOT)): file.read_text()
    for file in [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), *sorted(RECORDS.glob("*.md"))]
}

README = PAGES["README.md"]
CONTRIBUTING = PAGES["CONTRIBUTING.md"]
PIPELINES, QUERYING, QUESTIONS_PAGE, BENCHMARKS, HOW_IT_IS_BUILT, BI_TOOLS = (
    PAGES[f"include/docs/{name}.md"]
    for name in ("pipelines", "querying", "questions", "benchmarks", "how-it-is-built", "bi-tools")
)

MWAA, AIRFLOW_VERSIONS, RETRIEVING = (
    PAGES[f"include/docs/{name}.md"] for name in ("amazon-mwaa", "airflow-versions", "retrieving")
)

#: The exact versions for each image of Amazon MWAA: version of Airflow -> package -> version.
MWAA_PINS = {
    file.stem.removeprefix("constraints-"): {name: line.partition("==")[2] for name, line in pinned(file).items()}
    for file in sorted((ROOT / "include" / "mwaa").glob("constraints-*.txt"))
}

ENGINES = ["DuckDB", "pandas", "Polars", "pyarrow"]

_READ = """
import json, sys
for root in sys.argv[2:]:
    names = {"root": root}
    exec(sys.argv[1], names)
    jobs = names["jobs"]
    if hasattr(jobs, "fetchall"):
        rows = [dict(zip(jobs.columns, row)) for row in jobs.fetchall()]
    elif hasattr(jobs, "to_pylist"):
        rows = jobs.to_pylist()
    elif hasattr(jobs, "to_dicts"):
        rows = jobs.to_dicts()
    else:
        rows = jobs.astype(object).to_dict("records")
    rows = [{name: row[name] for name in sorted(row)} for row in rows]
    print(json.dumps(sorted(rows, key=lambda row: row["job_id"]), default=lambda value: value.isoformat()))
"""


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def between(text: str, begin: str, end: str) -> str:
    """Return the text between two comments of a page. Each comment must occur exactly once."""
    [found] = re.findall(rf"<!-- {begin} -->\n(.*?)<!-- {end} -->", text, flags=re.DOTALL)
    assert isinstance(found, str)
    return found


def table_rows(text: str) -> list[list[str]]:
    """Return the rows of a Markdown table without its header."""
    _, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset with observations on two dates, and an uncommitted observation."""
    dataset = local_dataset(tmp_path / "records")
    publish(dataset, MOMENT, jobs=["a", "b"])
    publish(dataset, MOMENT + timedelta(days=1), jobs=["c"])
    uncommitted = publish(dataset, MOMENT, jobs=["never"])
    Path(dataset.path("observations", uncommitted.observation_id)).unlink()
    return tmp_path / "records"


MOMENT = datetime(2026, 11, 22, 23, 59, 59, 123456, tzinfo=timezone.utc)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York"])
def test_each_engines_example_reads_the_same_committed_jobs_whatever_is_compacted(
    root: Path, engine: str, time_zone: str
) -> None:
    [files] = python_blocks(between(QUERYING, "files of a table", "end of files of a table"))
    [block] = [block for block in python_blocks(QUERYING) if block.startswith(f"# {engine}:")]
    expected = [comparable(row) for row in expected_rows(root)]
    states = [root, *compacted_copies(root)]

    run = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", _READ, files + block, *map(str, states)],
        env={**os.environ, "TZ": time_zone},
        capture_output=True,
        text=True,
        check=True,
    )

    found = [[comparable(row) for row in json.loads(line)] for line in run.stdout.splitlines()]
    assert dict(zip(states, found, strict=True)) == dict.fromkeys(states, expected)


def compacted_copies(root: Path) -> Iterator[Path]:
    """Yield copies of the dataset during and after the compaction of its two days, and the expiry of raw files."""
    days = [MOMENT.date(), MOMENT.date() + timedelta(days=1)]
    for name, compacted, expired in (
        ("interrupted", 1, 0),
        ("one-day", 1, 0),
        ("both-days", 2, 0),
        ("one-day-expired", 1, 1),
        ("one-of-both-expired", 2, 1),
        ("both-expired", 2, 2),
    ):
        copy = root.with_name(name)
        shutil.copytree(root, copy)
        dataset = local_dataset(copy)
        compact_closed_days(dataset, now=closes_at(days[compacted - 1]) + SETTLES_AFTER)
        if name == "interrupted":
            Path(dataset.compacted_path("observations", days[0])).unlink()
        if expired:
            expire(dataset, until=days[expired - 1])
        yield copy


_PRINT_ANSWERS = """
import json
answers = {
    "duckdb": with_duckdb.to_pylist(),
    "pandas": with_pandas.to_dict("records"),
    "polars": with_polars.to_dicts(),
    "pyarrow": with_pyarrow.to_pylist(),
    "reports": with_reports.select(["vault_name", "job_id"]).to_pylist(),
}
print(json.dumps(answers))
"""


def test_the_block_about_s3_runs_as_it_stands_with_each_engine(local_aws: Control, connect: Connect) -> None:
    [block] = python_blocks(between(QUERYING, "query on S3", "end of query on S3"))
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket="my-bucket")
    dataset = open_dataset(f"s3://{connect('aws_archive')}@my-bucket/glacier")
    failed = {"StatusCode": "Failed", "Completed": True}
    publish(dataset, datetime(2026, 11, 22, 23, tzinfo=timezone.utc), jobs=["a", {"JobId": "b", **failed}])
    uncommitted = publish(dataset, datetime(2026, 11, 22, 22, tzinfo=timezone.utc), jobs=[{"JobId": "c", **failed}])
    dataset.filesystem.rm(dataset.path("observations", uncommitted.observation_id))

    for expired in (False, True):
        if expired:
            assert compact_closed_days(dataset, now=closes_at(MOMENT.date()) + SETTLES_AFTER)
            expire(dataset, until=MOMENT.date())
        run = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", block + _PRINT_ANSWERS],
            env={**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "TZ": "America/New_York"},
            capture_output=True,
            text=True,
            check=False,
        )

        assert (run.returncode, run.stderr) == (0, "")
        answers = json.loads(run.stdout.splitlines()[-1])
        assert list(answers) == ["duckdb", "pandas", "polars", "pyarrow", "reports"]
        assert all(rows == [{"vault_name": "photos", "job_id": "b"}] for rows in answers.values())


def expected_rows(root: Path) -> list[dict[str, Any]]:
    """Read the committed files one by one without a query engine."""
    rows = []
    for file in sorted((root / "jobs").rglob("*.parquet")):
        if (root / "observations" / file.relative_to(root / "jobs")).exists():
            date = file.parent.name.removeprefix("snapshot_date=")
            rows += [{**row, "snapshot_date": date} for row in pq.ParquetFile(file).read().to_pylist()]
    assert [row["job_id"] for row in rows] == ["a", "b", "c"]
    return rows


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Normalize a row: engines represent times differently, and pandas represents null as not-a-number."""
    return {name: moment_or_value(value) for name, value in row.items()}


def moment_or_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:", value):
        return datetime.fromisoformat(value).astimezone(timezone.utc)
    return value


@pytest.mark.parametrize("name", TABLES)
def test_the_column_table_is_the_schema(name: str) -> None:
    rows = table_rows(between(QUERYING, f"columns of {name}", "end of columns"))

    assert [(column.strip("`"), kind.strip("`"), null == "yes") for column, kind, null, _ in rows] == [
        (field.name, str(field.type).replace("tz=UTC", "UTC"), field.nullable) for field in TABLES[name]
    ]
    assert all(meaning for *_, meaning in rows)


def bi_query() -> str:
    """Return the query on the page about BI tools."""
    block = between(BI_TOOLS, "query of a BI tool", "end of query of a BI tool")
    return block.strip().removeprefix("```sql").removesuffix("```")


def test_the_column_table_of_jobs_latest_is_that_of_its_view_and_its_files() -> None:
    rows = table_rows(between(BI_TOOLS, "columns of jobs_latest", "end of columns"))

    assert [(column.strip("`"), kind.strip("`"), null == "yes") for column, kind, null, _ in rows] == [
        (
            "as_of" if field.name == "outcome_as_of" else field.name,
            str(field.type).replace("tz=UTC", "UTC"),
            field.nullable,
        )
        for field in JOBS_LATEST
    ]
    assert all(meaning for *_, meaning in rows)


def test_the_commands_and_the_query_of_the_page_about_bi_tools_run(root: Path, tmp_path: Path) -> None:
    dataset, file = local_dataset(root), tmp_path / "glacier.duckdb"
    now = datetime.now(timezone.utc)
    ended = aws_date(now - timedelta(hours=1))
    for job_id in ("first", "second"):
        done = {"JobId": job_id, "StatusCode": "Succeeded", "Completed": True, "CompletionDate": ended}
        publish(dataset, now, jobs=[{**done, "ArchiveSizeInBytes": 7}])
    make_report(dataset, "records", now=now)
    printed = [
        block for block in re.findall(r"```console\n(.*?)```", BI_TOOLS, re.DOTALL) if "glacier_jobs.views" in block
    ]
    [[in_duckdb, expected], [in_athena]] = [block.splitlines() for block in printed]
    query = bi_query()

    def run(line: str) -> str:
        command = line.removeprefix("$ python -m ").replace("/data/glacier", str(root)).replace(file.name, str(file))
        arguments = [sys.executable, "-m", *command.partition(" > ")[0].split()]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert run(in_duckdb).strip().replace(str(file), file.name) == expected
    assert "location 's3://my-bucket/glacier/jobs/'" in run(in_athena)
    with duckdb.connect(file) as database:
        [found] = database.execute(query).fetchall()
    assert found[:5] == ("123456789012", "us-east-1", "photos", 2, 14)


@pytest.mark.parametrize(("name", "questions"), [("questions", QUESTIONS), ("lookups", LOOKUPS)])
def test_a_table_of_questions_lists_all_available_questions(name: str, questions: Mapping[str, Question]) -> None:
    rows = table_rows(between(QUESTIONS_PAGE, name, f"end of {name}"))

    assert {question.strip("`"): re.findall(r"`(\w+)`", arguments) for question, arguments, _ in rows} == {
        question: list(declared.defaults) for question, declared in questions.items()
    }


@pytest.mark.parametrize(
    ("page", "block"), [(page, block) for page, text in PAGES.items() for block in python_blocks(text)]
)
def test_a_python_block_is_valid_and_imports_what_exists(page: str, block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("glacier_jobs"):
            module = __import__(node.module, fromlist=["_"])
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(
    ("text", "dag_id", "task_ids"),
    [
        (README, "wait_and_keep", {"wait", "keep"}),
        (PIPELINES, "restore", {"start", "wait", "store", "keep"}),
        (PIPELINES, "fetch", {"fetch_outputs"}),
        (PIPELINES, "start_retrieval", {"start"}),
        (RETRIEVING, "get_one_file_back", {"start", "store"}),
    ],
    ids=["wait_and_keep", "restore", "fetch", "start_retrieval", "get_one_file_back"],
)
def test_an_example_dag_is_accepted_by_airflow(text: str, dag_id: str, task_ids: set[str]) -> None:
    [block] = [block for block in python_blocks(text) if f"def {dag_id}(" in block]
    namespace: dict[str, Any] = {"__name__": "documents"}

    exec(compile(block, "documents", "exec"), namespace)  # noqa: S102 - code from our documents

    dag: DAG = namespace[dag_id]()
    DagSerialization.serialize_dag(dag)
    assert set(dag.task_ids) == task_ids


def test_the_readmes_first_screen_is_a_sentence_installation_and_eight_lines_of_use() -> None:
    screen, _, _ = README.partition("<!-- output of make demo -->")
    [use] = python_blocks(screen)

    assert len(screen.splitlines()) <= 45
    assert len([line for line in use.splitlines() if line]) == 8
    assert "$ pip install -r requirements.txt" in screen
    assert screen.index("$ pip install") < screen.index(use) < screen.index("$ make demo") < screen.index("$ make test")


def test_the_readme_links_every_page() -> None:
    assert {f"include/docs/{file.name}" for file in DOCS.glob("*.md")} <= set(_paths_linked("README.md"))


def test_every_decision_record_is_linked_in_order() -> None:
    linked = [path for path in _paths_linked("include/docs/how-it-is-built.md") if path.startswith("../decisions/")]

    assert linked == [f"../decisions/{file.name}" for file in sorted(RECORDS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_of_a_page_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()

    mentioned = set(re.findall(r"(?:`|\$ )make\s+([a-z-]+)", PAGES[page]))

    assert [target for target in sorted(mentioned) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_runs_exists(page: str) -> None:
    mentioned = set(re.findall(r"python -m ([\w.]+)", PAGES[page]))

    assert [module for module in sorted(mentioned) if importlib.util.find_spec(module) is None] == []


def test_the_tables_of_versions_list_the_images_of_mwaa_with_the_versions_in_their_constraints() -> None:
    pins = {
        version: (packages["apache-airflow-providers-amazon"], packages["boto3"])
        for version, packages in MWAA_PINS.items()
    }
    images, _, _ = MWAA.partition("\n[What differs")
    tested, _, _ = AIRFLOW_VERSIONS.partition("\n## What differs")

    assert len(pins) >= 3
    assert {row[0]: (row[2], row[3]) for row in table_rows(images)} == pins
    assert {row[0].partition(",")[0]: row[1] for row in table_rows(tested) if "MWAA" in row[0]} == {
        version: provider for version, (provider, _) in pins.items()
    }


def test_the_variables_on_mwaa_are_accepted_and_name_no_connection() -> None:
    variables = dict(re.findall(r"^ +\| `(glacier_jobs_\w+)` \| `(.+)` \|$", MWAA, flags=re.MULTILINE))

    [target] = parse_targets(variables["glacier_jobs_targets"])

    assert target["aws_conn_id"] is None
    assert "@" not in check_uri(variables["glacier_jobs_dataset_uri"], "dataset_uri")


def test_the_aws_commands_of_the_pages_have_operations_and_options_of_aws() -> None:
    session = botocore.session.get_session()
    # Those of `aws s3` are no operations of AWS's API.
    commands = [command for command in _aws_commands() if command[0] != "s3"]

    assert {service for service, *_ in commands} >= {"ec2", "iam", "mwaa", "s3api"}
    for service, operation, *arguments in commands:
        model = session.get_service_model("s3" if service == "s3api" else service)
        [name] = [name for name in model.operation_names if xform_name(name, "-") == operation]
        shape = model.operation_model(name).input_shape
        assert shape is not None
        given = {argument for argument in arguments if argument.startswith("--")} - {"--query", "--output"}
        assert given <= {f"--{xform_name(member, '-')}" for member in shape.members}
        assert given >= {f"--{xform_name(member, '-')}" for member in shape.required_members}
        files = [argument.removeprefix("file://") for argument in arguments if argument.startswith("file://")]
        assert [file for file in files if not (ROOT / file).is_file()] == []


def _aws_commands() -> list[list[str]]:
    """Return the words of each command `aws` in the pages, without `aws` itself."""
    text = "\n".join(PAGES.values()).replace("\\\n", " ")
    return [shlex.split(command) for command in re.findall(r"^ *\$ aws (.*)$", text, flags=re.MULTILINE)]


def test_the_descriptions_of_make_help_are_in_one_column() -> None:
    make = shutil.which("make")
    assert make is not None

    # Without the lines that a make prints which another make started.
    command = [make, "--no-print-directory", "help"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603 - a fixed command

    assert len(lines) >= 10
    starts = {re.match(r"  make [a-z-]+ {2,}", line) for line in lines}
    assert len({match and match.end() for match in starts}) == 1


def test_the_comparison_of_make_targets_finds_the_known_targets() -> None:
    mentioned = {target for text in PAGES.values() for target in re.findall(r"(?:`|\$ )make\s+([a-z-]+)", text)}

    assert {"demo", "test", "airflow", "drill", "bench", "bench-reports", "page"} <= mentioned


def test_the_table_of_the_benchmarks_has_the_rows_that_they_print() -> None:
    tables = "".join(file.read_text() for file in (ROOT / "include" / "benchmarks").glob("*.py"))
    written = re.findall(r'\bname=f?"(.*)",\n +unit=', tables)
    # Names with placeholders match any value.
    names = [".+".join(map(re.escape, re.split(r"\{[^}]*\}", name))) for name in written]
    _, _, after = BENCHMARKS.partition("\n| figure ")
    header, _, *rows = f"| figure {after}".partition("\n\n")[0].splitlines()
    shown = [_cells(row)[0] for row in rows]

    assert _cells(header) == _cells(table([]).splitlines()[0])
    assert len(shown) == len(names)
    assert all(any(re.fullmatch(name, row) for row in shown) for name in names)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_has_an_existing_target(page: str) -> None:
    folder = (ROOT / page).parent

    assert [link for link in _links(page) if not _target_exists(folder, ROOT / page, link)] == []


def _links(page: str) -> list[str]:
    """Return the targets of a page's links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", PAGES[page])


def _paths_linked(page: str) -> list[str]:
    return [link.partition("#")[0] for link in _links(page)]


def _target_exists(folder: Path, page: Path, link: str) -> bool:
    if link.startswith("https://"):
        return True
    path, _, heading = link.partition("#")
    target = folder / path if path else page
    return target.exists() and (not heading or heading in _anchors(target.read_text()))


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub creates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_name_of_the_code_in_a_page_exists(page: str) -> None:
    mentioned = re.findall(r"`([\w/-]+\.(?:py|sql|ts|tsx|toml))(?:::([\w.]+))?`", PAGES[page])

    assert [(path, name) for path, name in mentioned if not _is_defined(path, name)] == []


def _is_defined(path: str, name: str) -> bool:
    """Return whether a file exists below the root or the package, and defines a name."""
    [file, *_] = [*(folder / path for folder in (PACKAGE, ROOT) if (folder / path).exists()), None]
    return file is not None and (not name or name in set(_defined(ast.parse(file.read_text()))))


def _defined(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in _defined(node))
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_each_walk_through_the_code_names_at_least_five_functions() -> None:
    _, _, walks = CONTRIBUTING.partition("## Three walks through the code")
    walks, _, _ = walks.partition("\n## ")

    for walk in walks.split("\n### ")[1:]:
        assert len(re.findall(r"`[\w/]+\.py::[\w.]+`", walk)) >= 5


def test_the_map_and_the_architecture_list_all_rooms() -> None:
    rows = table_rows(between(CONTRIBUTING, "rooms", "end of rooms"))
    lines = between(HOW_IT_IS_BUILT, "rooms", "end of rooms").splitlines()[1:-1]

    assert [(int(level), room.strip("`")) for level, room, _ in rows] == [
        (level, room) for level, rooms in enumerate(ROOMS, start=1) for room in rooms
    ]
    assert all(answers for *_, answers in rows)
    assert [line.split(", ") for line in lines] == ROOMS


def test_the_glossary_is_short() -> None:
    _, _, glossary = CONTRIBUTING.partition("## Glossary")
    terms = [term for term, _ in table_rows(glossary)]

    assert 10 <= len(terms) <= 20
    assert len(set(terms)) == len(terms)


def test_the_policies_allow_exactly_what_the_hook_calls() -> None:
    policy = json.loads((ROOT / "include/aws/iam-snapshot-policy.json").read_text())
    actions = {action for statement in policy["Statement"] for action in _listed(statement["Action"])}

    assert {action for action in actions if action.startswith("glacier:")} == {"glacier:ListVaults", "glacier:ListJobs"}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


# Airflow's own warning, when object storage searches the plugins for readers of its lineage.
@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
def test_the_documented_dag_fetches_each_output_once(connect: Connect, local_aws: Control) -> None:
    [block] = [block for block in python_blocks(PIPELINES) if "def fetch(" in block]
    connect("aws_archive")
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="my-bucket")
    jobs = [{"JobId": job_id, "Action": "InventoryRetrieval", "StatusCode": "Succeeded"} for job_id in "ab"]
    local_aws.add_jobs("photos", jobs)
    namespace: dict[str, Any] = {"__name__": "documents"}
    exec(compile(block, "documents", "exec"), namespace)  # noqa: S102 - code from our documents
    fetch_outputs = namespace["fetch"]().get_task("fetch_outputs").python_callable

    fetch_outputs("photos")
    local_aws.add_jobs("photos", [{**jobs[0], "JobId": "c"}])
    fetch_outputs("photos")

    sizes = {each["Key"]: each["Size"] for each in s3.list_objects_v2(Bucket="my-bucket")["Contents"]}
    assert {key for key, size in sizes.items() if size > 0} == {f"outputs/photos/{job_id}" for job_id in "abc"}
    assert {key for key, size in sizes.items() if not size} == {f"outputs/photos/{job_id}.fetched" for job_id in "abc"}
    assert [request["item_id"] for request in local_aws.requests("GetJobOutput")] == ["a", "b", "c"]
