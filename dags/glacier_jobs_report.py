"""On every news of jobs: history, the answers and the report, and a word to those who must act."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseSensorOperator, Param, TriggerRule, Variable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.news import announced_datasets

if TYPE_CHECKING:
    from airflow.sdk import Context

    from glacier_jobs.report_files import ReportFiles

GLACIER_JOBS = Asset("glacier_jobs")

DATASET_VARIABLE = "glacier_jobs_dataset_uri"
NOTIFIER_VARIABLE = "glacier_jobs_notifier"

DOC = f"""
### What Glacier's jobs came to

Runs on the asset `glacier_jobs`, at most once in each hour of the clock, for every dataset that its events name; by
hand for the param `dataset_uri`, or else for the Variable `{DATASET_VARIABLE}`.

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


class NextHour(BaseSensorOperator):
    """Wait, where the run was triggered, for an hour of the clock that has no report yet."""

    template_fields = ("dataset_uris",)

    def __init__(self, *, dataset_uris: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_uris = dataset_uris

    def poke(self, context: Context) -> bool:
        """Tell whether the wait is over."""
        if not any(context["triggering_asset_events"].values()):
            return True
        this_hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
        made_at = [_files(dataset_uri).latest_made_at() for dataset_uri in self.dataset_uris]
        return any(at is None or at < this_hour for at in made_at)


@task(map_index_template="{{ task.op_kwargs['dataset_uri'] }}")
def fold(dataset_uri: str) -> str:
    """Fold the days that have closed."""
    from glacier_jobs.history import History, fold_closed_days

    dataset = _files(dataset_uri).dataset
    try:
        fold_closed_days(dataset, History.beside(dataset), now=datetime.now(timezone.utc))
    except FinalError as error:
        raise AirflowFailException(str(error)) from error
    return dataset_uri


@task(map_index_template="{{ task.op_kwargs['dataset_uri'] }}", trigger_rule=TriggerRule.ALL_DONE)
def report(dataset_uri: str) -> dict[str, Any]:
    """Write the answers and the page; return where they are."""
    from glacier_jobs.report import make_report

    made = make_report(_files(dataset_uri).dataset, dataset_uri, now=datetime.now(timezone.utc))
    return {"dataset_uri": dataset_uri, "report": made["report"]}


@task(map_index_template="{{ task.op_kwargs['made']['dataset_uri'] }}")
def notify(made: dict[str, Any]) -> list[str]:
    """Tell what was not told yet; return the ids of the jobs that were told of."""
    configured = Variable.get(NOTIFIER_VARIABLE, default=None)
    if not configured:
        return []
    from glacier_jobs.alerts import alerts_of, message, remembered, untold
    from glacier_jobs.notifying import parse_notifier, tell

    try:
        notifier = parse_notifier(configured)
    except InvalidArgument as error:
        raise AirflowFailException(f"the Variable {NOTIFIER_VARIABLE}: {error}") from error
    dataset_uri, name = made["dataset_uri"], made["report"]
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
    from glacier_jobs.report_files import ReportFiles
    from glacier_jobs.storage import open_dataset

    try:
        return ReportFiles(open_dataset(dataset_uri))
    except FinalError as error:
        raise AirflowFailException(str(error)) from error


@task
def folded(days: list[str]) -> None:
    """Fail the run where a dataset could not be folded, though its report was written all the same."""


@dag(
    dag_id="glacier_jobs_report",
    schedule=[GLACIER_JOBS],
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Events that come during a run, also while it waits for the hour, become one run after it.
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
    found: Any = datasets()
    days: Any = fold.expand(dataset_uri=found)
    NextHour(task_id="next_hour", dataset_uris=found, mode="reschedule", poke_interval=60, timeout=2 * 60 * 60) >> days
    made = report.expand(dataset_uri=found)
    days >> [made, folded(days)]
    notify.expand(made=made)


glacier_jobs_report()
