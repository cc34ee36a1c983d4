from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

HEAVY = ["boto3", "botocore", "duckdb", "numpy", "pandas", "pyarrow", "s3fs", "sqlglot"]


def _ran(program: str, tmp_path: Path, *arguments: str) -> Any:
    """Run a program in a process of its own, and return the JSON of its last line."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "PYTHONPATH": str(ROOT / "plugins"),
        },
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def _newly_imported(program: str, tmp_path: Path, modules: Sequence[str]) -> list[str]:
    """Return which of some modules a program imports beyond what was there before its line ``# here``."""
    before, after = program.split("# here\n")
    watched = f"""
import json, sys
{before}
there = set(sys.modules)
{after}
print(json.dumps([name for name in {list(modules)!r} if name in sys.modules and name not in there]))
"""
    found: list[str] = _ran(watched, tmp_path)
    return found


def test_a_task_that_loads_the_plugin_imports_neither_the_page_nor_a_web_framework(tmp_path: Path) -> None:
    program = """
import airflow.plugins_manager
# here
from glacier_jobs_plugin import GlacierJobsPlugin
GlacierJobsPlugin().external_views
"""
    assert _newly_imported(program, tmp_path, [*HEAVY, "fastapi", "starlette", "glacier_jobs.page"]) == []


def test_the_api_server_imports_nothing_heavy_before_the_first_request(tmp_path: Path) -> None:
    program = """
import airflow.api_fastapi.core_api.security
# here
from glacier_jobs_plugin import GlacierJobsPlugin
[mounted] = GlacierJobsPlugin().fastapi_apps
assert mounted["app"].routes
"""
    assert _newly_imported(program, tmp_path, HEAVY) == []


def test_airflow_finds_the_page_in_the_plugins_folder_and_reports_no_error(tmp_path: Path) -> None:
    program = """
import json
from airflow import plugins_manager
if hasattr(plugins_manager, "_get_plugins"):
    found, errors = plugins_manager._get_plugins()
    views, _ = plugins_manager._get_ui_plugins()
    apps, _ = plugins_manager.get_fastapi_plugins()
else:  # Airflow 3.1
    plugins_manager.initialize_ui_plugins()
    plugins_manager.initialize_fastapi_plugins()
    found, errors = plugins_manager.plugins, plugins_manager.import_errors
    views, apps = plugins_manager.external_views, plugins_manager.fastapi_apps
[plugin] = [plugin for plugin in found if plugin.name == "glacier_jobs"]
print(json.dumps({
    "errors": errors,
    "views": [view for view in views if view["name"] == "Glacier jobs"],
    "prefixes": [app["url_prefix"] for app in apps if app["name"] == "Glacier jobs"],
}))
"""
    found = _ran(program, tmp_path)

    assert found["errors"] == {}
    assert found["prefixes"] == ["/glacier_jobs"]
    [view] = found["views"]
    assert view["destination"] == "nav"
    # Relative to Airflow's own address, which may have a path.
    assert view["href"] == "glacier_jobs/"
