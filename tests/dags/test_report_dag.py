"""Run the report DAG in Airflow on a hand-written dataset."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from airflow.sdk import BaseNotifier, Context

from glacier_jobs import reports
from glacier_jobs.alerts.rules import MAX_NAMED
from glacier_jobs.dataset.layout import Dataset
from glacier_jobs.dataset.schema import TABLES
from glacier_jobs.history.fold import JOB_LIFECYCLES
from glacier_jobs.html_report.build import make_report
from glacier_jobs.html_report.store import ReportFiles
from tests.conftest import ROOT
from tests.dags.conftest import THIRD_PARTY_WARNINGS, TRIGGERED_BEFORE, EventRunner, Run, Runner, TimedRunner
from tests.hand_written import job, observe
from tests.observations import local_dataset
from tests.versions import AirflowFailException

pytestmark = THIRD_PARTY_WARNINGS

NOW = datetime.now(timezone.utc)
NOON = datetime(2026, 11, 18, 12, tzinfo=timezone.utc)

#: A function from the times of events to the times of reports.
Reports: TypeAlias = Callable[[Iterable[datetime]], list[datetime]]


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATASET_URI", "NOTIFIER", "ALLOW_PARAMS", "COMPACTION"):
        monkeypatch.delenv(f"AIRFLOW_VAR_GLACIER_JOBS_{name}", raising=False)


@pytest.fixture
def files(dataset_root: Path) -> ReportFiles:
    """The report files of a dataset with one output that is about to expire and one failed job."""
    dataset = local_dataset(dataset_root)
    urgent = job("urgent", "Succeeded", completed=ago(20), JobDescription="the audit")
    failed = job("failed", "Failed", completed=ago(1), StatusMessage="Not {{ 7 * 7 }} <b>found</b>")
    observe(dataset, ago(60), {"photos": [job("urgent", created=ago(61))]})
    observe(dataset, ago(0.1), {"photos": [urgent, failed, job("running", created=ago(1))]})
    return ReportFiles(dataset)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Configure a notifier, and return the file to which it writes its messages."""
    path = tmp_path / "messages"
    arguments = {"text": "{{ glacier_jobs_alert.text }}", "path": str(path)}
    notifier = {"notifier": f"{__name__}.Messenger", "arguments": arguments}
    monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_NOTIFIER", json.dumps(notifier))
    return path


def of_task(run: Run, task_id: str) -> set[str]:
    return {state for (name, _), state in run.tasks.items() if name == task_id}


def of_both(run: Run, task_id: str) -> list[str]:
    return sorted(run.tasks[task_id, index] for index in (0, 1))


def test_a_run_aggregates_finalized_days_and_writes_all_answers(
    report_dag: Runner, files: ReportFiles, dataset_root: Path
) -> None:
    run = report_dag(dataset_uri=dataset_root.as_uri())

    assert run.state == "success"
    assert list(dataset_root.glob("history/v2/open_jobs/*/*.parquet"))
    latest = files.latest()
    assert latest is not None
    assert latest["answers"].keys() == reports.QUESTIONS.keys()
    for question, answer in latest["answers"].items():
        table = pq.read_table(dataset_root / "reports" / answer["path"], partitioning=None)
        assert table.num_rows == answer["rows"]
        assert table.schema.names == reports.run(question, files.dataset).schema.names
    reported = pads.dataset(dataset_root / "reports" / "answers" / "reports", partitioning="hive").to_table()
    assert [f"report={report}" for report in reported["report"].to_pylist()] == [latest["report"]]
    assert [at.isoformat() for at in reported["made_at"].to_pylist()] == [latest["made_at"]]
    assert [alert.job_id for alert in files.alerts(latest["report"])] == ["urgent", "failed"]
    page = (dataset_root / "reports" / latest["html"]).read_text()
    assert "the audit" in page
    assert (dataset_root / "reports" / "latest.html").read_text() == page


def test_without_any_observation_the_report_says_what_to_do(report_dag: Runner, dataset_root: Path) -> None:
    run = report_dag(dataset_uri=dataset_root.as_uri())

    assert run.state == "success"
    latest = ReportFiles(local_dataset(dataset_root)).latest()
    assert latest is not None
    assert {answer["rows"] for answer in latest["answers"].values()} == {0}
    assert "Run the DAG\n<code>glacier_jobs_snapshot</code>" in (dataset_root / "reports" / "latest.html").read_text()


def test_without_a_dataset_the_run_says_what_to_set(report_dag: Runner) -> None:
    run = report_dag()

    assert run.state == "failed"
    assert "set the Variable glacier_jobs_dataset_uri" in run.errors["datasets"]


def test_the_report_is_written_although_days_cannot_be_aggregated(
    report_dag: Runner, files: ReportFiles, dataset_root: Path
) -> None:
    moment = ago(59)
    wrong = dataset_root / f"history/v2/job_history/closed_date={moment.date()}/job_history.parquet"
    wrong.parent.mkdir(parents=True)
    pq.write_table(JOB_LIFECYCLES.empty_table(), wrong)
    observe(files.dataset, moment, {"photos": []})

    run = report_dag(dataset_uri=dataset_root.as_uri())

    assert run.state == "failed"
    assert of_task(run, "fold") == {"failed"}
    assert of_task(run, "report") == {"success"}
    assert files.latest() is not None
    # What the days show is aggregated all the same.
    assert list(dataset_root.glob("history/v2/partials/observations/*/*.parquet"))


class TestCompaction:
    """The dataset has a finalized day, that of 60 hours ago."""

    def compacted(self, dataset: Dataset) -> list[str]:
        found = Path(dataset.root).glob("compacted/observations/*/observations.parquet")
        return [path.parent.name for path in found]

    def test_follows_the_aggregation(self, report_dag: Runner, files: ReportFiles, dataset_root: Path) -> None:
        assert report_dag(dataset_uri=dataset_root.as_uri()).state == "success"

        assert self.compacted(files.dataset) == [f"snapshot_date={ago(60).date()}"]

    def test_can_be_switched_off(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_COMPACTION", "false")

        run = report_dag(dataset_uri=dataset_root.as_uri())

        assert run.state == "success"
        assert of_task(run, "compact") == {"skipped"}
        assert self.compacted(files.dataset) == []
        assert files.latest() is not None

    def test_that_fails_fails_the_run_and_not_the_report(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path
    ) -> None:
        wrong = Path(files.dataset.compacted_path("jobs", ago(60).date()))
        wrong.parent.mkdir(parents=True)
        pq.write_table(TABLES["jobs"].empty_table(), wrong)

        run = report_dag(dataset_uri=dataset_root.as_uri())

        assert run.state == "failed"
        assert of_task(run, "compact") == {"failed"}
        assert "differs from the raw files" in run.errors["compact"]
        assert of_task(run, "report") == {"success"}
        assert files.latest() is not None


class TestADeploymentThatSwitchesParamsOff:
    @pytest.fixture(autouse=True)
    def _params_off(self, files: ReportFiles, dataset_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", dataset_root.as_uri())
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "off")

    def test_reports_the_dataset_of_the_variable(self, report_dag: Runner, files: ReportFiles) -> None:
        assert report_dag().state == "success"
        assert files.latest() is not None

    def test_refuses_another_dataset_as_param(self, report_dag: Runner, files: ReportFiles, tmp_path: Path) -> None:
        run = report_dag(dataset_uri=(tmp_path / "other").as_uri())

        assert "the run gives the params dataset_uri, which the Variable glacier_jobs_allow_p" in run.errors["datasets"]
        assert files.latest() is None
        assert not (tmp_path / "other").exists()

    def test_refuses_another_dataset_in_an_event_and_reports_its_own(
        self, triggered_by: EventRunner, files: ReportFiles, dataset_root: Path, tmp_path: Path
    ) -> None:
        uris = [(tmp_path / "other").as_uri(), dataset_root.as_uri()]

        run = triggered_by([{"observations": [{"dataset_uri": uri} for uri in uris]}])

        assert run.state == "failed"
        assert (
            "names a dataset other than the one in the Variable glacier_jobs_dataset_uri"
            in (run.errors["events_accepted"])
        )
        assert files.latest() is not None
        assert not (tmp_path / "other").exists()


class TestAnEvent:
    def test_of_every_kind_is_read_and_each_dataset_reported(self, triggered_by: EventRunner, tmp_path: Path) -> None:
        roots = [tmp_path / name for name in ("one", "two")]
        for root in roots:
            observe(local_dataset(root), ago(0.1), {"photos": [job("a")]})
        extras: list[dict[str, Any]] = [
            {"observations": [{"dataset_uri": roots[0].as_uri()}, {"dataset_uri": roots[0].as_uri()}]},
            {"observations": [{"dataset_uri": roots[1].as_uri()}]},
            {"emitted by": "another DAG"},
        ]

        run = triggered_by(extras)

        assert run.state == "success"
        assert sum(task_id == "report" for task_id, _ in run.tasks) == 2
        assert all((root / "reports" / "latest.html").exists() for root in roots)

    def test_waits_until_the_report_of_its_dataset_is_due(
        self, report_dag: Runner, files: ReportFiles, tmp_path: Path
    ) -> None:
        from tests.versions import DagBag

        with files.draft(datetime.now(timezone.utc)) as draft:
            draft.publish([], "<p>just made</p>")
        dag = DagBag(str(ROOT / "dags" / "glacier_jobs_report.py")).dags["glacier_jobs_report"]
        sensor: Any = dag.get_task("due")
        triggered_by_event = {
            "dag_run": SimpleNamespace(run_type="asset_triggered"),
            "triggering_asset_events": {"glacier_jobs": [object()]},
        }

        assert sensor.mode == "reschedule"
        sensor.dataset_uri = (tmp_path / "another").as_uri()
        assert sensor.poke(triggered_by_event) is True
        sensor.dataset_uri = f"file://{files.dataset.root}"
        assert sensor.poke(triggered_by_event) is False
        by_hand = {"dag_run": SimpleNamespace(run_type="manual"), "triggering_asset_events": {}}
        assert sensor.poke(by_hand) is True
        latest = Path(f"{files.root}/latest.json")
        report = json.loads(latest.read_text())
        latest.write_text(json.dumps({**report, "made_at": ago(1).isoformat()}))
        assert sensor.poke(triggered_by_event) is True
        latest.write_text("{")
        assert sensor.poke(triggered_by_event) is True

    def test_for_an_unreadable_dataset_fails_the_run_and_the_other_dataset_is_reported(
        self, triggered_by: EventRunner, files: ReportFiles, dataset_root: Path, messages: Path
    ) -> None:
        unreadable = "nowhere://at/all"

        run = triggered_by([{"observations": [{"dataset_uri": uri}]} for uri in (unreadable, dataset_root.as_uri())])

        assert run.state == "failed"
        assert unreadable in run.errors["fold"]
        assert unreadable in run.errors["report"]
        assert of_both(run, "due") == ["success", "success"]
        assert of_both(run, "fold") == ["failed", "success"]
        assert of_both(run, "report") == ["failed", "success"]
        assert of_both(run, "notify") == ["success", "upstream_failed"]
        for task_id in ("due", "fold", "report"):
            assert {run.labels[task_id, index] for index in (0, 1)} == {unreadable, dataset_root.as_uri()}
        assert list(dataset_root.glob("history/v2/open_jobs/*/*.parquet"))
        assert len(messages.read_text().splitlines()) == 1

    def test_for_a_dataset_that_cannot_be_reported_does_not_stop_the_others_notifications(
        self,
        triggered_by: EventRunner,
        files: ReportFiles,
        dataset_root: Path,
        messages: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        other = dataset_root.with_name("other")

        def make_or_fail(dataset: Dataset, dataset_uri: str) -> dict[str, Any]:
            if dataset_uri == other.as_uri():
                raise AirflowFailException(f"{dataset_uri} cannot be reported")
            return make_report(dataset, dataset_uri)

        monkeypatch.setattr("glacier_jobs.html_report.build.make_report", make_or_fail)

        run = triggered_by([{"observations": [{"dataset_uri": root.as_uri()} for root in (other, dataset_root)]}])

        assert run.state == "failed"
        assert of_both(run, "fold") == ["success", "success"]
        assert of_both(run, "report") == ["failed", "success"]
        assert of_both(run, "notify") == ["success", "upstream_failed"]
        assert len(messages.read_text().splitlines()) == 1

    def test_reports_the_datasets_of_later_events_which_airflow_gives_to_no_run(
        self, triggered_by: EventRunner, tmp_path: Path
    ) -> None:
        roots = {name: tmp_path / name for name in ("triggering", "earlier", "later", "with its own run")}
        for root in roots.values():
            observe(local_dataset(root), ago(30), {"photos": [job("a")]})

        run = triggered_by(
            [naming(roots["triggering"])],
            (datetime.now(timezone.utc) - 10 * TRIGGERED_BEFORE, naming(roots["earlier"])),
            (datetime.now(timezone.utc) - TRIGGERED_BEFORE / 2, naming(roots["later"])),
            (datetime.now(timezone.utc) + timedelta(minutes=10), naming(roots["with its own run"])),
        )

        assert run.state == "success"
        assert {name for name, root in roots.items() if (root / "reports").exists()} == {"triggering", "later"}


def naming(*roots: Path) -> dict[str, Any]:
    """Return the extra of an event that names datasets."""
    return {"observations": [{"dataset_uri": root.as_uri()} for root in roots]}


class TestARunByTime:
    def test_reports_the_variables_dataset_and_those_in_the_events_of_seven_days(
        self, run_by_time: TimedRunner, files: ReportFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        roots = {name: tmp_path / name for name in ("configured", "recent", "old")}
        for root in roots.values():
            observe(local_dataset(root), ago(30), {"photos": [job("a")]})
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", roots["configured"].as_uri())

        run = run_by_time((ago(6.9 * 24), naming(roots["recent"])), (ago(7.1 * 24), naming(roots["old"])))

        assert run.state == "success"
        assert {name for name, root in roots.items() if (root / "reports").exists()} == {"configured", "recent"}

    def test_skips_a_dataset_that_was_reported_recently_and_reports_the_others(
        self, run_by_time: TimedRunner, files: ReportFiles, dataset_root: Path, tmp_path: Path, messages: Path
    ) -> None:
        with files.draft(datetime.now(timezone.utc)) as draft:
            draft.publish([], "<p>just made</p>")
        other = tmp_path / "other"
        observe(local_dataset(other), ago(30), {"photos": []})

        run = run_by_time((ago(1), naming(dataset_root, other)))

        assert run.state == "success"
        for task_id in ("due", "fold", "report", "folded", "compact", "notify"):
            assert of_both(run, task_id) == ["skipped", "success"]
        assert (dataset_root / "reports" / "latest.html").read_text() == "<p>just made</p>"
        assert (other / "reports" / "latest.html").exists()

    def test_leaves_the_first_snapshot_of_a_dataset_to_its_event(
        self, run_by_time: TimedRunner, tmp_path: Path
    ) -> None:
        empty, observed = tmp_path / "empty", tmp_path / "observed"
        observe(local_dataset(observed), datetime.now(timezone.utc), {"photos": []})

        run = run_by_time((ago(1), naming(empty, observed)))

        assert (run.state, of_task(run, "report")) == ("success", {"skipped"})
        assert not empty.exists()
        assert not (observed / "reports").exists()

    def test_reports_a_dataset_whose_snapshots_have_no_events_and_began_just_now(
        self, run_by_time: TimedRunner, dataset_root: Path
    ) -> None:
        for moment in (ago(1), datetime.now(timezone.utc)):
            observe(local_dataset(dataset_root), moment, {"photos": []})

        run_by_time((ago(1), naming(dataset_root)))

        assert (dataset_root / "reports" / "latest.html").exists()

    def test_reports_a_dataset_once_that_is_spelled_in_two_ways(
        self, run_by_time: TimedRunner, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        observe(local_dataset(dataset_root), ago(30), {"photos": []})
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", f"{dataset_root.as_uri()}/")

        run_by_time((ago(1), naming(dataset_root)))

        assert len(list((dataset_root / "reports").glob("report=*"))) == 1

    def test_is_skipped_if_nothing_names_a_dataset(self, run_by_time: TimedRunner) -> None:
        run = run_by_time((ago(1), {"emitted by": "another DAG"}))

        assert run.state == "success"
        assert of_task(run, "events_accepted") == {"success"}
        assert {state for (task_id, _), state in run.tasks.items() if task_id != "events_accepted"} == {"skipped"}

    def test_names_a_dataset_that_is_not_allowed_and_reports_the_configured_one(
        self,
        run_by_time: TimedRunner,
        files: ReportFiles,
        dataset_root: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", dataset_root.as_uri())
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_ALLOW_PARAMS", "off")

        run = run_by_time((ago(1), naming(tmp_path / "other")))

        assert run.state == "failed"
        assert "names a dataset other than the one in the Variable" in run.errors["events_accepted"]
        assert files.latest() is not None
        assert not (tmp_path / "other").exists()

    def test_names_the_variable_if_its_uri_is_not_valid_and_reports_the_others(
        self, run_by_time: TimedRunner, files: ReportFiles, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_DATASET_URI", "s3://bucket/{{ 7 * 7 }}")

        run = run_by_time((ago(1), naming(dataset_root)))

        assert run.state == "failed"
        assert "the Variable glacier_jobs_dataset_uri" in run.errors["events_accepted"]
        assert files.latest() is not None

    def test_sends_once_that_snapshots_have_stopped_and_still_sends_outputs_that_expire(
        self, run_by_time: TimedRunner, dataset_root: Path, messages: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs = [job("soon", "Succeeded", completed=ago(23)), job("later", "Succeeded", completed=ago(20))]
        observe(local_dataset(dataset_root), ago(10), {"photos": jobs})

        def four_hours_earlier(dataset: Dataset, dataset_uri: str) -> dict[str, Any]:
            return make_report(dataset, dataset_uri, now=ago(4))

        with monkeypatch.context() as patch:
            patch.setattr("glacier_jobs.html_report.build.make_report", four_hours_earlier)
            run_by_time((ago(10), naming(dataset_root)))
        run_by_time((ago(10), naming(dataset_root)))

        first, second = [json.loads(line) for line in messages.read_text().splitlines()]
        assert first.startswith("Glacier: snapshots have stopped, 1 output about to expire\n")
        assert f"account 123456789012, Region us-east-1: last observed {ago(10):%Y-%m-%d %H:%M} UTC, 6 h" in first
        assert "job soon" in first
        assert second.startswith("Glacier: 1 output about to expire\n")
        assert "job later" in second


class TestReportsComeAboutHourly:
    #: The time from the end of the wait to the report: the sensor's next poke, and the aggregation of days.
    REPORT_DELAY = timedelta(minutes=3)
    HOURLY = tuple(NOW + timedelta(hours=hour) for hour in range(24))

    @pytest.fixture
    def dag_file(self) -> dict[str, Any]:
        """The names that the DAG file defines."""
        return runpy.run_path(str(ROOT / "dags" / "glacier_jobs_report.py"))

    @pytest.fixture
    def reports_of(self, dag_file: dict[str, Any]) -> Reports:
        """Compute the times of reports by the DAG's rule: one run at a time, each for all events before it."""
        is_due = dag_file["is_due"]

        def reports_of(events: Iterable[datetime]) -> list[datetime]:
            waiting, made = sorted(events), list[datetime]()
            while waiting:
                moment = max([waiting[0], *made[-1:]])
                waiting = [event for event in waiting if event > moment]
                while not is_due(made[-1] if made else None, moment):
                    moment += timedelta(minutes=1)
                made.append(moment + self.REPORT_DELAY)
            return made

        return reports_of

    def lags(self, made: Sequence[datetime]) -> list[timedelta]:
        """Return the time from each hourly event to the first report that includes it."""
        return [min(at for at in made if at >= event) - event for event in self.HOURLY]

    def test_immediately_if_events_are_hourly(self, reports_of: Reports) -> None:
        made = reports_of(self.HOURLY)

        assert made == [event + self.REPORT_DELAY for event in self.HOURLY]

    @pytest.mark.parametrize("minutes", [4, 27, 49, 56])
    def test_with_a_shrinking_lag_after_one_extra_event(self, reports_of: Reports, minutes: int) -> None:
        made = reports_of([*self.HOURLY, NOW + timedelta(minutes=minutes)])

        late = self.lags(made)[1:]
        assert late[0] > self.REPORT_DELAY
        assert all(later < earlier or later == self.REPORT_DELAY for earlier, later in pairwise(late))
        assert set(late[8:]) == {self.REPORT_DELAY}

    def test_immediately_again_within_a_day_of_many_extra_events(self, reports_of: Reports) -> None:
        made = reports_of([*self.HOURLY, *(NOW + timedelta(minutes=minute) for minute in range(0, 120, 7))])

        assert set(self.lags(made)[20:]) == {self.REPORT_DELAY}

    def test_also_by_time_and_only_without_hourly_snapshots(self, dag_file: dict[str, Any]) -> None:
        is_due = dag_file["is_due"]

        # Whenever in the hour the snapshots are reported, the run by time finds a report of the last hour.
        assert not any(is_due(NOON, NOON + timedelta(minutes=minute), by_time=True) for minute in range(100))
        assert is_due(NOON, NOON + timedelta(hours=2), by_time=True)

    def test_for_any_number_of_events(self, reports_of: Reports) -> None:
        made = reports_of(NOW + timedelta(minutes=minute) for minute in range(24 * 60))

        assert all(timedelta(minutes=50) <= later - earlier <= timedelta(hours=1) for earlier, later in pairwise(made))


class Messenger(BaseNotifier):
    """A notifier that appends its messages to a file, one on each line."""

    template_fields = ("text",)

    def __init__(self, text: str, path: str) -> None:
        super().__init__()
        self.text = text
        self.path = path

    def notify(self, context: Context) -> None:
        """Append the message, or fail without retries if that is not possible."""
        try:
            with Path(self.path).open("a") as file:
                file.write(json.dumps(self.text) + "\n")
        except OSError as error:
            raise AirflowFailException(str(error)) from error


class TestNotifying:
    def test_reports_expiring_outputs_and_failed_jobs_once_and_later_only_new_ones(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path, messages: Path
    ) -> None:
        report_dag(dataset_uri=dataset_root.as_uri())
        report_dag(dataset_uri=dataset_root.as_uri())

        (line,) = messages.read_text().splitlines()
        text = json.loads(line)
        assert text.startswith("Glacier: 1 output about to expire, 1 job failed\n")
        assert "vault photos in us-east-1, job urgent (the audit)" in text
        assert "job failed: Not {{ 7 * 7 }} <b>found</b>" in text
        assert f"Report: {dataset_root.as_uri()}/reports/report=" in text

        observe(files.dataset, ago(0.05), {"photos": [job("another", "Failed", completed=ago(0.06))]})
        report_dag(dataset_uri=dataset_root.as_uri())

        _, second = messages.read_text().splitlines()
        assert json.loads(second).startswith("Glacier: 1 job failed\n")
        assert "job another" in second

    def test_names_the_outputs_that_can_be_saved_and_records_only_jobs_that_it_names_or_lists(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path, messages: Path
    ) -> None:
        overdue = [job(f"overdue-{number}", "Succeeded", completed=ago(24.5)) for number in range(25)]
        failed = [job(f"failed-{number}", "Failed", completed=ago(1)) for number in range(25)]
        saveable = [job(f"saveable-{number}", "Succeeded", completed=ago(20)) for number in range(3)]
        observe(files.dataset, ago(0.05), {"photos": [*overdue, *failed, *saveable]})

        report_dag(dataset_uri=dataset_root.as_uri())

        text = json.loads(messages.read_text())
        assert all(f"job {each['JobId']}" in text for each in saveable)
        [linked] = set(re.findall(r"listed in file://(\S+)", text))
        listed = pq.read_table(linked, partitioning=None).to_pylist()
        named = re.findall(r"job ((?:overdue|failed|saveable)-\d+)", text)
        assert len(named) == 2 * MAX_NAMED
        assert {key.rpartition(" ")[2] for key in files.notified()} == {alert["job_id"] for alert in listed}
        assert len(listed) == 53

    def test_is_retried_by_the_next_run_if_it_failed(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path, messages: Path
    ) -> None:
        messages.mkdir()
        assert of_task(report_dag(dataset_uri=dataset_root.as_uri()), "notify") == {"failed"}
        assert files.notified() == {}
        messages.rmdir()

        report_dag(dataset_uri=dataset_root.as_uri())

        assert len(messages.read_text().splitlines()) == 1

    def test_is_refused_if_the_variable_names_no_notifier(
        self, report_dag: Runner, files: ReportFiles, dataset_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_VAR_GLACIER_JOBS_NOTIFIER", "slack")

        run = report_dag(dataset_uri=dataset_root.as_uri())

        assert run.state == "failed"
        assert "the Variable glacier_jobs_notifier: the notifier is not JSON" in run.errors["notify"]
        assert files.latest() is not None
