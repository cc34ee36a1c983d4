"""Parses the signature of requests.

Signatures are not verified: any secret key is accepted.

Source: AWS Signature Version 4, "Authorization header".
"""

import re
from dataclasses import dataclass

from local_aws import errors

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<access_key>[^/,\s]+)/\d{8}/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request\s*,"
    r"\s*SignedHeaders=[^,\s]+\s*,\s*Signature=[0-9a-f]{64}"
)


@dataclass(frozen=True)
class CredentialScope:
    """The access key of a request, and the Region and service in its credential scope."""

    access_key: str
    region: str
    service: str


def parse_authorization(authorization: str | None) -> CredentialScope:
    """Parse an ``Authorization`` header.

    :raises AwsError: the header is missing, or not in the format of Signature Version 4.
    """
    if not authorization:
        raise errors.missing_authentication()
    match = _AUTHORIZATION.match(authorization)
    if match is None:
        raise errors.incomplete_signature("Authorization header is not a complete AWS Signature Version 4")
    return CredentialScope(match["access_key"], match["region"], match["service"])


_GLACIER_PATH = re.compile(r"/(?:-|\d{12})/vaults(?:[/?]|$)")


def is_for_glacier(authorization: str | None, target: str) -> bool:
    """Return whether a request is for Glacier: by its credential scope, or by its path if it has none."""
    if authorization and "/aws4_request" in authorization:
        return "/glacier/aws4_request" in authorization
    return _GLACIER_PATH.match(target) is not None
