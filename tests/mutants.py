"""Change core modules in small ways, and print the changes (mutants) that their own tests do not notice.

``make mutants`` runs this in a copy of the last commit. From the possible changes of each module, `Cosmic Ray
<https://cosmic-ray.readthedocs.io/>`_ tries a few, which are drawn at random, but are the same ones each time.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic
from typing import Any

# Cosmic Ray is installed in an environment of its own only, which type checkers do not see.
from cosmic_ray.work_db import WorkDB, use_db  # type: ignore[import-not-found]
from cosmic_ray.work_item import WorkerOutcome, WorkResult  # type: ignore[import-not-found]

#: The tests of each module, which take few seconds.
TESTS = {
    "aws_errors/error_mapping": "tests/aws_errors tests/glacier/test_hook.py",
    "dataset/layout": "tests/dataset/test_layout.py",
    "dataset/publisher": "tests/dataset/test_publisher.py",
    "glacier/pagination": "tests/glacier/test_pagination.py",
    "glacier/initiation": "tests/glacier/test_initiation.py",
    "retrieval/equal_jobs": "tests/retrieval/test_equal_jobs.py",
    "retrieval/starter": "tests/retrieval/test_starter.py",
    "snapshot/targets": "tests/snapshot/test_targets.py",
    "waiting/backoff": "tests/waiting/test_backoff.py",
    "waiting/poll": "tests/waiting/test_poll.py",
    "waiting/rules": "tests/waiting/test_rules.py",
    "waiting/state": "tests/waiting/test_state.py",
    "waiting/stored_state": "tests/waiting/test_stored_state.py",
}

DEFAULT_MUTANTS = 10

#: Changes that need no test: ``X | Y`` is mostly a type, which is not run; decorators (``frozen``, ``kw_only``) guard
#: against faulty code; and ``==`` in place of ``is`` changes nothing for enumerations and ``None``.
_NOT_TRIED = re.compile(
    r"core/(ReplaceBinaryOperator_BitOr_.*|RemoveDecorator|ReplaceComparisonOperator_(Is_Eq|IsNot_NotEq))"
)

_SECONDS = 120.0


def main() -> int:
    """Try the mutants; 0 also if some survive, and 1 if the tests fail without any change."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help=f"modules to change: {', '.join(TESTS)}; by default all")
    parser.add_argument("--mutants", type=int, default=DEFAULT_MUTANTS, help="changes of each module (%(default)s)")
    parser.add_argument("--seed", default="1", help="draws other changes (%(default)s)")
    given = parser.parse_args()
    if unknown := set(given.modules) - TESTS.keys():
        parser.error(f"unknown modules: {', '.join(sorted(unknown))}")
    tried = survived = 0
    for module in given.modules or TESTS:
        began = monotonic()
        session = _session(module)
        if session is None:
            print(f"{module}: the tests fail without any change", file=sys.stderr)
            return 1
        count = _draw(session, given.mutants, f"{given.seed} {module}")
        _cosmic_ray("exec", session.with_suffix(".toml"), session)
        survivors = _survivors(session)
        tried, survived = tried + count, survived + len(survivors)
        print(f"== {module}: {count} tried, {len(survivors)} survived ({monotonic() - began:.0f} s)", flush=True)
        for diff in survivors:
            print(diff, flush=True)
    print(f"== All: {tried} tried, {survived} survived")
    return 0


def _session(module: str) -> Path | None:
    """Return the session with all mutants of a module, unless the tests fail without any."""
    session = Path(f"mutants-{module.replace('/', '-')}.sqlite")
    command = f".venv/bin/python -m pytest -q -x -p no:cacheprovider {TESTS[module]}"
    settings = {
        "module-path": [f"plugins/glacier_jobs/{module}.py"],
        "timeout": _SECONDS,
        "excluded-modules": [],
        "test-command": command,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    config = session.with_suffix(".toml")
    config.write_text("\n".join(["[cosmic-ray]", *lines, '[cosmic-ray.distributor]\nname = "local"\n']))
    if not _cosmic_ray("baseline", config):
        return None
    session.unlink(missing_ok=True)
    return session if _cosmic_ray("init", config, session) else None


def _cosmic_ray(command: str, *arguments: Path) -> bool:
    program = Path(sys.executable).with_name("cosmic-ray")
    ended = subprocess.run([program, command, *arguments], check=False)  # noqa: S603 - a fixed command
    return ended.returncode == 0


def _draw(session: Path, most: int, seed: str) -> int:
    """Draw the mutants to try, skip all others, and return how many are drawn."""
    with use_db(session, WorkDB.Mode.open) as db:
        items = sorted(db.pending_work_items, key=_what)
        wanted = [item for item in items if not _is_needless(item)]
        drawn = random.Random(seed).sample(wanted, min(most, len(wanted)))  # noqa: S311 - not a secret
        chosen = {item.job_id for item in drawn}
        skipped = WorkResult(output="not drawn", worker_outcome=WorkerOutcome.SKIPPED)
        db.set_multiple_results([item.job_id for item in items if item.job_id not in chosen], skipped)
    return len(chosen)


def _what(item: Any) -> list[tuple[str, int]]:
    """Return what identifies a mutant in each session; its id does not."""
    return [(change.operator_name, change.occurrence) for change in item.mutations]


def _is_needless(item: Any) -> bool:
    for change in item.mutations:
        number, column = change.start_pos
        line = change.module_path.read_text().splitlines()[number - 1]
        # Cosmic Ray takes the star before keyword-only parameters for an operator.
        if (
            line[column:].startswith("*,")
            or line.lstrip().startswith("@dataclass")
            or _NOT_TRIED.fullmatch(change.operator_name)
        ):
            return True
    return False


def _survivors(session: Path) -> list[str]:
    with use_db(session, WorkDB.Mode.open) as db:
        return [result.diff for _, result in db.completed_work_items if not result.is_killed]


if __name__ == "__main__":
    sys.exit(main())
