"""``make mwaa`` builds the folders that Amazon MWAA takes, and replaces only what it has built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from local_airflow.environment import clean_environment
from local_aws.client import Control
from mwaa.__main__ import main
from mwaa.build import CannotBuild, build, requirements_for, versions
from tests.conftest import ROOT

VERSION = "3.2.1"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the sources, which a test may change."""
    project = tmp_path / "project"
    for name in ("plugins", "dags"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "include" / "mwaa").mkdir(parents=True)
    for version in ("3.10.0", VERSION):
        (project / "include" / "mwaa" / f"constraints-{version}.txt").write_text(f"apache-airflow=={version}\n")
    shutil.copy(ROOT / "requirements.txt", project)
    return project


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "dist" / "mwaa"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder by its path."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_folder_has_plugins_requirements_dags_and_constraints(project: Path, output: Path) -> None:
    folder = build(project, VERSION, output)

    assert folder == output / VERSION
    dags = {f"dags/{file.name}" for file in (ROOT / "dags").glob("*.py")}
    assert len(dags) == 4
    assert contents(folder).keys() == dags | {"plugins.zip", "requirements.txt", f"dags/constraints-{VERSION}.txt"}
    assert (folder / "dags" / f"constraints-{VERSION}.txt").read_text() == f"apache-airflow=={VERSION}\n"
    for dag in dags:
        assert (folder / dag).read_bytes() == (ROOT / dag).read_bytes()


def test_plugins_zip_has_the_files_of_the_plugins_folder_at_its_top_level(project: Path, output: Path) -> None:
    for name in ("glacier_jobs/__pycache__/errors.cpython-312.pyc", "glacier_jobs/.errors.py.swp", ".idea/settings"):
        (project / "plugins" / name).parent.mkdir(exist_ok=True)
        (project / "plugins" / name).write_bytes(b"not a source")

    with zipfile.ZipFile(build(project, VERSION, output) / "plugins.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}

    assert files == contents(ROOT / "plugins")
    assert {".airflowignore", "glacier_jobs_plugin.py", "glacier_jobs/page/static/page.js"} <= files.keys()


def test_the_package_is_imported_from_the_unzipped_plugins(project: Path, output: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(project, VERSION, output) / "plugins.zip") as archive:
        archive.extractall(tmp_path / "plugins")

    script = "import glacier_jobs.operators, glacier_jobs.sensors, glacier_jobs_plugin; print(glacier_jobs.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "plugins")}
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip().endswith(str(tmp_path / "plugins" / "glacier_jobs" / "__init__.py"))


def test_the_same_sources_give_the_same_bytes(project: Path, output: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    # Another order of creation, other times and other permissions.
    for file in sorted(filter(Path.is_file, project.rglob("*")), reverse=True):
        copied = copy / file.relative_to(project)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
        copied.chmod(0o600)
        os.utime(copied, (10**9, 10**9))

    first, second = build(project, VERSION, output), build(copy, VERSION, tmp_path / "other")

    assert contents(first) == contents(second)
    with zipfile.ZipFile(first / "plugins.zip") as archive:
        assert archive.namelist() == sorted(archive.namelist()), "the order of the file system"


def test_everybody_may_read_the_files_of_plugins_zip(project: Path, output: Path) -> None:
    (project / "plugins" / "glacier_jobs" / "errors.py").chmod(0o600)

    with zipfile.ZipFile(build(project, VERSION, output) / "plugins.zip") as archive:
        modes = {oct(entry.external_attr >> 16) for entry in archive.infolist()}

    assert modes == {"0o100644"}


def test_requirements_are_the_constraint_line_and_the_requirements_of_the_wheel(project: Path, output: Path) -> None:
    requirements = (build(project, VERSION, output) / "requirements.txt").read_text().splitlines()

    assert requirements[0] == f'--constraint "/usr/local/airflow/dags/constraints-{VERSION}.txt"'
    [dependencies] = re.findall(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert sorted(requirements[1:]) == sorted(re.findall(r'"(.+)"', dependencies))


def test_comments_and_what_only_tests_need_are_left_out_of_the_requirements(tmp_path: Path) -> None:
    given = tmp_path / "requirements.txt"
    given.write_text("# Comment\nduckdb>=1.4  # why\n\nPyTest>=8.4\npytest-like[a]==1 ; python_version < '4'\n")

    written = requirements_for("3.0.6", given).splitlines()

    assert written[1:] == ["duckdb>=1.4", "pytest-like[a]==1 ; python_version < '4'"]


@pytest.mark.parametrize("line", ["-r other.txt", "--index-url https://example.com", "-c constraints.txt"])
def test_requirements_with_options_are_rejected(tmp_path: Path, line: str) -> None:
    given = tmp_path / "requirements.txt"
    given.write_text(f"duckdb\n{line}\n")

    with pytest.raises(CannotBuild, match=re.escape(f"requirements.txt contains '{line}'")):
        requirements_for("3.0.6", given)


def test_the_versions_are_those_of_the_constraints_files_in_their_order(project: Path) -> None:
    (project / "include" / "mwaa" / "constraints-notes.txt").touch()

    assert versions(project) == [VERSION, "3.10.0"]


def test_an_older_build_is_replaced_as_a_whole(project: Path, output: Path) -> None:
    (project / "dags" / "removed_later.py").write_text("removed = True\n")
    build(project, VERSION, output)
    (project / "dags" / "removed_later.py").unlink()
    (project / "plugins" / "glacier_jobs" / "errors.py").write_text("changed = True\n")

    folder = build(project, VERSION, output)

    assert not (folder / "dags" / "removed_later.py").exists()
    with zipfile.ZipFile(folder / "plugins.zip") as archive:
        assert archive.read("glacier_jobs/errors.py") == b"changed = True\n"
    assert {path.name for path in output.iterdir()} == {VERSION, f"{VERSION}.sha256"}


def test_a_bucket_has_the_files_of_another_version_after_a_build_and_a_sync(
    project: Path, output: Path, local_aws: Control
) -> None:
    """``aws s3 sync`` skips a file of the same size, unless it is newer than the one in the bucket."""
    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="environment")
    constraints = project / "include" / "mwaa"
    (constraints / "constraints-3.3.1.txt").write_text("apache-airflow==3.3.1\n")
    for version in (VERSION, "3.3.1"):
        build(project, VERSION, output), build(project, "3.3.1", output)

        _sync(output / version, local_aws)

        uploaded = s3.get_object(Bucket="environment", Key="requirements.txt")["Body"].read()
        assert uploaded == (output / version / "requirements.txt").read_bytes()


def _sync(folder: Path, local_aws: Control) -> None:
    aws = str(Path(sys.executable).with_name("aws"))
    environment = {**clean_environment(), **local_aws.environment()}
    subprocess.run([aws, "s3", "sync", str(folder), "s3://environment/"], env=environment, check=True, timeout=120)  # noqa: S603 - our own command


@pytest.mark.parametrize("name", ["dags/my_dag.py", "notes.txt", "dags/glacier_jobs_report.py"])
def test_a_folder_with_a_foreign_or_changed_file_is_kept(project: Path, output: Path, name: str) -> None:
    folder = build(project, VERSION, output)
    (folder / name).write_text("mine\n")
    before = contents(output)

    with pytest.raises(CannotBuild, match=f"not made by make mwaa, or changed since: .*{name}; move it away"):
        build(project, VERSION, output)

    assert contents(output) == before
    (folder / name).unlink()
    build(project, VERSION, output)


def test_a_folder_that_no_build_has_made_is_kept(project: Path, output: Path) -> None:
    (output / VERSION).mkdir(parents=True)
    (output / VERSION / "plugins.zip").write_bytes(b"of another program")

    with pytest.raises(CannotBuild, match=r"not made by make mwaa.*plugins\.zip"):
        build(project, VERSION, output)

    assert contents(output) == {f"{VERSION}/plugins.zip": b"of another program"}


def test_a_link_in_the_place_of_the_folder_is_kept(project: Path, output: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    output.mkdir(parents=True)
    (output / VERSION).symlink_to(elsewhere)

    with pytest.raises(CannotBuild, match=f"{VERSION} is not a folder"):
        build(project, VERSION, output)

    assert list(elsewhere.iterdir()) == []


def test_a_build_that_fails_keeps_the_older_build(project: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build(project, VERSION, output)
    before = contents(output)
    (project / "dags" / "glacier_jobs_report.py").write_text("changed = True\n")

    def full_disk(self: Path, data: bytes) -> int:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            build(project, VERSION, output)

    assert contents(output) == before
    build(project, VERSION, output)
    assert (folder / "dags" / "glacier_jobs_report.py").read_text() == "changed = True\n"


@pytest.mark.parametrize("step", range(4))
def test_a_build_that_is_interrupted_while_it_replaces_the_folder_leaves_no_mixture(
    project: Path, output: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    build(project, VERSION, output)
    older = contents(output / VERSION)
    (project / "dags" / "glacier_jobs_report.py").write_text("changed = True\n")
    steps = iter(range(4))

    def interrupted(real: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def rename(self: Path, target: Path) -> Path:
            if next(steps) == step:
                raise KeyboardInterrupt
            return real(self, target)

        return rename

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted(Path.rename))
        patch.setattr(Path, "replace", interrupted(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            build(project, VERSION, output)

    left = contents(output / VERSION)
    newer = contents(build(project, VERSION, output))
    assert left in (older, {}, newer)
    assert newer["dags/glacier_jobs_report.py"] == b"changed = True\n"


def test_a_file_in_the_place_of_the_folder_is_kept(project: Path, output: Path) -> None:
    output.mkdir(parents=True)
    (output / VERSION).write_text("mine\n")

    with pytest.raises(CannotBuild, match=f"{VERSION} is not a folder"):
        build(project, VERSION, output)

    assert contents(output) == {VERSION: b"mine\n"}


def test_a_version_without_constraints_is_named(project: Path, output: Path) -> None:
    with pytest.raises(CannotBuild, match=r"there is no .*constraints-3\.1\.0\.txt; there are files for 3\.2\.1, 3"):
        build(project, "3.1.0", output)

    assert not output.exists()


def test_the_command_prints_each_version_the_size_and_the_next_command(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(output)]) == 0

    printed = capsys.readouterr().out
    for version in versions(ROOT):
        assert re.search(rf"^Airflow {re.escape(version)}: plugins\.zip has \d\.\d\d MB", printed, re.M)
        assert f"  aws s3 sync {output / version} s3://BUCKET/\n" in printed


def test_the_command_fails_with_one_line(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["9.9.9", "--output", str(output)]) == 1

    assert re.fullmatch(r"make mwaa: there is no .*constraints-9\.9\.9\.txt.*\n", capsys.readouterr().err)


def test_the_command_needs_no_installed_packages(tmp_path: Path) -> None:
    """Without site-packages (``-S``) and the environment's settings (``-I``)."""
    arguments = ["--output", str(tmp_path)]
    script = f"import sys; sys.path[:0] = [{str(ROOT / 'include')!r}]; from mwaa.__main__ import main"
    command = [sys.executable, "-I", "-S", "-c", f"{script}; sys.exit(main({arguments!r}))"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command

    assert (ended.returncode, ended.stderr) == (0, "")
