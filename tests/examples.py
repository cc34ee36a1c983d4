"""The number of examples of slow property tests: few in ``make test``, many in ``make drill``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings

#: The Hypothesis profile of ``make drill``.
DRILL = "drill"

#: The profile for other versions of Python and Airflow, after all examples have passed on one version; and its number.
FEW, FEWEST = "few", 5

Decorator: TypeAlias = Callable[[Any], Any]


def how_many(few: int, *, in_drills: int) -> int:
    """Return ``in_drills`` in ``make drill``, and otherwise ``few``, or less on other versions."""
    profile = settings.get_current_profile_name()
    return in_drills if profile == DRILL else min(few, FEWEST) if profile == FEW else few


def examples(few: int, *, in_drills: int) -> Decorator:
    """Set the number of examples of a slow property test, and mark the test for ``make drill``."""
    number = how_many(few, in_drills=in_drills)
    chosen = settings(max_examples=number, suppress_health_check=[HealthCheck.function_scoped_fixture])

    def decorated(test: Any) -> Any:
        return pytest.mark.many_examples(chosen(test))

    return decorated
