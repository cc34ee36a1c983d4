"""After each snapshot, and hourly without one: aggregate and compact finalized days, report, notify."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import (
    Asset,
    BaseSensorOperator,
    Param,
    Variable,
    dag,
    get_current_context,
    task,
    task_group,
)

from glacier_jobs.arguments import ALLOW_PARAMS_VARIABLE, check_params_allowed, params_allowed, switched_on
from glacier_jobs.compat import AirflowFailException, AirflowSkipException, asset_events_since, asset_or_time
from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.no_retries import without_retries
from glacier_jobs.snapshot.asset_events import announced_datasets

if TYPE_CHECKING:
    from airflow.sdk import Context

    from glacier_jobs.dataset.layout import Dataset
    from glacier_jobs.html_report.store import ReportFiles

GLACIER_JOBS = Asset("glacier_jobs")

DATASET_VARIABLE = "glacier_jobs_dataset_uri"
NOTIFIER_VARIABLE = "glacier_jobs_notifier"
COMPACTION_VARIABLE = "glacier_jobs_compaction"

#: How many days of a dataset one run compacts: so that a backlog of years does not exceed the time of a task.
DAYS_COMPACTED = 31

#: The shortest time between two reports of a dataset that events start. It is less than the hour between two snapshots,
#: by more than a wait's last minute and the aggregation take: so after a late report, the next one is less late.
APART = timedelta(minutes=50)

#: When runs start by time.
BY_TIME = "40 * * * *"

#: How old the latest report is when the time starts another: so old that an event of an hourly snapshot has not come.
OVERDUE = timedelta(minutes=100)

#: A first snapshot that began within this time may have been published just now: its event starts the report.
JUST_OBSERVED = timedelta(minutes=5)

#: A run that starts by time reports the datasets in the events of this time.
NAMED_WITHIN = timedelta(days=7)

LABEL = "{{ ti.task.op_kwargs['dataset_uri'] }}"

DOC = f"""
### Report on Glacier jobs

Runs on the asset `glacier_jobs`, for each dataset in its events. It also runs every hour by time, so that it notices
when snapshots stop: for the dataset in the Variable `{DATASET_VARIABLE}`, and for each in the events of the last
{NAMED_WITHIN.days} days. A manual run reports the dataset in the param `dataset_uri`, or in the Variable. If one
dataset fails, the others are still reported, and the run fails at the end.

Whoever may trigger this DAG, or create events of the asset, chooses among all connections and destinations. With the
value `false`, the Variable `{ALLOW_PARAMS_VARIABLE}` switches the param off, and in events it allows only the dataset
of the Variable `{DATASET_VARIABLE}`.

- **events_accepted** fails the run if an event names a dataset by a URI that is not valid or not allowed. In a run by
  time, that includes the URI in the Variable.
- **due** waits until the latest report of the dataset is {APART.seconds // 60} minutes old, so that there is about one
  report per hour. A run by time does not wait: it skips a dataset with a report of the last
  {OVERDUE.seconds // 60} minutes, and leaves a first snapshot to its event. A manual run does not wait either, and
  reports.
- **fold** aggregates finalized days into `history/v2/`, and into `history/v2/partials/` what later days show so far.
- **report** writes each job of the last days, as last seen, to `history/v2/jobs_latest/`. It answers all questions and
  writes the answers as Parquet and one HTML page to a new folder in `reports/`.
  `reports/latest.html` is the newest page. `reports/latest.json` names the newest answers.
- **compact** writes the raw files of each finalized day to one file for each table in `compacted/`, at most
  {DAYS_COMPACTED} days in a run, and tags the raw files on S3. With the value `false`, the Variable
  `{COMPACTION_VARIABLE}` switches it off. If it fails, the report is written all the same, and the run fails.
- **folded** fails the run if the days could not be aggregated. The report is written all the same.
- **notify** sends one message about outputs that expire soon, failed jobs, and accounts and Regions that are not
  observed, each once, with the notifier in the Variable `{NOTIFIER_VARIABLE}`, for example:
  `{{"notifier": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier", "arguments":
  {{"text": "{{{{ glacier_jobs_alert.text }}}}"}}}}`. Without the Variable, no message is sent.
"""


@task(inlets=[GLACIER_JOBS])
def datasets() -> list[str]:
    """Return the URIs of the datasets in events, or of the configured dataset; in a run by time, of both."""
    from glacier_jobs.dataset.storage import configured_location

    context = get_current_context()
    param = context["params"]["dataset_uri"] or None
    with without_retries():
        check_params_allowed({"dataset_uri": param}, Variable.get(ALLOW_PARAMS_VARIABLE, default=None))
        accepted, faults = _named(context)
        if accepted:
            return accepted
        if faults:
            raise InvalidArgument("\n".join(faults))
        if _is_by_time(context):
            raise AirflowSkipException(
                f"nothing to report: the Variable {DATASET_VARIABLE} is not set, and no event of the asset "
                f"glacier_jobs named a dataset in the last {NAMED_WITHIN.days} days"
            )
        return [configured_location(param, DATASET_VARIABLE)]


@task(inlets=[GLACIER_JOBS])
def events_accepted() -> None:
    """Fail the run if the URI of a dataset is not valid or not allowed; the other datasets are reported."""
    with without_retries():
        _, faults = _named(get_current_context())
        if faults:
            raise InvalidArgument("\n".join(faults))


def _is_by_time(context: Context) -> bool:
    run: Any = context["dag_run"]
    return bool(run.run_type == "scheduled")


def _named(context: Context) -> tuple[list[str], list[str]]:
    """Return the URIs of datasets that are valid and allowed, and for each other URI what is wrong.

    They are those in the triggering events. In a run by time, they are the configured dataset and those in recent
    events. Whoever may create asset events chooses these.
    """
    from glacier_jobs.dataset.storage import check_location

    any_dataset = params_allowed(Variable.get(ALLOW_PARAMS_VARIABLE, default=None))
    configured = Variable.get(DATASET_VARIABLE, default=None)
    events = [event for events in context["triggering_asset_events"].values() for event in events]
    named = {}
    if _is_by_time(context):
        events = asset_events_since(context, GLACIER_JOBS, datetime.now(timezone.utc) - NAMED_WITHIN)
        named = {configured: f"the Variable {DATASET_VARIABLE}"} if configured else {}
    elif events:
        # While a DAG has as many runs as it may have, Airflow queues one of its events, and no run has those after it.
        # Those that came since this run was created have a run of their own.
        later = asset_events_since(context, GLACIER_JOBS, min(event.timestamp for event in events))
        started_at: Any = context["dag_run"].start_date
        events += [event for event in later if event.timestamp <= started_at]
    spelled = {uri.rstrip("/") for uri in named}
    for uri in announced_datasets(event.extra for event in events):
        if uri.rstrip("/") not in spelled:
            spelled.add(uri.rstrip("/"))
            named[uri] = "dataset_uri in an event of the asset glacier_jobs"
    accepted, faults = [], []
    for uri, source in named.items():
        try:
            check_location(uri, source)
            if not any_dataset and uri != configured:
                raise InvalidArgument(
                    "an event of the asset glacier_jobs names a dataset other than the one in the Variable "
                    f"{DATASET_VARIABLE}, which the Variable {ALLOW_PARAMS_VARIABLE} does not allow"
                )
            accepted.append(uri)
        except FinalError as error:
            faults.append(str(error))
    return accepted, faults


def is_due(made_at: datetime | None, now: datetime, *, by_time: bool = False) -> bool:
    """Return whether it is time for the next report of a dataset.

    :param made_at: when the latest report was made; ``None`` if there is none.
    :param by_time: whether the time and not an event starts it.
    """
    return made_at is None or now - made_at >= (OVERDUE if by_time else APART)


def _only_its_event_may_report(dataset: Dataset, now: datetime) -> bool:
    """Return whether a dataset without a report has no snapshot, or a first one whose event may be on its way."""
    from glacier_jobs.dataset.layout import moment_of

    return all(now - moment_of(each) < JUST_OBSERVED for each in dataset.observation_ids())


class Due(BaseSensorOperator):
    """Wait until a report of the dataset is due, if events triggered the run; in a run by time, skip it until then."""

    template_fields = ("dataset_uri",)

    def __init__(self, *, dataset_uri: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_uri = dataset_uri

    def poke(self, context: Context) -> bool:
        """Return whether the wait is over."""
        by_time = _is_by_time(context)
        if not by_time and not any(context["triggering_asset_events"].values()):
            return True
        try:
            files = _files(self.dataset_uri)
            made_at = files.latest_made_at()
            now = datetime.now(timezone.utc)
            left_alone = by_time and made_at is None and _only_its_event_may_report(files.dataset, now)
        except Exception:
            # The next tasks meet the same error, and fail for this dataset by name.
            self.log.warning("cannot read when %s was last reported", self.dataset_uri, exc_info=True)
            return True
        due = is_due(made_at, now, by_time=by_time)
        if by_time and not due:
            raise AirflowSkipException(f"{self.dataset_uri} was reported less than {OVERDUE} ago, at {made_at}")
        if left_alone:
            raise AirflowSkipException(f"{self.dataset_uri} has no snapshot yet, or one whose event starts a report")
        return due


@task(map_index_template=LABEL)
def fold(dataset_uri: str) -> None:
    """Aggregate the finalized days, and what the later days show."""
    from glacier_jobs.history import History, aggregate_open_days, fold_closed_days

    dataset = _files(dataset_uri).dataset
    history = History.beside(dataset)
    with without_retries():
        try:
            fold_closed_days(dataset, history, now=datetime.now(timezone.utc))
        finally:
            # Also if a day cannot be aggregated: then questions read many days after the aggregated ones.
            aggregate_open_days(dataset, history, now=datetime.now(timezone.utc))


@task(map_index_template=LABEL)
def compact(dataset_uri: str) -> None:
    """Compact the finalized days."""
    with without_retries():
        if not switched_on(Variable.get(COMPACTION_VARIABLE, default=None), COMPACTION_VARIABLE):
            raise AirflowSkipException(f"the Variable {COMPACTION_VARIABLE} switches compaction off")
    from glacier_jobs.compaction import compact_closed_days

    dataset = _files(dataset_uri).dataset
    with without_retries():
        compact_closed_days(dataset, now=datetime.now(timezone.utc), limit=DAYS_COMPACTED)


# Also if the days could not be aggregated, but not if the dataset is skipped.
@task(map_index_template=LABEL, trigger_rule="none_skipped")
def report(dataset_uri: str) -> str:
    """Write the answers and the HTML page; return the name of the report."""
    from glacier_jobs.html_report.build import make_report

    made = make_report(_files(dataset_uri).dataset, dataset_uri)
    name: str = made["report"]
    return name


@task(map_index_template=LABEL)
def notify(dataset_uri: str, name: str) -> list[str]:
    """Send a message about the alerts of a report that were not sent yet; return their keys."""
    configured = Variable.get(NOTIFIER_VARIABLE, default=None)
    if not configured:
        return []
    from glacier_jobs.alerts.notifier import notify_with, parse_notifier
    from glacier_jobs.alerts.rules import message, not_notified, remembered

    try:
        notifier = parse_notifier(configured)
    except InvalidArgument as error:
        raise AirflowFailException(f"the Variable {NOTIFIER_VARIABLE}: {error}") from error
    files = _files(dataset_uri)
    notified = files.notified()
    alerts = files.alerts(name)
    if new := not_notified(alerts, notified):
        notify_with(
            notifier,
            message(new, dataset_uri=dataset_uri, report=f"{dataset_uri.rstrip('/')}/reports/{name}"),
            get_current_context(),
        )
    # Only now: two messages are better than none.
    later = remembered(notified, alerts, datetime.now(timezone.utc))
    if later != notified:
        files.store_notified(later)
    return [alert.key for alert in new]


def _files(dataset_uri: str) -> ReportFiles:
    from glacier_jobs.html_report.store import ReportFiles
    from glacier_jobs.storage import open_dataset

    with without_retries():
        return ReportFiles(open_dataset(dataset_uri))


@task(map_index_template=LABEL)
def folded(dataset_uri: str) -> None:
    """Fail the run if the days could not be aggregated, although the report was written."""


@task_group(prefix_group_id=False)
def of_dataset(dataset_uri: str) -> None:
    """Report one dataset, independently of the others."""
    due = Due(
        task_id="due",
        dataset_uri=dataset_uri,
        map_index_template="{{ ti.task.dataset_uri }}",
        mode="reschedule",
        poke_interval=60,
        timeout=2 * 60 * 60,
    )
    # By keyword, because the label reads the dataset from the keyword arguments.
    made: Any = report(dataset_uri=dataset_uri)
    due >> fold(dataset_uri=dataset_uri) >> [made, folded(dataset_uri=dataset_uri), compact(dataset_uri=dataset_uri)]
    notify(dataset_uri=dataset_uri, name=made)


@dag(
    dag_id="glacier_jobs_report",
    schedule=asset_or_time(GLACIER_JOBS, BY_TIME),
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    # Events during a run, also while it waits, start one run after it, which reports the datasets of all of them.
    max_active_runs=1,
    params={
        "dataset_uri": Param(
            None,
            type=["null", "string"],
            title="Dataset",
            description_md="For a manual run: `file:///…` or `s3://conn_id@bucket/…`; empty for the Variable "
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
    """Aggregate finalized days, report, and notify."""
    events_accepted()
    of_dataset.expand(dataset_uri=datasets())


glacier_jobs_report()
