"""The vaults of one observation: all that List Vaults returns, or those with given names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glacier_jobs.dataset.schema import Observation
from glacier_jobs.errors import InvalidArgument, WrongAccount
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import VaultArn, check_vault_name
from glacier_jobs.glacier.rows import vault_columns


@dataclass(frozen=True, kw_only=True)
class Vault:
    """A vault to list; ``columns`` are the values of the table ``vaults`` that only List Vaults returns."""

    name: str
    arn: str
    columns: Mapping[str, Any]


def all_vaults(hook: GlacierJobsHook, account_id: str, observation: Observation) -> list[Vault]:
    """Return the vaults that List Vaults returns.

    :raises WrongAccount: a vault's ARN names another account.
    """
    return [_described(vault, observation) for vault in hook.list_vaults(account_id)]


def _described(description: Mapping[str, Any], observation: Observation) -> Vault:
    refuse_other_accounts({description["VaultARN"]}, observation)
    return Vault(name=description["VaultName"], arn=description["VaultARN"], columns=vault_columns(description))


def named_vaults(vault_names: Sequence[str], observation: Observation, partition: str) -> list[Vault]:
    """Return the vaults with these names, without a request.

    :raises InvalidArgument: there is no name, or a name is not valid.
    """
    if isinstance(vault_names, str) or not vault_names:
        raise InvalidArgument(f"vault_names is {vault_names!r}; expected at least one name in a list, or None for all")
    return [
        Vault(
            name=name,
            arn=str(
                VaultArn(partition=partition, region=observation.region, account_id=observation.account_id, name=name)
            ),
            columns={},
        )
        for name in dict.fromkeys(map(check_vault_name, vault_names))
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
