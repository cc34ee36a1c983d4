"""Status codes, vault ARNs, vault names and account ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from glacier_jobs.errors import InvalidArgument, MalformedAnswer

StatusCode: TypeAlias = Literal["InProgress", "Succeeded", "Failed"]

STATUS_CODES: tuple[str, ...] = get_args(StatusCode)

_VAULT_ARN = re.compile(
    r"arn:(?P<partition>[^:]+):glacier:(?P<region>[^:]*):(?P<account_id>[0-9]{12}):vaults/(?P<name>.+)"
)
_VAULT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_VAULT_PATTERN = re.compile(r"[A-Za-z0-9_.*?!\[\]-]{1,255}")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, kw_only=True)
class VaultArn:
    """The parts of a vault's Amazon Resource Name."""

    partition: str
    region: str
    account_id: str
    name: str

    @classmethod
    def parse(cls, arn: str) -> VaultArn:
        """Split an ARN into its parts.

        :raises MalformedAnswer: the text is no vault's ARN; the message shows it.
        """
        match = _VAULT_ARN.fullmatch(arn)
        if match is None or not is_encodable(arn):
            raise MalformedAnswer(
                f"found {arn!r}; expected a vault's ARN (arn:aws:glacier:Region:account:vaults/name), with an account "
                "of 12 digits"
            )
        return cls(**match.groupdict())

    def __str__(self) -> str:
        return f"arn:{self.partition}:glacier:{self.region}:{self.account_id}:vaults/{self.name}"


def is_encodable(text: str) -> bool:
    """Tell whether a text can be encoded as UTF-8; one with a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_vault_name(vault_name: object) -> str:
    """Return a vault's name, checked by Glacier's rules.

    :raises InvalidArgument: names what was found and what is allowed.
    """
    if isinstance(vault_name, str) and _VAULT_NAME.fullmatch(vault_name):
        return vault_name
    raise InvalidArgument(f"vault_name is {vault_name!r}; a vault's name has 1 to 255 characters of a-z A-Z 0-9 _ - .")


def check_vault_pattern(pattern: object) -> str:
    """Return a pattern for vaults' names, checked: a name with the wildcards of :mod:`fnmatch`.

    :raises InvalidArgument: names what was found and what is allowed.
    """
    if isinstance(pattern, str) and _VAULT_PATTERN.fullmatch(pattern):
        return pattern
    raise InvalidArgument(
        f"the pattern of vaults' names is {pattern!r}; expected 1 to 255 characters of a-z A-Z 0-9 _ - . and the "
        "wildcards * ? [seq] [!seq]"
    )


def check_account_id(account_id: object) -> str:
    """Return an AWS account id, or ``-`` for that of the credentials, checked.

    :raises InvalidArgument: names what was found and what is allowed.
    """
    if isinstance(account_id, str) and (account_id == "-" or _ACCOUNT_ID.fullmatch(account_id)):
        return account_id
    raise InvalidArgument(
        f"account_id is {account_id!r}; expected a string of 12 digits, or '-' for the account of the credentials"
    )
