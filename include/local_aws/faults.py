"""Faults and hooks, and the calls to which they apply."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from local_aws import errors
from local_aws.calls import Call

LIST_OPERATIONS = frozenset({"ListJobs", "ListVaults"})
OUTPUTS = frozenset({"GetJobOutput"})


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """A kind of fault: its arguments with their defaults, and the operations to which it can apply."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    operations: frozenset[str] | None = None
    """``None`` is all operations."""


KINDS: Mapping[str, FaultKind] = {
    **{name: FaultKind(arguments={"after_effect": False}) for name in errors.FAULT_ERRORS},
    "latency": FaultKind(arguments={"seconds": 0.1, "after_effect": False}),
    "crowd": FaultKind(arguments={"size": 2, "seconds": 5.0}),
    "dropped_connection": FaultKind(arguments={"after_effect": False}),
    "truncated_body": FaultKind(),
    "dripping_body": FaultKind(arguments={"seconds": 0.1}),
    "cut_body": FaultKind(arguments={"position": 0}, operations=OUTPUTS),
    "corrupted_body": FaultKind(arguments={"position": 0}, operations=OUTPUTS),
    "removed_tree_hash": FaultKind(operations=OUTPUTS),
    "ignored_range": FaultKind(operations=OUTPUTS),
    "cut_json": FaultKind(),
    "not_json": FaultKind(),
    "short_page": FaultKind(arguments={"size": 1}, operations=LIST_OPERATIONS),
    "empty_page": FaultKind(operations=LIST_OPERATIONS),
    "repeated_job": FaultKind(operations=frozenset({"ListJobs"})),
    "marker_cycle": FaultKind(arguments={"length": 1}, operations=LIST_OPERATIONS),
}
"""All faults: the error responses in :data:`local_aws.errors.FAULT_ERRORS`, with ``after_effect`` after the call was
executed, and these:

- ``latency``: the call is executed after ``seconds``; with ``after_effect``, its response is sent after ``seconds``.
- ``crowd``: the response waits until ``size`` calls are in flight at once, at most ``seconds``.
- ``dropped_connection``: the connection is closed without a response; with ``after_effect``, after the call was
  executed.
- ``truncated_body``: the connection is closed in the middle of the body.
- ``dripping_body``: the body is sent byte by byte, one in ``seconds``. So each read succeeds, and the response does not
  end for a long time.
- ``cut_body``: the connection is closed after ``position`` bytes of the body.
- ``corrupted_body``: one bit of the byte at ``position`` of the body is wrong, while the headers are those of the right
  body.
- ``removed_tree_hash``: the answer has no tree hash, as if a proxy had removed the header.
- ``ignored_range``: the answer is the whole output with status 200, as if a proxy had removed the header ``Range``.
- ``cut_json``: the body is cut in half, with a matching ``Content-Length``.
- ``not_json``: the body is HTML, as from a proxy, with status 200.
- ``short_page``: the page has at most ``size`` members, whatever the limit is.
- ``empty_page``: the page has no members, and its marker starts where this page would have started. For List Vaults,
  whose markers are ARNs, only the first page can be empty.
- ``repeated_job``: the next page starts with the last job of this page.
- ``marker_cycle``: the page has the marker that was returned ``length`` pages before; 1 is the marker of the request.
"""


@dataclass(kw_only=True)
class CallFilter:
    """Selects calls; ``None`` matches any value."""

    operation: str | None = None
    vault_name: str | None = None
    account_id: str | None = None
    region: str | None = None
    access_key: str | None = None
    skip: int = 0
    """Skip this many matching calls first."""
    count: int | None = None
    """Select at most this many calls; ``None`` is no limit."""
    probability: float = 1.0
    _seen: int = field(default=0, init=False)
    _matched: int = field(default=0, init=False)

    def matches(self, call: Call, rng: random.Random) -> bool:
        """Return whether this call is selected. Counts the call, so use it once per call."""
        for given, found in (
            (self.operation, call.operation),
            (self.vault_name, call.vault_name),
            (self.account_id, call.account_region.account_id),
            (self.region, call.account_region.region),
            (self.access_key, call.access_key),
        ):
            if given is not None and given != found:
                return False
        self._seen += 1
        if self._seen <= self.skip or (self.count is not None and self._matched >= self.count):
            return False
        if self.probability < 1.0 and rng.random() >= self.probability:
            return False
        self._matched += 1
        return True


CALL_FILTER_KEYS = frozenset(each.name for each in fields(CallFilter) if each.init)


@dataclass(kw_only=True)
class Fault:
    """A fault, and the calls to which it applies."""

    kind: str
    call_filter: CallFilter
    arguments: Mapping[str, Any]


def make_fault(kind: str, given: Mapping[str, Any]) -> Fault:
    """Create a fault from its kind, and from keywords for both the call filter and the arguments of the kind.

    :raises ValueError: names the unknown kind or keyword, or the invalid value.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown fault: {kind!r}; known: {sorted(KINDS)}")
    defaults = KINDS[kind].arguments
    if unknown := set(given) - CALL_FILTER_KEYS - set(defaults):
        raise ValueError(f"{kind} does not accept {sorted(unknown)}, only {sorted(CALL_FILTER_KEYS | set(defaults))}")
    for key in ("size", "length"):
        if key in given and not (isinstance(given[key], int) and given[key] >= 1):
            raise ValueError(f"the {key} of {kind} is {given[key]!r}, expected 1 or more")
    call_filter = CallFilter(**{key: value for key, value in given.items() if key in CALL_FILTER_KEYS})
    return Fault(
        kind=kind,
        call_filter=call_filter,
        arguments={key: given.get(key, default) for key, default in defaults.items()},
    )


ActiveFaults = Mapping[str, Mapping[str, Any]]
"""The faults that apply to a call: the arguments by kind."""


class Faults:
    """All configured faults."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._last_id = 0
        self._rng = random.Random(0)  # noqa: S311 - not a secret

    def add(self, fault: Fault) -> int:
        """Add a fault and return its ID."""
        self._last_id += 1
        self._faults[self._last_id] = fault
        return self._last_id

    def remove(self, fault_id: int) -> None:
        """Remove a fault; an unknown ID is ignored."""
        self._faults.pop(fault_id, None)

    def clear(self) -> None:
        """Remove all faults, and reset the random number generator."""
        self._faults.clear()
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Seed the random number generator for all faults with a probability."""
        self._rng.seed(seed)

    def active_for(self, call: Call) -> ActiveFaults:
        """Return the faults that apply to this call; of several of one kind, the oldest."""
        active: dict[str, Mapping[str, Any]] = {}
        for fault in self._faults.values():
            operations = KINDS[fault.kind].operations
            if (operations is None or call.operation in operations) and fault.call_filter.matches(call, self._rng):
                active.setdefault(fault.kind, fault.arguments)
        return active


@dataclass(frozen=True, kw_only=True)
class FaultError:
    """The error of a fault, and whether the call is executed before."""

    error: errors.AwsError
    after_effect: bool


def error_for(active: ActiveFaults, call: Call) -> FaultError | None:
    """Return the error for a call; of several, the first."""
    for kind, arguments in active.items():
        if kind in errors.FAULT_ERRORS:
            code, status, message = errors.FAULT_ERRORS[kind]
            error = errors.AwsError(
                code,
                status,
                message.format(
                    operation=call.operation, resource=call.resource, account_id=call.account_region.account_id
                ),
            )
            return FaultError(error=error, after_effect=bool(arguments["after_effect"]))
    return None


@dataclass(kw_only=True)
class Hook:
    """A control command that is executed after a matching call, before its response is sent."""

    call_filter: CallFilter
    command: str
    arguments: Mapping[str, Any]


class Hooks:
    """All configured hooks."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._rng = random.Random(0)  # noqa: S311 - not a secret

    def add(self, hook: Hook) -> None:
        """Add a hook."""
        self._hooks.append(hook)

    def clear(self) -> None:
        """Remove all hooks."""
        self._hooks.clear()

    def due(self, call: Call) -> Sequence[Hook]:
        """Return the hooks to execute after this call."""
        return [hook for hook in self._hooks if hook.call_filter.matches(call, self._rng)]
