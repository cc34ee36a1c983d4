from __future__ import annotations

import re

import pytest

from glacier_jobs.errors import InvalidArgument, MalformedAnswer
from glacier_jobs.glacier.identifiers import VaultArn, check_account_id, check_vault_name


def test_a_vault_arn_is_split_and_joined_again() -> None:
    arn = VaultArn.parse("arn:aws-us-gov:glacier:us-gov-west-1:012345678901:vaults/my.vault_1-a")

    assert (arn.partition, arn.region, arn.account_id, arn.name) == (
        "aws-us-gov",
        "us-gov-west-1",
        "012345678901",
        "my.vault_1-a",
    )
    assert str(arn) == "arn:aws-us-gov:glacier:us-gov-west-1:012345678901:vaults/my.vault_1-a"


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:s3:::bucket",
        "arn:aws:glacier:us-east-1::vaults/a",
        "arn:aws:glacier:us-east-1:1234:vaults/a",
        "arn:aws:glacier:us-east-1:123456789012:vaults/a\ud800",
    ],
)
def test_a_text_that_is_no_vault_arn_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(MalformedAnswer, match=re.escape(repr(text))):
        VaultArn.parse(text)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 255])
def test_a_vault_name_that_glacier_accepts_is_accepted(name: str) -> None:
    assert check_vault_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 256, "with space", "slash/ed", "ümlaut", "new\n", None, 5])
def test_a_vault_name_that_glacier_would_refuse_is_refused_with_what_is_allowed(name: object) -> None:
    with pytest.raises(InvalidArgument, match="1 to 255 characters"):
        check_vault_name(name)


@pytest.mark.parametrize("account_id", ["-", "012345678901"])
def test_an_account_id_is_a_dash_or_twelve_digits(account_id: str) -> None:
    assert check_account_id(account_id) == account_id


@pytest.mark.parametrize(
    "account_id", ["", "12345678901", "0123456789012", "12345678901a", 12345678901, None, "٠١٢٣٤٥٦٧٨٩٠١"]
)
def test_another_account_id_is_refused_with_what_is_expected(account_id: object) -> None:
    with pytest.raises(InvalidArgument, match="12 digits"):
        check_account_id(account_id)
