"""Fixtures for the tests of operators, which call ``execute`` without Airflow's task runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def variables() -> Iterator[dict[str, str]]:
    """Return the Airflow Variables of a test.

    Airflow 3.0 reads Variables inside a running task only; ``tests/dags`` runs tasks.
    """
    values: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "glacier_jobs.operators.initiating.Variable.get",
            lambda key, default=None, **_: values.get(key, default),
        )
        yield values
