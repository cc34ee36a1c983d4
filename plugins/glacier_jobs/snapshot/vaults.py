"""The vaults of one observation: all that List Vaults returns, or those with given names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from glacier_jobs.dataset.schema import Observation
from glacier_jobs.errors import GlacierJobsError, InvalidArgument, MalformedAnswer, WrongAccount
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import VaultArn, check_vault_name, check_vault_pattern
from glacier_jobs.glacier.rows import converted_vault
from glacier_jobs.glacier.values import NO_ODD_VALUES, OddCounts, encodable, shortened

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Vault:
    """A vault to list.

    :param columns: the values of the table ``vaults`` that only List Vaults returns.
    :param odd: the values that List Vaults returned and that do not fit these columns.
    :param error: why the vault cannot be listed, if its description already shows that.
    """

    name: str
    arn: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    odd: OddCounts = NO_ODD_VALUES
    error: GlacierJobsError | None = None


@dataclass(frozen=True)
class Exclusion:
    """Leaves out vaults by name.

    :param patterns: names, or patterns as in :mod:`fnmatch`; upper and lower case differ.
    :raises InvalidArgument: a pattern is not valid.
    """

    patterns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.patterns, str):
            raise InvalidArgument(f"exclude_vaults is {self.patterns!r}; expected a list of names or patterns")
        for pattern in self.patterns:
            check_vault_pattern(pattern)

    def kept(self, names: Iterable[str]) -> list[str]:
        """Return the names that no pattern matches, each once. Logs the others, and patterns that match none."""
        found = list(dict.fromkeys(names))
        kept = [name for name in found if not any(fnmatchcase(name, pattern) for pattern in self.patterns)]
        if excluded := sorted({*found} - {*kept}):
            log.info("%d of %d vaults are excluded: %s", len(excluded), len(found), ", ".join(excluded[:20]))
        for pattern in self.patterns:
            if not any(fnmatchcase(name, pattern) for name in found):
                log.warning("exclude_vaults: %r matches no vault", pattern)
        return kept


def all_vaults(hook: GlacierJobsHook, account_id: str, observation: Observation, exclusion: Exclusion) -> list[Vault]:
    """Return the vaults that List Vaults returns, without those that are excluded.

    :raises WrongAccount: a vault's ARN names another account.
    """
    described = {vault["VaultName"]: vault for vault in hook.list_named_vaults(account_id)}
    return [_described(described[name], observation, hook.conn_partition) for name in exclusion.kept(described)]


def _described(description: Mapping[str, Any], observation: Observation, partition: str) -> Vault:
    name = encodable(description["VaultName"])
    arn = description.get("VaultARN")
    converted = converted_vault(description)
    error: GlacierJobsError | None = None
    try:
        check_vault_name(name)
        refuse_other_accounts({arn if isinstance(arn, str) else repr(arn)}, observation)
    except (InvalidArgument, MalformedAnswer) as malformed:
        error = MalformedAnswer(f"List Vaults describes the vault {shortened(description)}: {malformed}")
        arn = _arn(name, observation, partition)
    return Vault(name=name, arn=str(arn), columns=converted.columns, odd=converted.odd, error=error)


def _arn(name: str, observation: Observation, partition: str) -> str:
    return str(VaultArn(partition=partition, region=observation.region, account_id=observation.account_id, name=name))


def named_vaults(
    vault_names: Sequence[str], observation: Observation, partition: str, exclusion: Exclusion
) -> list[Vault]:
    """Return the vaults with these names, without those that are excluded, without a request.

    :raises InvalidArgument: there is no name, or a name is not valid.
    """
    if isinstance(vault_names, str) or not vault_names:
        raise InvalidArgument(f"vault_names is {vault_names!r}; expected at least one name in a list, or None for all")
    return [
        Vault(name=name, arn=_arn(name, observation, partition))
        for name in exclusion.kept(map(check_vault_name, vault_names))
    ]


def refuse_other_accounts(arns: Iterable[str], observation: Observation) -> None:
    """Refuse vaults that belong to another account.

    :raises WrongAccount: names the ARN and the observed account.
    :raises MalformedAnswer: a text is no vault's ARN.
    """
    for arn in arns:
        if VaultArn.parse(arn).account_id != observation.account_id:
            raise WrongAccount(
                f"the vault {arn} does not belong to the observed account {observation.account_id}; "
                "check account_id and the credentials"
            )
