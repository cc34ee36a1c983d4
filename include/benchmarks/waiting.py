"""``python -m benchmarks.waiting``: deferred sensors in one event loop, as in a triggerer.

First, a thousand sensors wait for one job each of a vault that has five times as many. After several intervals all jobs
succeed, and each trigger sends its event. The benchmark prints the number of calls, as counted by the local AWS and
compared with one listing, the longest stall of the event loop, and the memory per trigger.

Then one sensor waits for a job of each of 1, 100 and 1,000 vaults, each time in a new process. The benchmark prints the
memory per vault.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
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
_FULL_COLLECTION = 2
_HOUR_SECONDS = 3600
_MIB = 1024 * 1024

#: The numbers of vaults for which the memory is measured.
VAULTS = (1, 100, 1_000)


@dataclass(frozen=True, kw_only=True)
class WaitingResult:
    """The measurements of a run."""

    triggers: int
    vaults: int
    polls: int
    calls: int
    calls_of_one_listing: int
    longest_stall_seconds: float
    """While the triggers wait and send their events, without full garbage collections."""
    longest_collection_seconds: float
    """The longest full garbage collection of Python in this time, over all objects of Airflow and botocore."""
    longest_stall_at_start_seconds: float
    """While the triggers start."""
    memory_bytes: int
    """Memory growth of the process, for all triggers together."""
    succeeded: int
    """Number of triggers whose event reported that the job had succeeded."""

    @property
    def mib_per_vault(self) -> float:
        """Memory growth of the process for each vault, in MiB."""
        return self.memory_bytes / self.vaults / _MIB


class Heartbeat:
    """Measures stalls of the event loop, without the time of Python's full garbage collections.

    A full collection stops all threads of a triggerer, and takes longer the more objects are loaded, whatever waits.
    """

    def __init__(self) -> None:
        self.longest_stall_seconds = 0.0
        self.longest_collection_seconds = 0.0
        self._collected_seconds = 0.0
        self._collection_started: float | None = None
        gc.callbacks.append(self._on_collection)
        self._task = asyncio.ensure_future(self._beat())

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < _FULL_COLLECTION:
            return
        if phase == "start":
            self._collection_started = time.perf_counter()
        elif self._collection_started is not None:
            seconds = time.perf_counter() - self._collection_started
            self._collected_seconds, self._collection_started = self._collected_seconds + seconds, None
            self.longest_collection_seconds = max(self.longest_collection_seconds, seconds)

    def _collecting_seconds(self) -> float:
        """Return the time of all collections so far, including one whose end another thread has not reported yet."""
        in_progress = 0.0 if self._collection_started is None else time.perf_counter() - self._collection_started
        return self._collected_seconds + in_progress

    async def _beat(self) -> None:
        while True:
            slept_at, collected_seconds = time.perf_counter(), self._collecting_seconds()
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            stall_seconds = time.perf_counter() - slept_at - _HEARTBEAT_SECONDS
            stall_seconds -= self._collecting_seconds() - collected_seconds
            self.longest_stall_seconds = max(self.longest_stall_seconds, stall_seconds)

    async def stop(self) -> None:
        """Stop measuring."""
        gc.callbacks.remove(self._on_collection)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def run_triggers(
    local_aws: Control, jobs: list[tuple[str, str]], *, listed: int, intervals: int, poll_seconds: float
) -> WaitingResult:
    """Run a trigger for each job through some intervals, and then let all jobs succeed.

    :param jobs: vault name and id of each awaited job.
    :param listed: number of jobs in a listing of each vault.
    """
    process = psutil.Process()
    bytes_before = process.memory_info().rss
    local_aws.reset_calls()
    starting = Heartbeat()
    outcomes = []
    for vault_name, job_id in jobs:
        outcomes.append(asyncio.ensure_future(_outcome(_trigger(vault_name, job_id, poll_seconds))))
        await asyncio.sleep(0)
    await _wait_for_calls(local_aws, 1)
    await starting.stop()
    waiting = Heartbeat()
    vaults = len({vault_name for vault_name, _ in jobs})
    pages = -(-listed // 50) * vaults
    await _wait_for_calls(local_aws, intervals * pages)
    bytes_while_waiting = process.memory_info().rss
    await asyncio.to_thread(local_aws.advance, 5 * _HOUR_SECONDS)
    results = await asyncio.gather(*outcomes)
    await waiting.stop()
    calls = (await asyncio.to_thread(local_aws.calls)).total
    return WaitingResult(
        triggers=len(jobs),
        vaults=vaults,
        polls=round(calls / pages),
        calls=calls,
        calls_of_one_listing=pages,
        longest_stall_seconds=waiting.longest_stall_seconds,
        longest_collection_seconds=waiting.longest_collection_seconds,
        longest_stall_at_start_seconds=starting.longest_stall_seconds,
        memory_bytes=bytes_while_waiting - bytes_before,
        succeeded=results.count("judged"),
    )


async def _wait_for_calls(local_aws: Control, at_least: int) -> None:
    while (await asyncio.to_thread(local_aws.calls)).total < at_least:  # noqa: ASYNC110 - counted in another process
        await asyncio.sleep(0.1)


def _trigger(vault_name: str, job_id: str, poll_seconds: float) -> GlacierJobTrigger:
    from glacier_jobs.triggers import GlacierJobTrigger
    from glacier_jobs.waiting.state import Wait
    from glacier_jobs.waiting.stored_state import to_json

    now = datetime.now(timezone.utc)
    return GlacierJobTrigger(
        vault_name=vault_name,
        account_id="-",
        job_ids=[job_id],
        wait=to_json(Wait.for_jobs([job_id], started_at=now)),
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


def _print_result(result: WaitingResult, console: TextIO) -> None:
    unshared_polls = result.triggers * result.polls
    lines = [
        f"{result.triggers} triggers in one event loop, {result.polls} polls:",
        f"  calls                           {result.calls}",
        f"  per poll, relative to a listing {result.calls / result.polls / result.calls_of_one_listing:.2f}",
        f"  relative to unshared polls      {result.calls / unshared_polls:.3f}",
        f"  longest stall of the loop       {1000 * result.longest_stall_seconds:.0f} ms "
        f"(at the start: {1000 * result.longest_stall_at_start_seconds:.0f} ms)",
        f"  longest garbage collection      {1000 * result.longest_collection_seconds:.0f} ms, not counted above",
        f"  memory per trigger              {result.memory_bytes / result.triggers / 1024:.1f} KiB",
        f"  triggers with a succeeded job   {result.succeeded}",
    ]
    print(*lines, sep="\n", file=console)


def _measured(options: argparse.Namespace, console: TextIO) -> WaitingResult:
    """Run the triggers against a new local AWS, with their log in a file."""
    with tempfile.TemporaryDirectory() as folder, running() as local_aws:
        environment = airflow_environment(Path(folder), endpoint=local_aws.endpoint, dataset=Path(folder), targets=[])
        os.environ.clear()
        os.environ.update(environment)
        triggers, listed = options.triggers // options.vaults, options.jobs // options.vaults
        awaited: list[tuple[str, str]] = []
        for vault in range(options.vaults):
            vault_name = f"vault-{vault}"
            jobs = local_aws.add_jobs(vault_name, [{"_life": {"duration_seconds": 4 * _HOUR_SECONDS}}] * listed)
            # Including the last job of the listing, because a poll ends as soon as all awaited jobs were found.
            awaited += [(vault_name, jobs[-1 - number * len(jobs) // triggers]) for number in range(triggers)]
        with (Path(folder) / "log").open("w") as log:
            # Every trigger logs each poll, as in a triggerer. This is part of the measurement, but not of the output.
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            import glacier_jobs.triggers  # noqa: F401 - imported before the measurement

            result = asyncio.run(
                run_triggers(
                    local_aws, awaited, listed=listed, intervals=options.intervals, poll_seconds=options.poll_seconds
                )
            )
            os.dup2(console.fileno(), 1)
    return result


def _measured_in_a_process(vaults: int) -> WaitingResult:
    """Measure one trigger for each vault. At most 100 vaults are polled a second: the local AWS answers no more."""
    arguments = {"vaults": vaults, "triggers": vaults, "jobs": vaults, "poll-seconds": max(2.0, vaults / 100)}
    completed = subprocess.run(  # noqa: S603 - our own command
        [
            sys.executable,
            "-m",
            "benchmarks.waiting",
            "--json",
            *(text for name, value in arguments.items() for text in (f"--{name}", str(value))),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return WaitingResult(**json.loads(completed.stdout.splitlines()[-1]))


def _vaults_table(results: list[WaitingResult]) -> str:
    rows = ["| vaults | MiB | MiB per vault | longest stall of the loop |", "|---:|---:|---:|---:|"]
    for result in results:
        mib, stall = result.memory_bytes / _MIB, 1000 * result.longest_stall_seconds
        rows.append(f"| {result.vaults:,} | {mib:.1f} | {result.mib_per_vault:.2f} | {stall:.0f} ms |")
    return "\n".join(rows)


def main() -> int:
    """Run the benchmark and return the exit code: 1 if the job of a trigger did not succeed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--triggers", type=int, default=1_000)
    parser.add_argument("--vaults", type=int, default=1, help="vaults, each with the same number of triggers and jobs")
    parser.add_argument("--jobs", type=int, default=5_000, help="jobs in all vaults, including the awaited ones")
    parser.add_argument("--intervals", type=int, default=5)
    parser.add_argument("--poll-seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true", help="print JSON, and do not measure other numbers of vaults")
    options = parser.parse_args()
    if not 1 <= options.vaults <= options.triggers <= options.jobs:
        parser.error(
            f"{options.vaults} vaults need as many triggers, and {options.triggers} triggers as many jobs, "
            f"not {options.jobs}"
        )
    with os.fdopen(os.dup(1), "w") as console:
        results = [_measured(options, console)]
        if options.json:
            print(json.dumps(asdict(results[0])), file=console)
        else:
            _print_result(results[0], console)
            of_vaults = [_measured_in_a_process(vaults) for vaults in VAULTS]
            print("", _vaults_table(of_vaults), sep="\n", file=console)
            results += of_vaults
    return 0 if all(each.succeeded == each.triggers for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
