"""The package's tests on every Python, and with the oldest Airflow, that it claims."""

from __future__ import annotations

import pytest

from tests.drills.conftest import NotTried, Told
from tests.drills.environments import BehindAllElse, Environment, claimed_environments

pytestmark = [pytest.mark.drill, pytest.mark.in_background, pytest.mark.timeout(2400)]


@pytest.mark.parametrize("environment", claimed_environments(), ids=str)
def test_the_packages_tests_pass(
    environment: Environment, in_background: BehindAllElse, told: Told, not_tried: NotTried
) -> None:
    broke = f"the package's tests on {environment}"

    said = in_background.said(environment)

    if said is None:
        not_tried(broke, f"there is no Python {environment.python} on the path, in pyenv or known to uv")
    told(broke, said)
