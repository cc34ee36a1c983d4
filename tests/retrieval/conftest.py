"""Fixtures for the tests of jobs that are started once: a vault with archives, and a clock that pauses move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from glacier_jobs.hooks import GlacierJobsHook
from glacier_jobs.retrieval.intents import Intents
from glacier_jobs.retrieval.starter import JobStarter
from local_aws.client import Control
from tests.conftest import Connect
from tests.waits import StateStore


@dataclass
class Time:
    """The time of the local AWS. A pause advances its clock, and returns at once."""

    control: Control
    pauses: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.control.set_clock()

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.control.advance(seconds)

    @property
    def paused(self) -> timedelta:
        return timedelta(seconds=sum(self.pauses))


@pytest.fixture
def time(local_aws: Control) -> Time:
    local_aws.set_clock(speed=0)
    return Time(local_aws)


@pytest.fixture
def hook(connect: Connect, local_aws: Control) -> GlacierJobsHook:
    """A hook for an account with the vault ``photos``, which has the archives ``a1`` and ``a2``."""
    local_aws.add_vaults("photos")
    local_aws.add_archives("photos", [{"ArchiveId": each, "Size": 3 * 1024 * 1024} for each in ("a1", "a2")])
    return GlacierJobsHook(aws_conn_id=connect())


#: Returns a starter for these arguments.
NewStarter = Callable[..., JobStarter]


@pytest.fixture
def new_starter(hook: GlacierJobsHook, time: Time) -> NewStarter:
    def new(store: StateStore | None = None, **arguments: Any) -> JobStarter:
        context = {} if store is None else {"ti": object(), "task_state_store": store}
        return JobStarter(hook=hook, intents=Intents(context), clock=time.now, pause=time.pause, **arguments)

    return new
