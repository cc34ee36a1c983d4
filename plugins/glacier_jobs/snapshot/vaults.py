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
    :param is_known: whether the description says which vault it is.
    """

    name: str
    arn: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    odd: OddCounts = NO_ODD_VALUES
    error: GlacierJobsError | None = None
    is_known: bool = True


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

    A vault whose description is not as AWS documents it has an error. If the description has no name, that in its ARN
    is used, or else a substitute.

    :raises WrongAccount: a vault's ARN names another account.
    """
    found: dict[str, Vault] = {}
    unknown = 0
    for entry in hook.list_vault_entries(account_id):
        vault = _described(entry, observation, hook.conn_partition, substitute=f"(without name {unknown + 1})")
        unknown += not vault.is_known
        if vault.name not in found or (found[vault.name].error and not vault.error):
            found[vault.name] = vault
    if unknown:
        log.warning("List Vaults describes %d vaults without a name; they are recorded as failed", unknown)
    return [found[name] for name in exclusion.kept(found)]


def _described(entry: object, observation: Observation, partition: str, substitute: str) -> Vault:
    description: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    name, arn = description.get("VaultName"), description.get("VaultARN")
    name_of_arn: str | None = None
    problems: list[str] = []
    try:
        check_vault_name(name)
    except InvalidArgument as invalid:
        problems.append(str(invalid))
    try:
        refuse_other_accounts({arn if isinstance(arn, str) else repr(arn)}, observation)
        name_of_arn = VaultArn.parse(str(arn)).name
    except MalformedAnswer as malformed:
        problems.append(str(malformed))
    known = encodable(name) if isinstance(name, str) and name else name_of_arn
    name = known or substitute
    converted = converted_vault(description)
    error = MalformedAnswer(f"List Vaults describes the vault {shortened(entry)}: {'; '.join(problems)}")
    return Vault(
        name=name,
        arn=_arn(name, observation, partition) if problems else str(arn),
        columns=converted.columns,
        odd=converted.odd,
        error=error if problems else None,
        is_known=known is not None,
    )


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
