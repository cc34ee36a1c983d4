"""The errors that Airflow does not retry, because the same task would fail again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from glacier_jobs.compat import AirflowFailException
from glacier_jobs.errors import FinalError, InvalidArgument


class Refused(AirflowFailException):
    """The task cannot succeed for a reason other than its jobs: ``soft_fail`` does not apply, and no retry helps."""


class ArgumentRefused(AirflowFailException, InvalidArgument):
    """An argument of an operator or sensor is not valid.

    Airflow creates a mapped task in its run, where it would retry an :class:`InvalidArgument`.
    """


@contextmanager
def arguments_refused() -> Iterator[None]:
    """Fail without retries if a check of an argument inside the block fails."""
    try:
        yield
    except InvalidArgument as error:
        raise ArgumentRefused(str(error)) from error


@contextmanager
def without_retries() -> Iterator[None]:
    """Fail without retries if a :class:`FinalError` is raised inside the block."""
    try:
        yield
    except FinalError as error:
        raise AirflowFailException(str(error)) from error


def raisable(error: Exception) -> Exception:
    """Return what a task raises for an error: a transient error itself, which Airflow retries."""
    return Refused(str(error)) if isinstance(error, FinalError) else error
