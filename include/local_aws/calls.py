"""The calls received, and statistics of them."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from local_aws.vaults import AccountRegion


@dataclass(frozen=True, kw_only=True)
class Call:
    """An API call, from the method, path and signature of a request."""

    operation: str
    account_region: AccountRegion
    access_key: str
    account: str
    """The account in the path: an ID, or ``-`` for the account of the credentials."""
    vault_name: str | None = None
    item_id: str | None = None
    """The ID of a job or an archive."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def resource(self) -> str:
        """The ARN of the resource in IAM policies."""
        return self.account_region.vault_arn(self.vault_name or "*")


class CallLog:
    """Counts of the calls received, the latest calls, and the concurrency.

    Each :meth:`start_generation` (a reset of the local AWS) starts a new generation. Calls of older generations are
    stale: they are no longer counted, and their connections are dropped.
    """

    def __init__(self, max_latest: int = 10_000) -> None:
        self._changed = Condition()
        self._max_latest = max_latest
        self._generation = 0
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Set the counts to zero, except the calls in flight."""
        with self._changed:
            self._by_operation: Counter[str] = Counter()
            self._by_vault: Counter[tuple[str, str | None]] = Counter()
            self._latest: deque[dict[str, Any]] = deque(maxlen=self._max_latest)
            self._most_in_flight = self._in_flight

    def start_generation(self) -> None:
        """Set the counts to zero, and make all calls in flight stale; those that wait are woken up."""
        with self._changed:
            self._generation += 1
            self._in_flight = 0
            self._changed.notify_all()
            self.reset()

    def call_started(self, call: Call) -> int:
        """Count a call, which is in flight from now on.

        :return: the generation of the call.
        """
        with self._changed:
            self._by_operation[call.operation] += 1
            self._by_vault[call.operation, call.vault_name] += 1
            self._latest.append(_record(call))
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            self._changed.notify_all()
            return self._generation

    def call_ended(self, generation: int) -> None:
        """Count a call as no longer in flight.

        Call this before the response is sent: afterwards, the next call of the client may arrive first.
        """
        with self._changed:
            if generation == self._generation:
                self._in_flight -= 1

    def is_stale(self, generation: int) -> bool:
        """Return whether the calls of this generation are stale."""
        with self._changed:
            return generation != self._generation

    def pause(self, generation: int, seconds: float) -> None:
        """Wait for some seconds, or until the generation is stale."""
        with self._changed:
            self._changed.wait_for(lambda: generation != self._generation, seconds)

    def wait_for_concurrency(self, generation: int, size: int, seconds: float) -> None:
        """Wait until ``size`` calls have been in flight at once since the last reset, at most for some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: generation != self._generation or self._most_in_flight >= size, seconds)

    def counts(self) -> dict[str, Any]:
        """Return all counts, as JSON values."""
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
        """Return the latest calls, oldest first, as JSON values; ``None`` matches any."""
        with self._changed:
            return [
                record
                for record in self._latest
                if operation in (None, record["operation"]) and vault_name in (None, record["vault_name"])
            ]


def _record(call: Call) -> dict[str, Any]:
    # Without the body: 10,000 uploads would need too much memory.
    return {
        "operation": call.operation,
        "account": call.account,
        "account_id": call.account_region.account_id,
        "region": call.account_region.region,
        "access_key": call.access_key,
        "vault_name": call.vault_name,
        "item_id": call.item_id,
        "query": dict(call.query),
        "range": call.headers.get("range"),
    }
