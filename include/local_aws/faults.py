"""What goes wrong on demand, and to which calls."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from local_aws import errors
from local_aws.calls import Call

LISTINGS = frozenset({"ListJobs", "ListVaults"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault: its arguments with their defaults, and the operations that it can strike."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    operations: frozenset[str] | None = None
    """``None`` is all."""


KINDS: Mapping[str, Kind] = {
    **{name: Kind() for name in errors.ON_DEMAND},
    "latency": Kind(arguments={"seconds": 0.1}),
    "crowd": Kind(arguments={"size": 2, "seconds": 5.0}),
    "dropped_connection": Kind(arguments={"after_effect": False}),
    "truncated_body": Kind(),
    "cut_json": Kind(),
    "not_json": Kind(),
    "short_page": Kind(arguments={"size": 1}, operations=LISTINGS),
    "empty_page": Kind(operations=LISTINGS),
    "repeated_job": Kind(operations=frozenset({"ListJobs"})),
    "marker_cycle": Kind(arguments={"length": 1}, operations=LISTINGS),
}
"""Every fault there is. Beside the errors by their names:

- ``latency``: the answer comes ``seconds`` later.
- ``crowd``: the answer waits until ``size`` calls are under way at once, at most ``seconds``.
- ``dropped_connection``: closed without an answer; with ``after_effect`` the call has done its work.
- ``truncated_body``: closed in the middle of the body.
- ``cut_json``: half a body that claims to be whole.
- ``not_json``: a proxy's HTML with status 200.
- ``short_page``: at most ``size`` members, however large the limit.
- ``empty_page``: no member, and a marker to what should have been here. Of List Vaults, whose markers are ARNs, only
  the first page.
- ``repeated_job``: the page's marker begins with the page's last job.
- ``marker_cycle``: the page carries the marker that was given ``length`` pages before: 1 is the one it was asked with.
"""


@dataclass(kw_only=True)
class Aim:
    """Which calls are struck; everything that is not said is any."""

    operation: str | None = None
    vault_name: str | None = None
    account_id: str | None = None
    region: str | None = None
    access_key: str | None = None
    skip: int = 0
    """Let so many matching calls pass first."""
    count: int | None = None
    """Strike so many times, then no more; ``None`` is without end."""
    probability: float = 1.0
    _seen: int = field(default=0, init=False)
    _struck: int = field(default=0, init=False)

    def strikes(self, call: Call, dice: random.Random) -> bool:
        """Whether this call is struck; asked once for each call."""
        for given, found in (
            (self.operation, call.operation),
            (self.vault_name, call.vault_name),
            (self.account_id, call.realm.account_id),
            (self.region, call.realm.region),
            (self.access_key, call.access_key),
        ):
            if given is not None and given != found:
                return False
        self._seen += 1
        if self._seen <= self.skip or (self.count is not None and self._struck >= self.count):
            return False
        if self.probability < 1.0 and dice.random() >= self.probability:
            return False
        self._struck += 1
        return True


AIM_KEYS = frozenset(each.name for each in fields(Aim) if each.init)


@dataclass(kw_only=True)
class Fault:
    """One fault and its aim."""

    kind: str
    aim: Aim
    arguments: Mapping[str, Any]


def fault_from(kind: str, given: Mapping[str, Any]) -> Fault:
    """The fault that a kind and its flat keywords name.

    :raises ValueError: names the kind or the keyword that does not exist.
    """
    if kind not in KINDS:
        raise ValueError(f"no such fault: {kind!r}; there are {sorted(KINDS)}")
    defaults = KINDS[kind].arguments
    if unknown := set(given) - AIM_KEYS - set(defaults):
        raise ValueError(f"{kind} takes no {sorted(unknown)}, only {sorted(AIM_KEYS | set(defaults))}")
    for key in ("size", "length"):
        if key in given and not (isinstance(given[key], int) and given[key] >= 1):
            raise ValueError(f"the {key} of {kind} is {given[key]!r}, expected 1 or more")
    aim = Aim(**{key: value for key, value in given.items() if key in AIM_KEYS})
    return Fault(kind=kind, aim=aim, arguments={key: given.get(key, default) for key, default in defaults.items()})


Struck = Mapping[str, Mapping[str, Any]]
"""The faults that strike a call: the arguments by kind."""


class Faults:
    """All faults under way."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._last_id = 0
        self._dice = random.Random(0)  # noqa: S311 - dice, no secret

    def add(self, fault: Fault) -> int:
        """Begin a fault; its number ends it."""
        self._last_id += 1
        self._faults[self._last_id] = fault
        return self._last_id

    def remove(self, fault_id: int) -> None:
        """End a fault; one that has ended is no error."""
        self._faults.pop(fault_id, None)

    def clear(self) -> None:
        """End all faults, and throw the dice from the beginning again."""
        self._faults.clear()
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Throw the dice of all faults with a probability from a known beginning."""
        self._dice.seed(seed)

    def strike(self, call: Call) -> Struck:
        """The faults that strike this call; of two of a kind the earlier."""
        struck: dict[str, Mapping[str, Any]] = {}
        for fault in self._faults.values():
            operations = KINDS[fault.kind].operations
            if (operations is None or call.operation in operations) and fault.aim.strikes(call, self._dice):
                struck.setdefault(fault.kind, fault.arguments)
        return struck


def error_of(struck: Struck, call: Call) -> errors.AwsError | None:
    """The error that the struck call ends in; of several the one listed first."""
    for kind in struck:
        if kind in errors.ON_DEMAND:
            code, status, message = errors.ON_DEMAND[kind]
            return errors.AwsError(
                code,
                status,
                message.format(operation=call.operation, resource=call.resource, account_id=call.realm.account_id),
            )
    return None


@dataclass(kw_only=True)
class Hook:
    """What happens by itself once a call has been answered: a command of the control, with its arguments."""

    aim: Aim
    command: str
    arguments: Mapping[str, Any]


class Hooks:
    """All hooks that wait for their call."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._dice = random.Random(0)  # noqa: S311 - dice, no secret

    def add(self, hook: Hook) -> None:
        """Wait for the calls that the hook aims at."""
        self._hooks.append(hook)

    def clear(self) -> None:
        """Wait for nothing."""
        self._hooks.clear()

    def due(self, call: Call) -> Sequence[Hook]:
        """What is to happen now that this call has been answered."""
        return [hook for hook in self._hooks if hook.aim.strikes(call, self._dice)]
