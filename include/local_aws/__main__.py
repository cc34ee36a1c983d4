"""``python -m local_aws``: start a local AWS, print its endpoint, and serve until stopped."""

import argparse
import os
import signal
import threading
from datetime import datetime

from local_aws import seeds, timestamps
from local_aws.faults import make_fault
from local_aws.server import LocalAws
from local_aws.settings import Settings

_NOW = "now"


def main() -> None:
    """Start the server, print its endpoint as the first line, and stop on SIGTERM or SIGINT."""
    options = _options()
    # moto reads the AWS configuration of its environment: real credentials must not be used here.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    manual = options.manual_clock is not None
    start_at = options.manual_clock if isinstance(options.manual_clock, datetime) else None
    server = LocalAws(
        port=options.port,
        settings=Settings(max_limit=options.max_limit),
        start_at=start_at,
        clock_speed=0.0 if manual else options.speed,
    )
    seeds.fill(options.seed, server.backend, vaults=options.vaults, jobs=options.jobs)
    if options.latency_ms:
        server.backend.faults.add(make_fault("latency", {"seconds": options.latency_ms / 1000}))
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    if options.end_with_stdin:
        threading.Thread(target=_wait_for_stdin_eof, args=(stop_requested,), daemon=True).start()
    with server:
        print(server.endpoint, flush=True)
        stop_requested.wait()


def _wait_for_stdin_eof(stop_requested: threading.Event) -> None:
    # Not sys.stdin: a thread that reads it holds a lock that the interpreter needs to exit.
    while os.read(0, 4096):
        pass
    stop_requested.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local_aws", description="A local AWS with an implementation of Amazon Glacier."
    )
    parser.add_argument("--seed", choices=sorted(seeds.SEEDS), default="empty", help="the initial data")
    parser.add_argument("--vaults", type=int, help="number of vaults of the large seed (100)")
    parser.add_argument("--jobs", type=int, help="number of jobs per vault of the large seed (1000)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, selects a free port")
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--speed", type=float, default=1.0, help="seconds of the clock per real second")
    clock.add_argument(
        "--manual-clock",
        nargs="?",
        const=_NOW,
        type=lambda text: text if text == _NOW else timestamps.parse(text),
        metavar="ISO-TIME",
        help="stop the clock, at the current time or at the given time; commands advance it",
    )
    parser.add_argument(
        "--max-limit", type=int, default=50, help="maximum limit of List Jobs (50; older documents: 1000)"
    )
    parser.add_argument("--latency-ms", type=float, default=0.0, help="delay of each response of Glacier")
    parser.add_argument("--end-with-stdin", action="store_true", help="stop at the end of standard input")
    return parser.parse_args()


if __name__ == "__main__":
    main()
