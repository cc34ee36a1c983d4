"""What a person gives to a run is never rendered as a template, and no secret in it is stored or logged."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from glacier_jobs.dataset import uris
from local_aws.client import Control
from tests.conftest import Connect
from tests.dags.conftest import THIRD_PARTY_WARNINGS, EventRunner, Runner, parse_dags
from tests.versions import AIRFLOW_3_0, DagBag
from tests.waits import MODES, Mode

pytestmark = THIRD_PARTY_WARNINGS

PASSWORD = secrets.token_hex(12)
TEMPLATE = "x{{ 7 * 7 }}y{{ conn.secret_one.password }}"
#: Each begins a template of another kind.
OTHER_TEMPLATES = ["{% if true %}x{% endif %}", "{# #}"]
TARGET = {"aws_conn_id": "local_aws", "region_name": "us-east-1"}

#: What a person may paste in place of a connection's id. Each holds the text ``pasted``.
PASTED = ["s3://AKIA:pasted@bucket/x", "s3://AKIA:pasted/y#z@bucket/x", "s3://pasted@bucket/x"]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch, connect: Connect, local_aws: Control) -> None:
    connection = {"conn_type": "generic", "login": "somebody", "password": PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_SECRET_ONE", json.dumps(connection))
    connect()
    local_aws.add_jobs("photos", [{"JobId": "a"}])


@pytest.fixture(autouse=True)
def _nothing_is_rendered(dag_bag: DagBag, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Check that neither Airflow's database, nor the logs, nor the names of files hold what a template renders to."""
    yield
    home = Path(os.environ["AIRFLOW_HOME"])
    places = {
        "output": "".join(capfd.readouterr()),
        "logs": "".join(file.read_text() for file in home.glob("logs/**/*.log")),
        "database": b"".join(file.read_bytes() for file in home.glob("airflow.db*")).decode(errors="replace"),
        "names": "\n".join(map(str, tmp_path.rglob("*"))),
    }
    assert [place for place, text in places.items() if PASSWORD in text or "x49y" in text] == []


@pytest.fixture
def nothing_pasted_is_stored(dag_bag: DagBag, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Check that neither XComs, rendered fields nor logs hold what was pasted. The params of a run always do."""
    yield
    with create_session() as session:
        xcoms = session.scalars(select(XComModel.value)).all()
        rendered = session.scalars(select(RenderedTaskInstanceFields.rendered_fields)).all()
    logs = [file.read_text() for file in Path(os.environ["AIRFLOW_HOME"]).glob("logs/**/*.log")]
    console = "" if AIRFLOW_3_0 else capfd.readouterr()
    assert "pasted" not in repr([xcoms, rendered, logs, console])


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept every URI, so that only rendering decides."""
    monkeypatch.setattr(uris, "_fault", lambda uri: None)


class TestTheSnapshotDag:
    @pytest.mark.parametrize("template", [TEMPLATE, *OTHER_TEMPLATES])
    def test_refuses_a_template_in_the_uri_of_the_dataset(
        self, snapshot_dag: Runner, dataset_root: Path, template: str
    ) -> None:
        run = snapshot_dag(targets=[TARGET], dataset_uri=f"file://{dataset_root}/p-{template}")

        assert run.state == "failed"
        assert run.errors["targets"].startswith("the param dataset_uri contains '{")
        assert not dataset_root.exists()

    def test_refuses_a_template_in_the_variable_too(
        self, snapshot_dag: Runner, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", f"file://{dataset_root}/p-{TEMPLATE}")

        run = snapshot_dag(targets=[TARGET])

        assert run.errors["targets"].startswith("the Variable glacier_jobs_dataset_uri contains '{{'")

    @pytest.mark.parametrize("key", ["aws_conn_id", "region_name", "account_id", "vault_names"])
    def test_refuses_a_template_in_a_target(self, snapshot_dag: Runner, dataset_root: Path, key: str) -> None:
        value = [TEMPLATE] if key == "vault_names" else TEMPLATE

        run = snapshot_dag(targets=[{**TARGET, key: value}], dataset_uri=f"file://{dataset_root}")

        assert f"target 0: {key} is " in run.errors["targets"]

    @pytest.mark.usefixtures("unchecked")
    def test_renders_nothing_that_a_target_holds(self, snapshot_dag: Runner, dataset_root: Path) -> None:
        run = snapshot_dag(targets=[TARGET], dataset_uri=f"file://{dataset_root}/p-{TEMPLATE}")

        assert run.state == "success"
        assert (dataset_root / f"p-{TEMPLATE}" / "observations").is_dir()

    @pytest.mark.usefixtures("nothing_pasted_is_stored")
    @pytest.mark.parametrize("uri", PASTED)
    def test_refuses_what_may_be_a_secret_before_it_is_stored(
        self, snapshot_dag: Runner, uri: str, local_aws: Control
    ) -> None:
        run = snapshot_dag(targets=[TARGET], dataset_uri=uri)

        assert run.errors["targets"]
        assert not local_aws.calls().by_operation


class TestTheReportDag:
    @pytest.mark.parametrize("template", [TEMPLATE, *OTHER_TEMPLATES])
    def test_refuses_a_template_in_the_uri_of_the_dataset(
        self, report_dag: Runner, dataset_root: Path, template: str
    ) -> None:
        run = report_dag(dataset_uri=f"file://{dataset_root}/p-{template}")

        assert run.errors["datasets"].startswith("the param dataset_uri contains '{")
        assert not dataset_root.exists()

    @pytest.mark.usefixtures("unchecked")
    def test_renders_nothing_of_the_param(self, report_dag: Runner, dataset_root: Path) -> None:
        run = report_dag(dataset_uri=f"file://{dataset_root}/p-{TEMPLATE}")

        assert run.state == "success"
        assert run.labels["report", 0].endswith(f"/p-{TEMPLATE}")
        assert (dataset_root / f"p-{TEMPLATE}" / "reports" / "latest.html").exists()

    def test_refuses_a_template_in_an_event_and_reports_the_other_datasets(
        self, triggered_by: EventRunner, dataset_root: Path
    ) -> None:
        uris = [f"file://{dataset_root}/p-{TEMPLATE}", f"file://{dataset_root}/good"]

        run = triggered_by([{"observations": [{"dataset_uri": uri}]} for uri in uris])

        assert run.state == "failed"
        assert "in an event of the asset glacier_jobs contains '{{'" in run.errors["events_accepted"]
        assert [path.name for path in dataset_root.iterdir()] == ["good"]
        assert (dataset_root / "good" / "reports" / "latest.html").exists()

    @pytest.mark.usefixtures("unchecked")
    def test_renders_nothing_of_an_event(self, triggered_by: EventRunner, dataset_root: Path) -> None:
        run = triggered_by([{"observations": [{"dataset_uri": f"file://{dataset_root}/p-{TEMPLATE}"}]}])

        assert run.state == "success"
        assert (dataset_root / f"p-{TEMPLATE}" / "reports" / "latest.html").exists()

    @pytest.mark.usefixtures("nothing_pasted_is_stored")
    @pytest.mark.parametrize("uri", PASTED)
    def test_refuses_what_may_be_a_secret_before_it_is_stored(self, report_dag: Runner, uri: str) -> None:
        assert report_dag(dataset_uri=uri).errors["datasets"]

    @pytest.mark.usefixtures("nothing_pasted_is_stored")
    @pytest.mark.parametrize("uri", PASTED)
    def test_refuses_what_may_be_a_secret_in_an_event(self, triggered_by: EventRunner, uri: str) -> None:
        run = triggered_by([{"observations": [{"dataset_uri": uri}]}])

        assert run.errors["datasets"] == run.errors["events_accepted"]


@pytest.mark.parametrize("param", ["aws_conn_id", "archive_id", "destination_uri", "region_name", "vault_name"])
def test_the_example_dag_refuses_a_template(param: str, dag_bag: DagBag, local_aws: Control, connect: Connect) -> None:
    connect("aws_archive")

    given = {"vault_name": "photos", "archive_id": "a1", "destination_uri": "file:///data/photo.jpg", param: TEMPLATE}
    run = Runner(dag_id="glacier_retrieve_archive")(**given)

    assert run.errors["check_params"]
    assert not local_aws.calls().by_operation


SOURCE = """
from airflow.sdk import dag, task
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.sensors import GlacierJobSensor

@dag(dag_id={dag_id!r}, schedule=None, params={{"text": "", "root": ""}})
def given():
    text = "{{{{ params.text }}}}"

    @task
    def returned(params): return [params["text"]]

    wait = {{"vault_name": "photos", "aws_conn_id": "local_aws", "missing_grace": 0, "timeout": 30, "poke_interval": 1}}
    wait |= {mode!r}
    GlacierJobSensor(task_id="by_id", job_id=text, **wait)
    GlacierJobSensor(task_id="in_vault", job_id="a", **wait | {{"vault_name": text}})
    GlacierJobSensor(task_id="in_region", job_id="a", region_name=text, **wait)
    GlacierJobSensor(task_id="by_uri", job_id="file://{{{{ params.root }}}}/" + text, **wait)
    GlacierJobSensor.partial(task_id="mapped", **wait).expand(job_id=returned())
    keep = {{"dataset_uri": "file://{{{{ params.root }}}}", "aws_conn_id": "local_aws"}}
    GlacierJobsToParquetOperator(task_id="keep", **keep | {{"dataset_uri": "file://{{{{ params.root }}}}/p-" + text}})
    GlacierJobsToParquetOperator(task_id="keep_vault", vault_names=[text], **keep)
    GlacierJobsToParquetOperator(task_id="keep_account", account_id=text, **keep)

given()
"""


@pytest.mark.usefixtures("without_delays")
@pytest.mark.parametrize("mode", MODES)
def test_sensors_and_operators_render_a_param_once(mode: Mode, dag_bag: DagBag, tmp_path: Path) -> None:
    arguments = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    dags = parse_dags(tmp_path / f"given_{mode}.py", SOURCE.format(dag_id=f"given_{mode}", mode=arguments))

    run = dags[f"given_{mode}"].test(run_conf={"text": TEMPLATE, "root": str(tmp_path / "root")})

    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    assert states.pop("returned") == "success"
    assert set(states.values()) == {"failed"}
    assert not list(tmp_path.rglob("*.parquet"))


PASTING = """
from airflow.sdk import dag
from glacier_jobs.operators import GlacierJobsToParquetOperator
from glacier_jobs.sensors import GlacierJobSensor

@dag(dag_id="pasting", schedule=None, params={"uri": ""})
def pasting():
    wait = {"vault_name": "photos", "aws_conn_id": "local_aws", "mode": "poke"}
    GlacierJobsToParquetOperator(task_id="keep", dataset_uri="{{ params.uri }}", aws_conn_id="local_aws")
    GlacierJobSensor(task_id="by_uri", job_id="{{ params.uri }}", **wait)
    GlacierJobSensor(task_id="outcome", job_id="a", outcome_uri="{{ params.uri }}", **wait)

pasting()
"""


@pytest.mark.usefixtures("nothing_pasted_is_stored")
@pytest.mark.parametrize("uri", PASTED[:2])
def test_a_rendered_uri_that_may_hold_a_secret_is_refused_before_it_is_stored(
    uri: str, dag_bag: DagBag, tmp_path: Path
) -> None:
    dags = parse_dags(tmp_path / "pasting.py", PASTING)

    run = dags["pasting"].test(run_conf={"uri": uri})

    assert {str(task.state) for task in run.get_task_instances()} == {"failed"}


WAITING = """
from airflow.sdk import dag, task
from glacier_jobs.sensors import GlacierJobSensor

@dag(dag_id={dag_id!r}, schedule=None, params={{"job_id": ""}})
def waiting():
    @task
    def returned(params): return [params["job_id"]]

    wait = {{"vault_name": "photos", "aws_conn_id": "local_aws", "timeout": 60, "poke_interval": 1}}
    wait |= {mode!r}
    GlacierJobSensor(task_id="plain", job_id="{{{{ params.job_id }}}}", **wait)
    GlacierJobSensor.partial(task_id="mapped", **wait).expand(job_id=returned())

waiting()
"""


@pytest.mark.usefixtures("without_delays")
@pytest.mark.parametrize("mode", MODES)
def test_a_sensor_waits_for_the_very_id_that_a_param_gives(
    mode: Mode, dag_bag: DagBag, local_aws: Control, tmp_path: Path
) -> None:
    """The id stays as it is when the sensor is rescheduled, or deferred and resumed."""
    job_id = "x{{7*7}}y"
    local_aws.add_jobs("photos", [{"JobId": job_id, "_life": {"duration_seconds": 4 * 3600}}])
    local_aws.hook("advance", {"seconds": 5 * 3600}, operation="ListJobs", count=1)
    arguments = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    dags = parse_dags(tmp_path / f"waiting_{mode}.py", WAITING.format(dag_id=f"waiting_for_{mode}", mode=arguments))

    run = dags[f"waiting_for_{mode}"].test(run_conf={"job_id": job_id})

    assert {str(task.state) for task in run.get_task_instances()} == {"success"}
