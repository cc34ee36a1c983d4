"""The rules for imports inside the package, and the files that may import Airflow and AWS's SDK."""

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

#: A room is a package or a module. It imports only itself and the rooms of earlier lines.
ROOMS = [
    ["errors", "compat"],
    ["arguments", "aws_errors", "links", "no_retries"],
    ["dataset", "sql", "alerts"],
    ["compaction", "glacier", "history"],
    ["waiting", "snapshot", "reports", "inventory"],
    ["retrieval"],
    ["html_report", "page", "triggers", "events", "uri_fields", "views"],
    ["operators", "sensors"],
    ["hooks", "storage", "provider"],
]

#: The same rule for the modules of the room ``page``.
PAGE = [
    ["page.selection", "page.serialization", "page.security", "page.static_files"],
    ["page.cache", "page.downloads"],
    ["page.overview", "page.pictures"],
    ["page.service"],
    ["page.workers"],
    ["page.api"],
    ["page.app"],
]

#: Only these files import Airflow or AWS's SDK.
KNOW_AIRFLOW_OR_AWS = {
    "alerts.notifier", "aws_errors.error_mapping", "aws_errors.proxies", "compat", "dataset.storage", "events",
    "glacier.client", "glacier.deadlines", "glacier.transport", "links", "operators.initiate", "operators.initiating",
    "operators.inventory", "operators.job_output", "operators.provenance", "operators.snapshot", "page.security",
    "page.service", "retrieval.destinations", "retrieval.s3_target", "sensors", "triggers", "uri_fields",
}  # fmt: skip

#: The modules that a DAG file may import at its top.
LIGHT = [
    "glacier_jobs.events", "glacier_jobs.hooks", "glacier_jobs.operators", "glacier_jobs.sensors",
    "glacier_jobs.snapshot.targets", "glacier_jobs.triggers",
]  # fmt: skip
HEAVY = {"duckdb", "matplotlib", "numpy", "pandas", "pyarrow"}


@pytest.mark.parametrize("lines", [ROOMS, PAGE], ids=["rooms", "page"])
def test_a_room_imports_only_rooms_of_earlier_lines(lines: list[list[str]]) -> None:
    line_of = {room: number for number, rooms in enumerate(lines) for room in rooms}
    offences = [
        f"{importer} imports {imported}, but {room} is not in a line before {own_room}"
        for importer, imported in _imports_inside_the_package()
        for own_room, room in [(_room(importer, line_of), _room(imported, line_of))]
        if own_room and room and own_room != room and line_of[room] >= line_of[own_room]
    ]

    assert offences == []


def test_every_module_has_a_room() -> None:
    line_of = {room: number for number, rooms in enumerate([*ROOMS, *PAGE]) for room in rooms}

    modules = [module for module in _modules() if not module.endswith("__init__")]

    assert {_room(module, line_of) for module in modules} == {*line_of} - {"page"}


def test_no_module_imports_from_the_exports_for_other_programs() -> None:
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    offences = [(importer, imported) for importer, imported in _imports_inside_the_package() if imported in packages]

    assert offences == []


def test_only_these_files_import_airflow_and_aws() -> None:
    importing = {
        module
        for module, file in _modules().items()
        if {name.split(".")[0] for name in _imports(file)} & {"airflow", "boto3", "botocore"}
    }

    assert importing == KNOW_AIRFLOW_OR_AWS


def test_the_package_imports_neither_the_local_aws_nor_the_dags_nor_the_tests() -> None:
    roots = {name.split(".")[0] for file in _modules().values() for name in _imports(file)}

    assert not roots & {"demo", "local_airflow", "local_aws", "moto", "tests"}


def test_dag_files_import_only_light_modules() -> None:
    program = f"""
import importlib, sys
for module in {LIGHT}:
    importlib.import_module(module)
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


def _modules() -> dict[str, Path]:
    """Return all modules by their names below ``glacier_jobs``, a package's own among them: ``reports.__init__``."""
    return {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts): file
        for file in PACKAGE.rglob("*.py")
        if file != PACKAGE / "__init__.py"
    }


def _room(module: str, line_of: dict[str, int]) -> str | None:
    """Return the longest name of a room with which the module's name begins."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in line_of), None)


def _imports_inside_the_package() -> Iterator[tuple[str, str]]:
    """Yield pairs (importing module, imported module). A name that a package itself exports counts as the package."""
    modules = _modules()
    ours = {*modules, *(file.parent.name for file in PACKAGE.glob("*/__init__.py"))}
    for importer, file in modules.items():
        for name in _imports(file):
            if name.startswith("glacier_jobs."):
                inside = name.removeprefix("glacier_jobs.")
                found = inside if inside in ours else inside.rpartition(".")[0]
                if found in ours:
                    yield importer, found


def _imports(file: Path) -> Iterator[str]:
    """Yield the dotted name of each import in a file, at any place."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)
