"""The wheel contains the whole package, and Airflow finds it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from datetime import datetime, timezone
from email import message_from_string
from email.message import Message
from pathlib import Path

import airflow
import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from trove_classifiers import classifiers

from glacier_jobs.provider import get_provider_info
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from a copy, so that the build neither depends on nor changes this checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "plugins" / "glacier_jobs",
        source / "plugins" / "glacier_jobs",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "plugins" / "glacier_jobs_plugin.py", source / "plugins")
    # Use the installed build backend: an isolated build would download it from a package registry.
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(source / "dist"),
        str(source),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 - our own command
    [built] = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The wheel's core metadata, which pip and package indexes read."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def site_packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages folder with only the wheel installed."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    [packages] = environment.glob("lib/python*/site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install"]
    subprocess.run([*command, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)  # noqa: S603 - our own command
    return packages


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    package = ROOT / "plugins" / "glacier_jobs"
    expected = {
        str(file.relative_to(package.parent))
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    expected.add("glacier_jobs_plugin.py")

    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert held == expected
    assert {"glacier_jobs/py.typed", "glacier_jobs/page/static/page.js"} <= held


def test_the_wheel_requires_what_requirements_txt_names_for_the_package(metadata: Message) -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    named = {str(Requirement(line)) for line in lines if line and not line.startswith(("#", "pytest"))}

    required = {str(Requirement(requirement)) for requirement in metadata.get_all("Requires-Dist", [])}

    assert required == named


def test_the_classifiers_exist_and_name_the_pythons_that_the_wheel_allows(metadata: Message) -> None:
    given = metadata.get_all("Classifier", [])
    allowed = SpecifierSet(metadata["Requires-Python"])

    assert [classifier for classifier in given if classifier not in classifiers] == []
    prefix = "Programming Language :: Python :: 3."
    assert [each.removeprefix(prefix) for each in given if each.startswith(prefix)] == [
        str(minor) for minor in range(30) if f"3.{minor}.0" in allowed
    ]


def test_the_files_of_the_wheel_have_the_date_that_the_provider_names(wheel: Path) -> None:
    moment = datetime.fromtimestamp(get_provider_info()["source-date-epoch"], timezone.utc)

    dates = {entry.date_time for entry in zipfile.ZipFile(wheel).infolist()}

    assert dates == {moment.timetuple()[:6]}


@pytest.mark.parametrize(
    ("schema", "requires"),
    [
        # By which Airflow checks the result of `get_provider_info`.
        ("provider_info.schema.json", {"name", "description"}),
        # Of the file that describes a provider in Airflow's repository. It allows no other keys.
        ("provider.yaml.schema.json", {"package-name", "state", "source-date-epoch", "versions"}),
    ],
)
def test_the_provider_is_valid_by_each_schema_of_airflow(schema: str, requires: set[str]) -> None:
    rules = json.loads((Path(airflow.__file__).parent / schema).read_text())

    jsonschema.validators.validator_for(rules)(rules).validate(get_provider_info())

    assert requires <= set(rules["required"])


def test_airflow_lists_the_installed_wheel_among_its_providers(site_packages: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "airflow", "providers", "list", "--output", "json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(site_packages)},
    )

    providers = {each["package_name"]: each for each in json.loads(ended.stdout[ended.stdout.index("[{") :])}
    assert providers["airflow-glacier-jobs"]["version"] == _installed_version(site_packages)


def _installed_version(site_packages: Path) -> str:
    [dist_info] = site_packages.glob("airflow_glacier_jobs-*.dist-info")
    return dist_info.name.removesuffix(".dist-info").partition("-")[2]


def test_airflow_finds_the_page_in_the_installed_wheel(site_packages: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "airflow", "plugins", "--output", "json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "none"),
            "PYTHONPATH": str(site_packages),
        },
    )

    plugins = json.loads(ended.stdout[ended.stdout.index("[{") :])
    [plugin] = [plugin for plugin in plugins if plugin["name"] == "glacier_jobs"]
    assert "airflow-glacier-jobs" in plugin["source"]
