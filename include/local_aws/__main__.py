"""``python -m local_aws``: start a local AWS, print its endpoint, and serve until told to stop."""

import argparse
import os
import signal
import threading
from datetime import datetime

from local_aws import seeds, timestamps
from local_aws.faults import fault_from
from local_aws.server import LocalAws
from local_aws.settings import Settings

_NOW = "now"


def main() -> None:
    """Start, print the endpoint as the first line, and stop on SIGTERM or SIGINT."""
    options = _options()
    # moto asks the ambient configuration now and then; whoever has real credentials shall not find them used here.
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
    seeds.plant(options.seed, server.world, vaults=options.vaults, jobs=options.jobs)
    if options.latency_ms:
        server.world.faults.add(fault_from("latency", {"seconds": options.latency_ms / 1000}))
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    if options.end_with_stdin:
        threading.Thread(target=_wait_for_the_end_of_stdin, args=(told_to_stop,), daemon=True).start()
    with server:
        print(server.endpoint, flush=True)
        told_to_stop.wait()


def _wait_for_the_end_of_stdin(told_to_stop: threading.Event) -> None:
    # Not sys.stdin: whoever reads it holds a lock that the interpreter needs at its end.
    while os.read(0, 4096):
        pass
    told_to_stop.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_aws", description="A local AWS with a faithful Glacier.")
    parser.add_argument("--seed", choices=sorted(seeds.SEEDS), default="empty", help="what it holds at the start")
    parser.add_argument("--vaults", type=int, help="of the large seed: how many vaults (100)")
    parser.add_argument("--jobs", type=int, help="of the large seed: how many jobs a vault (1000)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--speed", type=float, default=1.0, help="clock seconds a real second")
    clock.add_argument(
        "--manual-clock",
        nargs="?",
        const=_NOW,
        type=lambda text: text if text == _NOW else timestamps.read(text),
        metavar="ISO-TIME",
        help="a clock that stands still until it is advanced, at the time of day or at the time given",
    )
    parser.add_argument(
        "--max-limit", type=int, default=50, help="the largest limit of List Jobs (50; older documents: 1000)"
    )
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how much later each of Glacier's answers comes")
    parser.add_argument("--end-with-stdin", action="store_true", help="stop when the standard input ends")
    return parser.parse_args()


if __name__ == "__main__":
    main()
