"""Fixtures: a local AWS for the test session, and for each test an empty one."""

from collections.abc import Iterator

import pytest

from local_aws.client import Control
from local_aws.process import running


@pytest.fixture(scope="session")
def local_aws_process() -> Iterator[Control]:
    """One local AWS in a process of its own for all tests of a session (of each worker under xdist)."""
    with running() as control:
        yield control


@pytest.fixture
def local_aws(local_aws_process: Control) -> Control:
    """An empty local AWS in real time, without faults; a client needs its ``endpoint``, the rest drives it."""
    local_aws_process.reset()
    return local_aws_process
