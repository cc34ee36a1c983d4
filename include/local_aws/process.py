"""A local AWS in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.client import Control


@contextmanager
def running(*arguments: str) -> Iterator[Control]:
    """Run ``python -m local_aws`` with these arguments for as long as the block lasts.

    The process ends with the block, and also if this process dies without leaving the block.

    :raises RuntimeError: it did not start; its own words are on stderr.
    """
    command = [sys.executable, "-m", "local_aws", "--end-with-stdin", *arguments]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(), text=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            endpoint = process.stdout.readline().strip()
            if not endpoint:
                raise RuntimeError(f"the local AWS did not start: {' '.join(command)}")
            control = Control(endpoint)
            try:
                yield control
            finally:
                control.close()
        finally:
            process.terminate()


def clean_environment() -> dict[str, str]:
    """This process's environment without anything of AWS, and with this package on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    package_home = str(Path(__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [package_home, kept.get("PYTHONPATH")]))
    return kept
