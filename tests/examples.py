"""How long a test searches: through a few examples in ``make test``, through many in ``make drill``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings

#: The Hypothesis profile under which ``make drill`` runs.
DRILL = "drill"

Decorator: TypeAlias = Callable[[Any], Any]


def how_many(few: int, *, in_drills: int) -> int:
    """Return which of two numbers is meant in this run."""
    return in_drills if settings.get_current_profile_name() == DRILL else few


def examples(few: int, *, in_drills: int) -> Decorator:
    """Give a property test whose examples are slow a number of them, and let ``make drill`` run it too."""
    number = how_many(few, in_drills=in_drills)
    chosen = settings(max_examples=number, suppress_health_check=[HealthCheck.function_scoped_fixture])

    def decorated(test: Any) -> Any:
        return pytest.mark.many_examples(chosen(test))

    return decorated
