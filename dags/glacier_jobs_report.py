"""On every news of jobs: history, the answers and the report, and a word to those who must act."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    BaseSensorOperator,
    Param,
    TriggerRule,
    Variable,
    dag,
    get_current_context,
    task,
    task_group,
)
from airflow.sdk.exceptions import AirflowFailException

from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.snapshot.asset_events import announced_datasets

if TYPE_CHECKING:
    from airflow.sdk import Context

    from glacier_jobs.html_report.store import ReportFiles

GLACIER_JOBS = Asset("glacier_jobs")

DATASET_VARIABLE = "glacier_jobs_dataset_uri"
NOTIFIER_VARIABLE = "glacier_jobs_notifier"

#: How long after a report of a dataset events may make the next one. Less than the hour between two snapshots, by more
#: than a wait's last minute and folding take: each report that comes late is followed by one that is less late.
APART = timedelta(minutes=50)

LABEL = "{{ task.op_kwargs['dataset_uri'] }}"

DOC = f"""
### What Glacier's jobs came to

Runs on the asset `glacier_jobs`, for every dataset that its events name; by hand for the param `dataset_uri`, or else
for the Variable `{DATASET_VARIABLE}`. A dataset that fails holds back no other, and fails the run in the end.

- **due** waits until the dataset's latest report is {APART.seconds // 60} minutes old: events make about one report an
  hour, however many they are. A run by hand does not wait.
- **fold** folds the days that have closed into `job_history/`.
- **report** asks all questions and writes the answers as Parquet, and one HTML page, into a folder of its own below
  `reports/`. `reports/latest.html` is the newest page, `reports/latest.json` names the newest answers.
- **notify** tells of outputs that are about to expire and of failed jobs, each once, through the notifier in the
  Variable `{NOTIFIER_VARIABLE}`, for example:
  `{{"notifier": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier", "arguments":
  {{"text": "{{{{ glacier_jobs_alert.text }}}}"}}}}`. Without the Variable nobody is told.
"""


@task
def datasets() -> list[str]:
    """Return the URIs of the datasets that the triggering events name, or else of the one that is configured."""
    context = get_current_context()
    events = [event for events in context["triggering_asset_events"].values() for event in events]
    if found := announced_datasets(event.extra for event in events):
        return found
    dataset_uri = context["params"]["dataset_uri"] or Variable.get(DATASET_VARIABLE, default=None)
    if not dataset_uri:
        raise AirflowFailException(f"no dataset: give the param dataset_uri, or set the Variable {DATASET_VARIABLE}")
    return [dataset_uri]


def is_due(made_at: datetime | None, now: datetime) -> bool:
    """Tell whether an event may make a report of a dataset.

    :param made_at: when the dataset's latest report was made; ``None`` before the first.
    """
    return made_at is None or now - made_at >= APART


class Due(BaseSensorOperator):
    """Wait, where events triggered the run, until a report of the dataset is due."""

    template_fields = ("dataset_uri",)

    def __init__(self, *, dataset_uri: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_uri = dataset_uri

    def poke(self, context: Context) -> bool:
        """Tell whether the wait is over."""
        if not any(context["triggering_asset_events"].values()):
            return True
        try:
            made_at = _files(self.dataset_uri).latest_made_at()
        except Exception:
            # Folding and reporting meet it as well, and fail for this dataset by name.
            self.log.warning("cannot read when %s was last reported", self.dataset_uri, exc_info=True)
            return True
        return is_due(made_at, datetime.now(timezone.utc))


@task(map_index_template=LABEL)
def fold(dataset_uri: str) -> None:
    """Fold the days that have closed."""
    from glacier_jobs.history import History, fold_closed_days

    dataset = _files(dataset_uri).dataset
    try:
        fold_closed_days(dataset, History.beside(dataset), now=datetime.now(timezone.utc))
    except FinalError as error:
        raise AirflowFailException(str(error)) from error


@task(map_index_template=LABEL, trigger_rule=TriggerRule.ALL_DONE)
def report(dataset_uri: str) -> str:
    """Write the answers and the page; return the report's name."""
    from glacier_jobs.html_report.build import make_report

    made = make_report(_files(dataset_uri).dataset, dataset_uri, now=datetime.now(timezone.utc))
    name: str = made["report"]
    return name


@task(map_index_template=LABEL)
def notify(dataset_uri: str, name: str) -> list[str]:
    """Tell what a report says and was not told yet; return the ids of the jobs that were told of."""
    configured = Variable.get(NOTIFIER_VARIABLE, default=None)
    if not configured:
        return []
    from glacier_jobs.alerts.notifier import parse_notifier, tell
    from glacier_jobs.alerts.rules import alerts_of, message, remembered, untold

    try:
        notifier = parse_notifier(configured)
    except InvalidArgument as error:
        raise AirflowFailException(f"the Variable {NOTIFIER_VARIABLE}: {error}") from error
    files = _files(dataset_uri)
    told = files.told()
    alerts = alerts_of(files.answer(name, "expiring_outputs"), files.answer(name, "failures"))
    if new := untold(alerts, told):
        tell(
            notifier,
            message(new, dataset_uri=dataset_uri, report=f"{dataset_uri.rstrip('/')}/reports/{name}/report.html"),
            get_current_context(),
        )
        # Only now: told twice is better than not at all.
        files.remember_told(remembered(told, new, datetime.now(timezone.utc)))
    return [alert.job_id for alert in new]


def _files(dataset_uri: str) -> ReportFiles:
    from glacier_jobs.html_report.store import ReportFiles
    from glacier_jobs.storage import open_dataset

    try:
        return ReportFiles(open_dataset(dataset_uri))
    except FinalError as error:
        raise AirflowFailException(str(error)) from error


@task(map_index_template=LABEL)
def folded(dataset_uri: str) -> None:
    """Fail the run where the dataset could not be folded, though its report was written all the same."""


@task_group(prefix_group_id=False)
def of_dataset(dataset_uri: str) -> None:
    """Report one dataset, whatever becomes of the others."""
    due = Due(
        task_id="due",
        dataset_uri=dataset_uri,
        map_index_template="{{ task.dataset_uri }}",
        mode="reschedule",
        poke_interval=60,
        timeout=2 * 60 * 60,
    )
    # By keyword: the label finds the dataset there.
    made: Any = report(dataset_uri=dataset_uri)
    due >> fold(dataset_uri=dataset_uri) >> [made, folded(dataset_uri=dataset_uri)]
    notify(dataset_uri=dataset_uri, name=made)


@dag(
    dag_id="glacier_jobs_report",
    schedule=[GLACIER_JOBS],
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Events that come during a run, also while it waits, become one run after it.
    max_active_runs=1,
    params={
        "dataset_uri": Param(
            None,
            type=["null", "string"],
            title="Dataset",
            description_md="For a run by hand: `file:///…` or `s3://conn_id@bucket/…`; empty for the Variable "
            f"`{DATASET_VARIABLE}`.",
        ),
    },
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=2),
    },
    tags=["glacier", "aws", "report"],
    doc_md=DOC,
)
def glacier_jobs_report() -> None:
    """Fold what has closed, report, and tell."""
    of_dataset.expand(dataset_uri=datasets())


glacier_jobs_report()
