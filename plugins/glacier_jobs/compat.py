"""What differs between the supported versions of Airflow. Only this module asks what a version has.

The table "What differs between versions of Airflow" in ``include/docs/airflow-versions.md`` says what users notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import Asset
from airflow.sdk.definitions.context import Context

try:
    from airflow.sdk import BaseHook
except ImportError:  # Airflow 3.0
    from airflow.hooks.base import BaseHook  # type: ignore[attr-defined, no-redef]

try:
    from airflow.sdk.configuration import conf
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.configuration import conf

try:
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
        TaskDeferralTimeout,
    )
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        TaskDeferralError,
        TaskDeferralTimeout,
    )

__all__ = [
    "HAS_EXTERNAL_VIEWS",
    "HAS_TASK_STATE_STORE",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseHook",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "asset_events_since",
    "asset_or_time",
    "asset_state_store",
    "conf",
    "task_state_store",
]

#: Whether Airflow keeps a state for each task, across its rescheduled processes and tries: Airflow 3.3 and later.
HAS_TASK_STATE_STORE = "task_state_store" in Context.__annotations__

#: Whether a plugin can add a page to Airflow's UI, whose requests carry the cookie of the sign-in: Airflow 3.1.1 and
#: later. 3.1.0 has pages without the cookie, and is not supported.
HAS_EXTERNAL_VIEWS = hasattr(AirflowPlugin, "external_views")


def task_state_store(context: Mapping[str, Any]) -> Any | None:
    """Return the state store of a task; ``None`` if Airflow has none, or the context is not that of a task."""
    return context.get("task_state_store") if "ti" in context else None


def asset_or_time(asset: Asset, cron: str) -> Any:
    """Return the schedule of a DAG that runs on an asset's events, and at the times of a cron expression in UTC."""
    try:
        from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
    except ImportError:  # Airflow 3.0 and 3.1
        from airflow.timetables.assets import AssetOrTimeSchedule  # type: ignore[assignment]
        from airflow.timetables.trigger import CronTriggerTimetable  # type: ignore[assignment]
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(cron, timezone="UTC"), assets=[asset])


def asset_events_since(context: Context, asset: Asset, since: datetime) -> list[Any]:
    """Return the events of an asset that is an inlet of the task, the oldest first.

    :param since: only events that were created at this time or later.
    """
    events: Any = context["inlet_events"][asset]
    # Airflow 3.0 and 3.1 return all.
    recent = events.after(since.isoformat()) if hasattr(events, "after") else events
    return [event for event in recent if event.timestamp >= since]


def asset_state_store(trigger: object) -> Any | None:
    """Return the state store of the asset that a trigger watches; ``None`` before Airflow 3.3."""
    return getattr(trigger, "asset_state_store", None)
