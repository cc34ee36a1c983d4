"""Which calls were received."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from local_aws.store import Realm


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, as far as its method, path and signature tell."""

    operation: str
    realm: Realm
    access_key: str
    account: str
    """The account as the path names it: an id, or ``-`` for the signer's own."""
    vault_name: str | None = None
    item_id: str | None = None
    """A job or an archive."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def resource(self) -> str:
        """What IAM is asked about."""
        return self.realm.vault_arn(self.vault_name or "*")


class CallLog:
    """Counts of the calls received, the latest of them, and how many were under way at once."""

    def __init__(self, remembered: int = 10_000) -> None:
        self._changed = Condition()
        self._remembered = remembered
        self._era = 0
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Count from zero; calls under way stay under way."""
        with self._changed:
            self._by_operation: Counter[str] = Counter()
            self._by_vault: Counter[tuple[str, str | None]] = Counter()
            self._latest: deque[dict[str, Any]] = deque(maxlen=self._remembered)
            self._most_in_flight = self._in_flight

    def begin_era(self) -> None:
        """Count from zero, and disown the calls under way: those that wait are woken, and are to be dropped."""
        with self._changed:
            self._era += 1
            self._in_flight = 0
            self._changed.notify_all()
            self.reset()

    def arrive(self, call: Call) -> int:
        """Count a call, which is under way from now on.

        :return: the era that it belongs to.
        """
        with self._changed:
            self._by_operation[call.operation] += 1
            self._by_vault[call.operation, call.vault_name] += 1
            self._latest.append(_record(call))
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            self._changed.notify_all()
            return self._era

    def leave(self, era: int) -> None:
        """One call is no longer under way.

        To be said before its answer is sent: after it, the client's next call may be here already.
        """
        with self._changed:
            if era == self._era:
                self._in_flight -= 1

    def is_over(self, era: int) -> bool:
        """Whether the calls of an era are disowned."""
        with self._changed:
            return era != self._era

    def pause(self, era: int, seconds: float) -> None:
        """Wait so long, or until the era is over."""
        with self._changed:
            self._changed.wait_for(lambda: era != self._era, seconds)

    def wait_for_crowd(self, era: int, size: int, seconds: float) -> None:
        """Wait until ``size`` calls have been under way at once since the last reset, at most for some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: era != self._era or self._most_in_flight >= size, seconds)

    def counts(self) -> dict[str, Any]:
        """All counts, as they go over the wire."""
        with self._changed:
            return {
                "total": sum(self._by_operation.values()),
                "by_operation": dict(self._by_operation),
                "by_vault": [
                    {"operation": operation, "vault_name": vault_name, "calls": calls}
                    for (operation, vault_name), calls in self._by_vault.items()
                ],
                "in_flight": self._in_flight,
                "most_in_flight": self._most_in_flight,
            }

    def latest(self, operation: str | None, vault_name: str | None) -> list[dict[str, Any]]:
        """The latest calls, oldest first, as they go over the wire; ``None`` is any."""
        with self._changed:
            return [
                record
                for record in self._latest
                if operation in (None, record["operation"]) and vault_name in (None, record["vault_name"])
            ]


def _record(call: Call) -> dict[str, Any]:
    # Without the body: ten thousand uploads would fill the memory.
    return {
        "operation": call.operation,
        "account": call.account,
        "account_id": call.realm.account_id,
        "region": call.realm.region,
        "access_key": call.access_key,
        "vault_name": call.vault_name,
        "item_id": call.item_id,
        "query": dict(call.query),
    }
