"""Run the package's tests on each supported Python version, and with the packages of each image of Amazon MWAA."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mwaa.build import versions
from mwaa.constraints import image_pins, normalized, pinned, versions_of
from tests.conftest import ROOT
from tests.drills.pythons import UV, find_python, run
from tests.drills.table import NotTried, RecordDrill

pytestmark = [pytest.mark.drill, pytest.mark.timeout(2700)]

#: Tests of what is not in the package. They run with ``make test`` only.
_OTHERS = (
    "aws",
    "benchmarks",
    "demo",
    "drills",
    "local_airflow",
    "local_aws",
    "mwaa",
    "test_docs.py",
    "test_table_of_drills.py",
)

#: Tests of parts that need neither Airflow nor AWS's SDK. They run once with each set of versions of the packages that
#: they need. All images of MWAA have the same (``tests/mwaa/test_constraints.py``). A newer Python version has those of
#: ``make test``. So do the longest tests of downloads, which need several minutes: they run with the oldest SDK, too.
_INDEPENDENT_OF_AIRFLOW = (
    "alerts/test_attention.py",
    "history",
    "html_report",
    "reports",
    "retrieval/test_local_target.py",
    "retrieval/test_s3_target.py",
    "sql",
    "test_history_maker.py",
    "views",
)

#: A version between those of MWAA's images.
_AIRFLOW_BETWEEN = "3.1.8"

#: What newer packages warn of, because Airflow 3.1 and its web framework use older names of theirs.
_WARNINGS_OF_OTHERS = [
    "ignore:The `airflow.operators.branch.BaseBranchOperator` attribute is deprecated",
    "ignore:The anyio.abc.BlockingPortal alias is deprecated",
    "ignore:'HTTP_422_UNPROCESSABLE_ENTITY' is deprecated",
]

#: The Python version of MWAA's images.
_MWAA_PYTHON = "3.12"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A Python version, and what is installed for it.

    :param python: the version, such as ``3.12``.
    :param mwaa: the version of Airflow whose image of MWAA has the packages.
    :param airflow: the version of Airflow, with the newest packages that it allowed, in a constraints file beside this
        module. Without this and ``mwaa``, the packages are those in ``constraints.txt``.
    """

    python: str
    mwaa: str | None = None
    airflow: str | None = None

    def __str__(self) -> str:
        image = f" with MWAA's Airflow {self.mwaa}" if self.mwaa else ""
        return f"Python {self.python}{image}" + (f" with Airflow {self.airflow}" if self.airflow else "")

    @property
    def ignored(self) -> Sequence[str]:
        """The tests that do not run, by their paths below ``tests``."""
        runs_all = self.airflow is not None or self.mwaa == versions(ROOT)[0]
        return _OTHERS if runs_all else (*_OTHERS, *_INDEPENDENT_OF_AIRFLOW)

    @property
    def constraints(self) -> list[str]:
        """The versions to install, as arguments of ``uv pip install``."""
        if self.mwaa:
            return ["-c", f"include/mwaa/constraints-{self.mwaa}.txt", *_test_tools()]
        if self.airflow:
            return ["-c", f"tests/drills/constraints-{self.airflow}.txt"]
        return ["-c", "constraints.txt"]


def _supported() -> list[Environment]:
    """Return the supported environments except the one that runs this."""
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    oldest, *newer = sorted(classifiers, key=lambda version: int(version.partition(".")[2]))
    this = f"3.{sys.version_info.minor}"
    return [
        Environment(python=oldest, airflow=_AIRFLOW_BETWEEN),
        *(Environment(python=_MWAA_PYTHON, mwaa=version) for version in versions(ROOT)),
        *(Environment(python=version) for version in newer if version not in (this, _MWAA_PYTHON)),
    ]


def _test_tools() -> list[str]:
    """Return the test tools as in ``constraints.txt``; the constraints files for MWAA do not contain them."""
    pins = pinned(ROOT / "constraints.txt")
    files = [ROOT / "tests" / "requirements-package.txt", ROOT / "include" / "local_aws" / "requirements.txt"]
    lines = [line for file in files for line in file.read_text().splitlines() if not line.startswith(("#", "-r"))]
    return [pins[normalized(line)] for line in lines]


@pytest.mark.parametrize("environment", _supported(), ids=str)
def test_the_packages_tests_pass(
    environment: Environment, tmp_path: Path, record_drill: RecordDrill, not_tried: NotTried
) -> None:
    broke = f"the package's tests on {environment}"
    python = find_python(environment.python)
    if python is None:
        not_tried(broke, f"found no Python {environment.python} on PATH, in pyenv or through uv")
    virtual = str(tmp_path / "venv" / "bin" / "python")

    run(UV, "venv", "--quiet", "--seed", "--python", python, str(tmp_path / "venv"))
    requirements = ["-r", "tests/requirements-package.txt", *environment.constraints]
    run(UV, "pip", "install", "--quiet", "--python", virtual, *requirements)
    if environment.mwaa:
        _check_that_pins_are_kept(virtual, environment.mwaa)
    output = run(
        # AnyIO's plugin, which no test uses, is too old for pytest in some of the environments.
        *(virtual, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-p", "no:anyio"),
        *("--dist", "worksteal", "--hypothesis-profile=few"),
        *(argument for warning in _WARNINGS_OF_OTHERS for argument in ("-W", warning)),
        *("-m", "not drill and not quick_drill", *(f"--ignore=tests/{name}" for name in environment.ignored)),
    )

    record_drill(broke, output.strip().splitlines()[-1])


def _check_that_pins_are_kept(virtual: str, image: str) -> None:
    pins = versions_of(image_pins(ROOT / "include" / "mwaa" / f"constraints-{image}.txt").values())
    installed = versions_of(run(UV, "pip", "freeze", "--python", virtual).splitlines())
    assert {"apache-airflow", "apache-airflow-providers-amazon", "boto3"} <= pins.keys() & installed.keys()
    assert {name: pins.get(name, version) for name, version in installed.items()} == installed
