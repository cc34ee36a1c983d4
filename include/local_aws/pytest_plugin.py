"""Pytest fixtures: one local AWS per test session, which is reset for each test."""

from collections.abc import Iterator

import pytest

from local_aws.client import Control
from local_aws.process import running


@pytest.fixture(scope="session")
def local_aws_process() -> Iterator[Control]:
    """One local AWS in a separate process for all tests of a session (of each worker under xdist)."""
    with running() as control:
        yield control


@pytest.fixture
def local_aws(local_aws_process: Control) -> Control:
    """An empty local AWS in real time, without faults. Clients use its ``endpoint``; its methods control it."""
    local_aws_process.reset()
    return local_aws_process
