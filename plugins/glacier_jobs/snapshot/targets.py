"""The accounts and Regions to observe: parsed and checked, and the outcome of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from glacier_jobs.arguments import checked_rate, is_aws_key, shown
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.glacier.identifiers import check_account_id, check_vault_name, check_vault_pattern

#: Airflow's default for the longest list that a task may be mapped over (``core.max_map_length``).
MAX_TARGETS = 1024

# Airflow's own rule, but without "://": a whole URI may hold a secret, and names are shown.
_CONNECTION_ID = re.compile(r"(?!.*://)[\w#!()\-.:/\\]{1,250}")
_REGION_NAME = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


class Target(TypedDict):
    """One account and Region to observe, in the operator's own keywords."""

    aws_conn_id: str | None
    region_name: str
    account_id: str
    vault_names: list[str] | None
    exclude_vaults: list[str] | None
    requests_per_second: float | None


def parse_targets(given: object, *, exclude_vaults: object = None, requests_per_second: object = None) -> list[Target]:
    """Return the targets that a list, or JSON text of one, describes.

    :param given: a list of objects with ``aws_conn_id`` (``null`` for the credentials of the environment) and
        ``region_name``, and optionally ``account_id`` (default ``-``, that of the credentials), ``vault_names``
        (default: all vaults), ``exclude_vaults`` (names or patterns, default: none) and ``requests_per_second``
        (default: no limit).
    :param exclude_vaults: the names or patterns for targets that do not have this key.
    :param requests_per_second: the limit for targets that do not have this key.
    :return: 1 to :data:`MAX_TARGETS` targets in the given order, each with all keys.
    :raises InvalidArgument: names the target, the key, what was found and what was expected.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InvalidArgument(f"targets are not JSON ({error}); {_EXPECTED}") from error
    if not isinstance(given, list):
        raise InvalidArgument(f"targets are {_described(given)}; {_EXPECTED}")
    if not given:
        raise InvalidArgument(f"targets are an empty list; {_EXPECTED}")
    if len(given) > MAX_TARGETS:
        raise InvalidArgument(
            f"there are {len(given)} targets; a task can be mapped over at most {MAX_TARGETS}: use a second DAG"
        )
    defaults = {"exclude_vaults": exclude_vaults, "requests_per_second": requests_per_second}
    targets = [
        _target(position, {**defaults, **target} if isinstance(target, Mapping) else target)
        for position, target in enumerate(given)
    ]
    for position, target in enumerate(targets):
        if (first := targets.index(target)) != position:
            raise InvalidArgument(f"target {position} is the same as target {first}; expected each once")
    return targets


def target_name(
    aws_conn_id: str | None, region_name: str, account_id: str = "-", vault_names: Sequence[str] | None = None
) -> str:
    """Return a readable name of a target. It contains no secret, and it may not be unique."""
    parts = [aws_conn_id or "environment"]
    if account_id != "-":
        parts.append(account_id)
    parts.append(region_name)
    if vault_names:
        others = len(vault_names) - 1
        parts.append(f"({vault_names[0]} and {others} more)" if others else f"({vault_names[0]})")
    return " ".join(parts)


def shortfalls(targets: Sequence[Mapping[str, Any]], observed: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Return a line for each target that was not observed, or not with all its vaults.

    :param targets: the targets; additional keys are ignored.
    :param observed: for each target the operator's XCom, ``None`` if it published no observation.
    """
    lines = []
    for target, observation in zip(targets, observed, strict=True):
        name = target_name(*(target[key] for key in ("aws_conn_id", "region_name", "account_id", "vault_names")))
        if observation is None:
            lines.append(f"target {name}: not observed; the log of its task says why")
        elif failed := observation["failed_vaults"]:
            count = f"{len(failed)} of {observation['vaults']} vaults could not be listed"
            lines.append(f"target {name}: {count}: {', '.join(failed)}")
    return lines


_EXPECTED = (
    'expected a list of 1 or more objects such as {"aws_conn_id": "aws_default", "region_name": "us-east-1", '
    '"account_id": "123456789012", "vault_names": ["photos"], "exclude_vaults": ["test-*"], "requests_per_second": 5}; '
    "all keys but the first two are optional"
)


def _target(position: int, given: object) -> Target:
    if not isinstance(given, Mapping):
        raise InvalidArgument(f"target {position} is {_described(given)}; expected an object")
    if unknown := [key for key in given if key not in Target.__annotations__]:
        raise InvalidArgument(
            f"target {position} has the unknown keys {', '.join(map(_described, unknown))}; "
            f"allowed are {', '.join(Target.__annotations__)}"
        )
    for key in ("aws_conn_id", "region_name"):
        if key not in given:
            raise InvalidArgument(f"target {position} has no {key}; expected {_EXPECTED_OF[key]}")
    return Target(
        aws_conn_id=_checked(position, given, "aws_conn_id", _connection_id),
        region_name=_checked(position, given, "region_name", _region_name),
        account_id=_checked(position, given, "account_id", _account_id),
        vault_names=_checked(position, given, "vault_names", _vault_names),
        exclude_vaults=_checked(position, given, "exclude_vaults", _exclude_vaults),
        requests_per_second=_checked(position, given, "requests_per_second", _requests_per_second),
    )


_EXPECTED_OF = {
    "aws_conn_id": "the id of an Airflow connection, or null for the credentials of the environment",
    "region_name": "a Region such as us-east-1",
    "account_id": "a string of 12 digits, or '-' for the account of the credentials",
    "vault_names": "a list of 1 or more names of 1 to 255 characters of a-z A-Z 0-9 _ - . each, or null for all vaults",
    "exclude_vaults": "a list of 1 or more names, or patterns with * ? [seq] [!seq], or null for none",
    "requests_per_second": "a number above 0, or null for no limit",
}


def _checked(position: int, given: Mapping[str, Any], key: str, check: Callable[[Any], Any]) -> Any:
    try:
        return check(given.get(key))
    except ValueError as error:
        raise InvalidArgument(
            f"target {position}: {key} is {_described(given[key])}; expected {_EXPECTED_OF[key]}"
        ) from error


def _connection_id(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and _CONNECTION_ID.fullmatch(value) and not is_aws_key(value):
        return value
    raise ValueError


def _region_name(value: object) -> str:
    if isinstance(value, str) and _REGION_NAME.fullmatch(value):
        return value
    raise ValueError


def _account_id(value: object) -> str:
    return "-" if value is None else check_account_id(value)


def _vault_names(value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
        raise ValueError
    return [check_vault_name(name) for name in value]


def _exclude_vaults(value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise ValueError
    return [check_vault_pattern(pattern) for pattern in value]


def _requests_per_second(value: object) -> float | None:
    if isinstance(value, str):
        raise InvalidArgument("expected a number")
    return checked_rate(value, "requests_per_second")


def _described(value: object) -> str:
    text = repr(value)
    if "://" in text:
        return f"a value of {len(text)} characters that looks like a URI (not shown: it may hold a secret)"
    return shown(value)
