"""Run a sensor's whole wait in each mode, as Airflow does, in one process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

import pytest
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.triggers.base import BaseTrigger, TriggerEvent

from glacier_jobs.compat import HAS_TASK_STATE_STORE
from glacier_jobs.errors import TransientError
from glacier_jobs.sensors import GlacierJobSensor
from glacier_jobs.triggers import GlacierJobTrigger
from tests.versions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferred,
)

Mode: TypeAlias = Literal["poke", "reschedule", "deferrable"]
#: The modes that this version of Airflow supports.
MODES: tuple[Mode, ...] = ("poke", *(("reschedule",) if HAS_TASK_STATE_STORE else ()), "deferrable")

#: Before Airflow 3.3, the mode reschedule is refused: ``tests/conftest.py`` leaves these tests out.
needs_task_state_store = pytest.mark.needs_task_state_store

#: Longer than any wait in a test takes. A test that hangs fails after this time.
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Ended:
    """How a wait ended: ``value`` is the XCom of a success, or the message of an error."""

    how: Literal["success", "failed at once", "timed out", "skipped", "to be retried"]
    value: Any = None


class StateStore:
    """Stores JSON values, as Airflow's state store of a task does."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self._values[key]) if key in self._values else default

    def set(self, key: str, value: Any) -> None:
        self._values[key] = json.dumps(value)


@dataclass
class TaskInstance:
    """The part of a task instance that a sensor uses."""

    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    try_number: int = 1
    first_reschedule_date: datetime | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule_date

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def new_context(**ti: Any) -> Any:
    """Return the part of a task's context that a sensor uses."""
    return {"ti": TaskInstance(**ti), "task_state_store": StateStore()}


def wait(mode: Mode, context: Any = None, **arguments: Any) -> Ended:
    """Run a sensor until its wait ends. The trigger sends its event without its initial delay."""
    arguments = {"task_id": "wait", "poke_interval": 0.05, **arguments}
    context = context or new_context()
    if mode == "deferrable":
        return ended(lambda: _deferred(context, arguments))
    if mode == "reschedule":
        return ended(lambda: _rescheduled(context, arguments))
    return ended(lambda: GlacierJobSensor(mode="poke", deferrable=False, **arguments).execute(context))


def ended(execute: Callable[[], Any]) -> Ended:
    """Tell how the execution of a task ended."""
    try:
        return Ended("success", execute())
    except AirflowSkipException:
        return Ended("skipped")
    except AirflowFailException as error:
        return Ended("failed at once", str(error))
    except AirflowSensorTimeout as error:
        return Ended("timed out", str(error))
    except (TransientError, AirflowException, TaskDeferralError) as error:
        return Ended("to be retried", str(error))


def _rescheduled(context: Any, arguments: Mapping[str, Any]) -> Any:
    while True:
        try:
            return GlacierJobSensor(mode="reschedule", deferrable=False, **arguments).execute(context)
        except AirflowRescheduleException:
            ti = context["ti"]
            ti.first_reschedule_date = ti.first_reschedule_date or datetime.now(timezone.utc)
            # Airflow sets a new start date for each poke of a rescheduled try.
            ti.start_date = datetime.now(timezone.utc)


def _deferred(context: Any, arguments: Mapping[str, Any]) -> Any:
    sensor = GlacierJobSensor(deferrable=True, **arguments)
    try:
        return sensor.execute(context)
    except TaskDeferred as error:
        deferred = error
    while True:
        event = run(rebuilt(deferred.trigger, quiet_seconds=0.0))
        try:
            return resumed(deferred, event.payload, context, **arguments)
        except TaskDeferred as error:
            deferred = error


def resumed(deferred: TaskDeferred, event: Any, context: Any = None, **arguments: Any) -> Any:
    """Resume a task after the event of its trigger, in a new sensor, as another process does."""
    sensor = GlacierJobSensor(**{"task_id": "wait", "deferrable": True, **arguments})
    return sensor.resume_execution(deferred.method_name, {"event": event}, context or new_context())


def resumed_after_timeout(context: Any, **arguments: Any) -> Ended:
    """Resume a task whose deferral Airflow ended at its time-out, because no triggerer ran."""
    sensor = GlacierJobSensor(**{"task_id": "wait", "deferrable": True, **arguments})
    failed = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    return ended(lambda: sensor.resume_execution(TRIGGER_FAIL_REPR, failed, context))


def deferral(context: Any = None, **arguments: Any) -> TaskDeferred:
    """Run a deferrable sensor until it defers."""
    sensor = GlacierJobSensor(**{"task_id": "wait", "deferrable": True, **arguments})
    try:
        sensor.execute(context or new_context())
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError("the sensor did not defer")


def rebuilt(trigger: BaseTrigger, **changes: Any) -> GlacierJobTrigger:
    """Create a trigger again from its serialized form, which Airflow's database stores as JSON."""
    classpath, kwargs = trigger.serialize()
    assert classpath == "glacier_jobs.triggers.GlacierJobTrigger"
    return GlacierJobTrigger(**{**json.loads(json.dumps(kwargs)), **changes})


def run(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger in a new event loop, and return its first event as Airflow's database stores it."""
    return asyncio.run(first_event(trigger))


async def first_event(trigger: BaseTrigger) -> TriggerEvent:
    """Run a trigger until its first event."""

    async def first() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    event = await asyncio.wait_for(first(), TIMEOUT_SECONDS)
    return TriggerEvent(json.loads(json.dumps(event.payload)))  # type: ignore[no-untyped-call]  # Airflow's function has no types
