"""What ``make mwaa`` builds, with the packages of each image of Amazon MWAA, in an Airflow that is set up as there.

What MWAA has and this drill does not: its sign-in and auth manager, Celery with Amazon SQS, CloudWatch, a secrets
backend, several API server processes, Amazon Linux.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.reports import QUESTIONS
from local_airflow.rest import AirflowApi, AirflowApiError, wait_for
from local_aws.client import Control
from mwaa.build import versions
from mwaa.constraints import image_pins, normalized, pinned
from tests.conftest import ROOT
from tests.credential_source import CredentialSource, credential_source
from tests.drills.airflow_cluster import Cluster, airflow_cluster
from tests.drills.pythons import UV, find_python, python_for, run
from tests.drills.snapshots import jobs_by_committed_observation
from tests.drills.table import NotTried, RecordDrill
from tests.drills.waiting_tasks import HOUR, TIMEOUT_SECONDS
from tests.observations import s3_of

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]

#: The Python of all images with Airflow 3.
_PYTHON = "3.12"

#: Where the images have AIRFLOW_HOME. Here it is below a new folder.
_MWAA_HOME = "/usr/local/airflow"

#: Not available as a wheel. Its module is also that of psycopg2-binary, which the images have too.
_NOT_INSTALLED = {"psycopg2"}

#: If we are root, Airflow runs as this user.
_USER = "nobody"

_TEMPORARY_BYTES = 16 * 1024 * 1024
_BYTES_PER_MB = 1_000_000

_BUCKET = "records"
_REGION = "us-east-1"
_TARGET_REGIONS = ("eu-west-1", "eu-central-1")
_VAULTS, _JOBS = ("photos", "films"), 120
_ARCHIVE_VAULT, _ARCHIVE_ID, _ARCHIVE_BYTES = "photo-archive", "a1", 40 * 1024 * 1024 + 5

_HAS_PAGE_SINCE = (3, 1)


@dataclass(frozen=True, kw_only=True)
class Image:
    """The packages of an image, and what the requirements of the project add to them.

    :param home: the Airflow home, with the built DAGs, plugins and requirements.
    :param before: the versions of the image's packages by name.
    :param after: the versions of all packages by name, after the requirements were installed.
    :param pins: the versions in the constraints file by name.
    """

    version: str
    folder: Path
    home: Path
    python: str
    variables: Mapping[str, str]
    before: Mapping[str, str]
    after: Mapping[str, str]
    pins: Mapping[str, str]
    install_seconds: float
    added_bytes: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A running Airflow that is set up as an environment of MWAA."""

    image: Image
    cluster: Cluster
    local_aws: Control
    role: CredentialSource
    small_folder: bool
    started: float

    def dataset(self) -> Dataset:
        """Open the dataset that the DAGs have published."""
        return Dataset(filesystem=s3_of(self.local_aws), root=f"{_BUCKET}/glacier")

    def result(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Any:
        """Return what a task returned. Before Airflow 3.1, it is the text of its JSON."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries"
        value = self.cluster.api.get(f"{path}/return_value?map_index={map_index}")["value"]
        return json.loads(value) if isinstance(value, str) else value

    def first_run(self, dag_id: str, run_type: str) -> str:
        """Wait until there is a run that was not started by this drill, and return its ID."""

        def found() -> str | None:
            runs = self.cluster.api.get(f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=run_after")["dag_runs"]
            return next((run["dag_run_id"] for run in runs if run["run_type"] == run_type), None)

        return wait_for(f"a run of {dag_id}", found, TIMEOUT_SECONDS)

    def succeeded(self, dag_id: str, run_id: str) -> None:
        """Wait until a run has succeeded."""
        api = self.cluster.api
        run = api.finished_run(dag_id, run_id, seconds=TIMEOUT_SECONDS)
        assert run["state"] == "success", self._failures(dag_id, run_id)

    def _failures(self, dag_id: str, run_id: str) -> str:
        instances = self.cluster.api.task_instances(dag_id, run_id)
        states = {(each["task_id"], each["map_index"]): each["state"] for each in instances}
        logs = [
            f"{file}\n{file.read_text()[-4000:]}"
            for task_id in sorted({task_id for (task_id, _), state in states.items() if state == "failed"})
            for file in self.image.home.glob(f"logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}/**/attempt=*")
        ]
        return "\n\n".join([str(states), *logs])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that all users can enter, in contrast to those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=versions(ROOT))
def image(request: pytest.FixtureRequest, folder: Path) -> Iterator[Image | None]:
    """The packages of an image with the requirements of the project; ``None`` if there is no Python for them."""
    version, variables = request.param, dict[str, str]()
    python = find_python(_PYTHON)
    if python is None:
        yield None
        return
    folder = folder / version
    folder.mkdir()
    if os.geteuid() == 0:
        python, variables = python_for(_USER, python, folder / "python")
    home = Path(f"{folder}{_MWAA_HOME}")
    home.mkdir(parents=True)
    run(
        *(sys.executable, "-m", "mwaa", version, "--output", str(folder / "dist")),
        environment={**os.environ, "PYTHONPATH": str(ROOT / "include")},
    )
    built = folder / "dist" / version
    with zipfile.ZipFile(built / "plugins.zip") as plugins:
        plugins.extractall(home / "plugins")
    shutil.copytree(built / "dags", home / "dags")
    requirements = home / "requirements.txt"
    requirements.write_text((built / "requirements.txt").read_text().replace(_MWAA_HOME, str(home)))
    constraints = built / "dags" / f"constraints-{version}.txt"
    of_image = image_pins(constraints)
    (folder / "image.txt").write_text("\n".join(of_image[name] for name in of_image.keys() - _NOT_INSTALLED))

    environment = folder / "environment"
    virtual = str(environment / "bin" / "python")
    run(UV, "venv", "--quiet", "--seed", "--python", python, str(environment))
    # The packages of an image do not all agree.
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", virtual, "-r", str(folder / "image.txt"))
    before, bytes_before = _installed(virtual), _bytes(environment)
    started = time.monotonic()
    run(virtual, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements), cwd=home)
    install_seconds = time.monotonic() - started
    yield Image(
        version=version,
        folder=folder,
        home=home,
        python=virtual,
        variables=variables,
        before=before,
        after=_installed(virtual),
        pins={name: line.partition("==")[2] for name, line in pinned(constraints).items()},
        install_seconds=install_seconds,
        added_bytes=_bytes(environment) - bytes_before,
    )
    shutil.rmtree(folder)


def _installed(python: str) -> dict[str, str]:
    script = "import importlib.metadata as m, json; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    return {normalized(name): version for name, version in json.loads(run(python, "-c", script))}


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def environment(image: Image | None, local_aws_process: Control) -> Iterator[Environment | None]:
    """A running Airflow without any connection of ours, whose credentials are those of an execution role."""
    if image is None:
        yield None
        return
    local_aws = local_aws_process
    local_aws.reset()
    for region in _TARGET_REGIONS:
        for vault in _VAULTS:
            jobs = [{"JobId": f"{vault}-{number}", "_life": {"duration_seconds": 48 * HOUR}} for number in range(_JOBS)]
            local_aws.add_jobs(vault, jobs, region=region)
    local_aws.add_vaults(_ARCHIVE_VAULT, region=_REGION)
    local_aws.add_archives(_ARCHIVE_VAULT, [{"ArchiveId": _ARCHIVE_ID, "Size": _ARCHIVE_BYTES}], region=_REGION)
    boto3.client("s3", **local_aws.boto3_arguments()).create_bucket(Bucket=_BUCKET)

    user = _USER if os.geteuid() == 0 else None
    temporary = image.folder / "tmp"
    with contextlib.ExitStack() as stack:
        small = stack.enter_context(_small_folder(temporary))
        role = stack.enter_context(credential_source())
        if user:
            shutil.chown(temporary, user)
            # The user writes compiled modules beside the sources. The files are also those of uv's cache.
            for parent in (image.folder / "environment", image.home):
                for path, _, _ in os.walk(parent):
                    shutil.chown(path, user)
        started = time.monotonic()
        cluster = stack.enter_context(
            airflow_cluster(
                _variables(image, local_aws, role, temporary),
                python=image.python,
                user=user,
                airflow_variables={
                    "glacier_jobs_targets": json.dumps(
                        [{"aws_conn_id": None, "region_name": region} for region in _TARGET_REGIONS]
                    ),
                    "glacier_jobs_dataset_uri": f"s3://{_BUCKET}/glacier",
                },
            )
        )
        yield Environment(
            image=image, cluster=cluster, local_aws=local_aws, role=role, small_folder=small, started=started
        )


@contextlib.contextmanager
def _small_folder(folder: Path) -> Iterator[bool]:
    """Make a folder for temporary files in memory. Yield whether it is small, which needs permission to mount it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_TEMPORARY_BYTES}", "none", str(folder)]
    mounted = subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode == 0  # noqa: S603 - our own command
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - our own command


def _variables(image: Image, local_aws: Control, role: CredentialSource, temporary: Path) -> dict[str, str]:
    return {
        **image.variables,
        "HOME": str(image.home),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join([str(Path(image.python).parent), os.defpath]),
        "TMPDIR": str(temporary),
        "NO_PROXY": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(image.home),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{role.endpoint}/credentials",
        "AWS_ENDPOINT_URL": local_aws.endpoint,
    }


def _on(image: Image) -> str:
    return f"MWAA's Airflow {image.version}"


@pytest.fixture
def installed(image: Image | None, not_tried: NotTried) -> Image:
    """The packages of an image with the requirements of the project."""
    if image is None:
        not_tried("the requirements on MWAA", f"found no Python {_PYTHON} on PATH, in pyenv or through uv")
    return image


@pytest.fixture
def mwaa(environment: Environment | None, not_tried: NotTried) -> Environment:
    """A running Airflow that is set up as an environment of MWAA."""
    if environment is None:
        not_tried("all DAGs on MWAA", f"found no Python {_PYTHON} on PATH, in pyenv or through uv")
    return environment


def test_the_requirements_change_no_package_of_the_image(installed: Image, record_drill: RecordDrill) -> None:
    assert installed.before["apache-airflow"] == installed.version
    assert len(installed.before) >= 200
    assert {name: installed.after.get(name) for name in installed.before} == installed.before
    added = {name: version for name, version in installed.after.items() if name not in installed.before}
    assert {"duckdb", "matplotlib", "pandas", "pyarrow", "s3fs"} <= added.keys()
    assert added.items() <= installed.pins.items()
    record_drill(
        f"{_on(installed)}: pip install -r requirements.txt",
        f"changed none of {len(installed.before)} packages; added {len(added)} "
        f"({installed.added_bytes / _BYTES_PER_MB:.0f} MB) in {installed.install_seconds:.0f} s",
    )


def test_every_dag_is_parsed_without_an_import_error(mwaa: Environment, record_drill: RecordDrill) -> None:
    expected = {file.stem for file in (ROOT / "dags").glob("*.py")}
    api = mwaa.cluster.api
    wait_for("all DAGs", lambda: api.dag_ids() >= expected or None, TIMEOUT_SECONDS)

    assert api.import_errors() == []
    assert api.dag_ids() == expected
    user = "another user" if mwaa.cluster.user else "the user of the tests"
    record_drill(
        f"{_on(mwaa.image)}: the folders of make mwaa, run by {user}", "all DAGs are parsed without an import error"
    )


def test_all_dags_succeed_with_the_credentials_of_the_execution_role(
    mwaa: Environment, record_drill: RecordDrill
) -> None:
    """The schedule of the snapshots starts their first run at once, and its event starts the report."""
    api, local_aws = mwaa.cluster.api, mwaa.local_aws
    # The job ends after the worker has described it, so that the first poll in the triggerer finds it ended.
    local_aws.hook("advance", {"seconds": 12 * HOUR}, operation="DescribeJob", vault_name=_ARCHIVE_VAULT, count=1)

    params = {"vault_name": _ARCHIVE_VAULT, "archive_id": _ARCHIVE_ID, "aws_conn_id": None}
    restored = api.trigger("glacier_retrieve_archive", {**params, "destination_uri": f"s3://{_BUCKET}/restored/a1.jpg"})
    snapshot = mwaa.first_run("glacier_jobs_snapshot", "scheduled")
    mwaa.succeeded("glacier_jobs_snapshot", snapshot)
    mwaa.succeeded("glacier_jobs_report", mwaa.first_run("glacier_jobs_report", "asset_triggered"))
    mwaa.succeeded("glacier_retrieve_archive", restored)
    seconds = time.monotonic() - mwaa.started

    dataset = mwaa.dataset()
    committed = jobs_by_committed_observation(dataset)
    made = {
        mwaa.result("glacier_jobs_snapshot", snapshot, "snapshot", index)["observation_id"]
        for index in range(len(_TARGET_REGIONS))
    }
    assert made <= committed.keys()
    assert len(made) == len(_TARGET_REGIONS)
    assert set(committed.values()) == {len(_VAULTS) * _JOBS}
    newest = json.loads(dataset.filesystem.cat(f"{dataset.root}/reports/latest.json"))
    assert newest["answers"].keys() == QUESTIONS.keys()
    assert b"photos" in dataset.filesystem.cat(f"{dataset.root}/reports/latest.html")
    stored = mwaa.result("glacier_retrieve_archive", restored, "store")
    assert (stored["size_in_bytes"], stored["verified"]) == (_ARCHIVE_BYTES, True)
    assert dataset.filesystem.size(f"{_BUCKET}/restored/a1.jpg") == _ARCHIVE_BYTES

    assert api.get("/api/v2/connections")["connections"] == []
    assert mwaa.role.requests > 0
    assert {request["access_key"] for request in local_aws.requests()} == {"LOCALAWSACCESSKEY000"}
    of_triggers = mwaa.image.home.glob("logs/dag_id=glacier_retrieve_archive/*/task_id=retrieve/*.trigger.*")
    assert any("succeeded" in log.read_text() for log in of_triggers)
    folder = f"{_TEMPORARY_BYTES // 1024**2} MiB" if mwaa.small_folder else "(mounting is not permitted) much space"
    record_drill(
        f"{_on(mwaa.image)}: an execution role, no connection, {folder} for temporary files",
        f"a snapshot, its report and a retrieval that deferred succeeded, {seconds:.0f} s after db migrate began",
    )


def test_the_page_is_there_since_airflow_3_1(mwaa: Environment, record_drill: RecordDrill) -> None:
    version = tuple(int(number) for number in mwaa.image.version.split("."))
    api, signed_out = mwaa.cluster.api, AirflowApi(mwaa.cluster.api.url)

    [plugin] = [each for each in api.get("/api/v2/plugins")["plugins"] if each["name"] == "glacier_jobs"]

    if version < _HAS_PAGE_SINCE:
        assert plugin["fastapi_apps"] == []
        held = "the plugin is loaded once, without a page"
    else:
        assert [view["name"] for view in plugin["external_views"]] == ["Glacier jobs"]
        assert api.get("/glacier_jobs/api/overview")["state"] == "ready"
        assert _status(lambda: signed_out.get("/glacier_jobs/api/overview")) == 401
        held = "the plugin is loaded once; its page answers with a token, and refuses without"

    record_drill(f"{_on(mwaa.image)}: the page Glacier jobs", held)


def _read(file: Path) -> bytes:
    # Airflow's processes still write, and remove temporary files.
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def _status(request: Callable[[], Any]) -> int:
    with pytest.raises(AirflowApiError) as caught:
        request()
    return caught.value.status


def test_no_credentials_are_stored_anywhere(mwaa: Environment, record_drill: RecordDrill) -> None:
    """Runs last. Searches the logs of all runs, the other files of the home, and the database."""
    files = [file for file in mwaa.image.home.rglob("*") if file.is_file()]
    database = mwaa.cluster.postgres.dump()

    assert any(file.name.startswith("attempt=") for file in files), "no task's log was found"
    assert "observation_id" in database, "no XCom was found"
    secrets = ("local-aws-secret", "local-aws-token")
    assert [secret for secret in secrets if secret in database] == []
    assert [file for file in files if any(secret.encode() in _read(file) for secret in secrets)] == []
    record_drill(f"{_on(mwaa.image)}: search for the role's credentials after the runs", f"none in {len(files)} files")
