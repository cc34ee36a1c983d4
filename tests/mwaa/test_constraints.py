"""The constraints files for Amazon MWAA."""

from __future__ import annotations

from mwaa.build import versions
from mwaa.constraints import image_pins, pinned, versions_of
from tests.conftest import ROOT

FILES = [ROOT / "include" / "mwaa" / f"constraints-{version}.txt" for version in versions(ROOT)]


def test_the_versions_of_a_constraints_file_are_read_by_normalized_names() -> None:
    lines = ["Flask-AppBuilder==4.6.3", "email_validator==2.2.0", "tomli==2.0 ; python_version < '3.11'", "# no==pin"]

    assert versions_of(lines[:3]) == {"flask-appbuilder": "4.6.3", "email-validator": "2.2.0", "tomli": "2.0"}


def test_the_project_adds_the_same_packages_to_all_images() -> None:
    """Except s3fs, whose version is that of fsspec. A drill relies on it, and tests some parts with one image only."""
    added = [versions_of(line for name, line in pinned(file).items() if name not in image_pins(file)) for file in FILES]

    assert len(added) >= 3
    assert [{**packages, "s3fs": ""} for packages in added] == [{**added[0], "s3fs": ""}] * len(added)
    assert {"duckdb", "matplotlib", "numpy", "pandas", "pyarrow", "s3fs"} <= added[0].keys()


def test_no_file_pins_a_package_twice() -> None:
    for file in FILES:
        lines = [line for line in file.read_text().splitlines() if line[0] != "#"]

        assert len(versions_of(lines)) == len(lines)
