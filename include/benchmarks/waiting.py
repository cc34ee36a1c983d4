"""``python -m benchmarks.waiting``: a thousand deferred sensors in one event loop, as a triggerer holds them.

They await a job each, of one vault with five times as many, for several intervals; then all jobs succeed, and each
tells it. Printed are the calls made, by the local AWS's own count and against those of a single listing; the longest
time for which the event loop was stalled; and the memory that a trigger costs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psutil

from local_airflow.environment import airflow_environment
from local_aws.client import Control
from local_aws.process import running

if TYPE_CHECKING:
    from glacier_jobs.triggers import GlacierJobTrigger

_HEARTBEAT_SECONDS = 0.002
_FULL = 2
_HOURS = 3600


@dataclass(frozen=True, kw_only=True)
class Held:
    """What it took to hold the triggers."""

    triggers: int
    polls: int
    calls: int
    calls_of_one_listing: int
    longest_stall_seconds: float
    """While they wait and are served; full garbage collections aside."""
    longest_collection_seconds: float
    """Of Python's full garbage collections meanwhile, over all that Airflow and botocore hold."""
    longest_stall_of_beginning_seconds: float
    """While they begin."""
    memory_bytes: int
    """How much the process grew, over all triggers."""
    told: int
    """How many triggers said in the end that their job had succeeded."""


class Heartbeat:
    """Notices when the event loop is late, and how much of that Python's full garbage collections take.

    They stop every thread of a triggerer, whatever it waits for, and their length is that of all that it has loaded.
    """

    def __init__(self) -> None:
        self.longest_stall_seconds = 0.0
        self.longest_collection_seconds = 0.0
        self._collected_seconds = 0.0
        self._collection_began: float | None = None
        gc.callbacks.append(self._collects)
        self._task = asyncio.ensure_future(self._beat())

    def _collects(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < _FULL:
            return
        if phase == "start":
            self._collection_began = time.perf_counter()
        elif self._collection_began is not None:
            seconds = time.perf_counter() - self._collection_began
            self._collected_seconds, self._collection_began = self._collected_seconds + seconds, None
            self.longest_collection_seconds = max(self.longest_collection_seconds, seconds)

    def _collecting_seconds(self) -> float:
        """Return what collections took so far; one in another thread may be over before that thread can say so."""
        under_way = 0.0 if self._collection_began is None else time.perf_counter() - self._collection_began
        return self._collected_seconds + under_way

    async def _beat(self) -> None:
        while True:
            slept_at, collected_seconds = time.perf_counter(), self._collecting_seconds()
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            stall_seconds = time.perf_counter() - slept_at - _HEARTBEAT_SECONDS
            stall_seconds -= self._collecting_seconds() - collected_seconds
            self.longest_stall_seconds = max(self.longest_stall_seconds, stall_seconds)

    async def stop(self) -> None:
        """Notice nothing more."""
        gc.callbacks.remove(self._collects)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def hold(local_aws: Control, job_ids: list[str], *, listed: int, intervals: int, poll_seconds: float) -> Held:
    """Hold a trigger for each job through some intervals, and then let all jobs succeed.

    :param listed: how many jobs a listing of the vault shows.
    """
    process = psutil.Process()
    ready_bytes = process.memory_info().rss
    local_aws.reset_calls()
    beginning = Heartbeat()
    told = []
    for job_id in job_ids:
        told.append(asyncio.ensure_future(_outcome(_trigger(job_id, poll_seconds))))
        await asyncio.sleep(0)
    await _calls(local_aws, 1)
    await beginning.stop()
    waiting = Heartbeat()
    pages = -(-listed // 50)
    await _calls(local_aws, intervals * pages)
    held_bytes = process.memory_info().rss
    await asyncio.to_thread(local_aws.advance, 5 * _HOURS)
    outcomes = await asyncio.gather(*told)
    await waiting.stop()
    calls = (await asyncio.to_thread(local_aws.calls)).total
    return Held(
        triggers=len(job_ids),
        polls=round(calls / pages),
        calls=calls,
        calls_of_one_listing=pages,
        longest_stall_seconds=waiting.longest_stall_seconds,
        longest_collection_seconds=waiting.longest_collection_seconds,
        longest_stall_of_beginning_seconds=beginning.longest_stall_seconds,
        memory_bytes=held_bytes - ready_bytes,
        told=outcomes.count("judged"),
    )


async def _calls(local_aws: Control, at_least: int) -> None:
    while (await asyncio.to_thread(local_aws.calls)).total < at_least:  # noqa: ASYNC110 - another process counts
        await asyncio.sleep(0.1)


def _trigger(job_id: str, poll_seconds: float) -> GlacierJobTrigger:
    from glacier_jobs.triggers import GlacierJobTrigger
    from glacier_jobs.waiting.state import Wait, to_json

    now = datetime.now(timezone.utc)
    return GlacierJobTrigger(
        vault_name="photos",
        account_id="-",
        job_ids=[job_id],
        wait=to_json(Wait(started_at=now, pending=(job_id,)), [job_id]),
        deadline=(now + timedelta(hours=1)).isoformat(),
        missing_grace_seconds=900.0,
        poll_seconds=poll_seconds,
        max_bad_polls=3,
        wait_for_all=False,
        aws_conn_id="aws_default",
        region_name=None,
        verify=None,
        botocore_config=None,
        quiet_seconds=poll_seconds,
    )


async def _outcome(trigger: GlacierJobTrigger) -> str:
    async for event in trigger.run():
        return str(event.payload["outcome"])
    raise AssertionError("the trigger ended without an event")


def _told(held: Held, console: TextIO) -> None:
    unshared = held.triggers * held.polls
    lines = [
        f"{held.triggers} triggers in one event loop, through {held.polls} polls:",
        f"  calls made                     {held.calls}",
        f"  per poll, of one listing's     {held.calls / held.polls / held.calls_of_one_listing:.2f}",
        f"  of those of a poll by each     {held.calls / unshared:.3f}",
        f"  longest stall of the loop      {1000 * held.longest_stall_seconds:.0f} ms "
        f"(while all begin: {1000 * held.longest_stall_of_beginning_seconds:.0f} ms)",
        f"  longest garbage collection     {1000 * held.longest_collection_seconds:.0f} ms, not counted above",
        f"  memory a trigger               {held.memory_bytes / held.triggers / 1024:.1f} KiB",
        f"  told that their job succeeded  {held.told}",
    ]
    print(*lines, sep="\n", file=console)


def main() -> int:
    """Run the benchmark; the result is the exit code, 1 if a trigger was not served."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--triggers", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=5_000, help="in the vault; the awaited ones lie among them")
    parser.add_argument("--intervals", type=int, default=5)
    parser.add_argument("--poll-seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true", help="tell it for a program")
    options = parser.parse_args()
    if options.jobs < options.triggers:
        parser.error(f"{options.triggers} triggers cannot await {options.jobs} jobs")
    with tempfile.TemporaryDirectory() as folder, running() as local_aws:
        environment = airflow_environment(Path(folder), endpoint=local_aws.endpoint, dataset=Path(folder), targets=[])
        os.environ.clear()
        os.environ.update(environment)
        jobs = local_aws.add_jobs("photos", [{"_life": {"duration_seconds": 4 * _HOURS}}] * options.jobs)
        # The last one with them: a poll ends once all awaited jobs were found.
        job_ids = [jobs[-1 - number * len(jobs) // options.triggers] for number in range(options.triggers)]
        with os.fdopen(os.dup(1), "w") as console, (Path(folder) / "log").open("w") as log:
            # Every trigger logs each poll, as it does in a triggerer; that is to be measured, and not to be read.
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            import glacier_jobs.triggers  # noqa: F401 - before anything is measured

            held = asyncio.run(
                hold(
                    local_aws,
                    job_ids,
                    listed=options.jobs,
                    intervals=options.intervals,
                    poll_seconds=options.poll_seconds,
                )
            )
            if options.json:
                print(json.dumps(asdict(held)), file=console)
            else:
                _told(held, console)
    return 0 if held.told == held.triggers else 1


if __name__ == "__main__":
    sys.exit(main())
