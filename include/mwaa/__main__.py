"""``make mwaa``: build the folders for Amazon MWAA, and print how to upload them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mwaa.build import CannotBuild, build, versions

ROOT = Path(__file__).resolve().parents[2]

_BYTES_PER_MB = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Build the folder of each version; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mwaa", description="Build what Amazon MWAA takes from a bucket.")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="versions of MWAA's Airflow; default: all")
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "mwaa", help="folder of the built folders")
    options = parser.parse_args(arguments)
    try:
        for version in options.versions or versions(ROOT):
            folder = build(ROOT, version, options.output)
            size = (folder / "plugins.zip").stat().st_size / _BYTES_PER_MB
            print(f"Airflow {version}: plugins.zip has {size:.2f} MB. To upload:")
            print(f"  aws s3 sync {_relative(folder)} s3://BUCKET/", flush=True)
    except (CannotBuild, OSError) as error:
        print(f"make mwaa: {error}", file=sys.stderr)
        return 1
    return 0


def _relative(path: Path) -> Path:
    """Return a path relative to the folder of the project, if it is inside."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    sys.exit(main())
