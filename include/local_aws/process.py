"""Runs the local AWS in a separate process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.client import Control


@contextmanager
def running(*arguments: str) -> Iterator[Control]:
    """Run ``python -m local_aws`` with these arguments until the ``with`` block ends.

    The process also stops if this process is killed inside the block.

    :raises RuntimeError: it did not start; stderr contains its messages.
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
    """Return the environment without AWS variables, and with this package in ``PYTHONPATH``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    package_parent = str(Path(__file__).resolve().parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [package_parent, kept.get("PYTHONPATH")]))
    return kept
