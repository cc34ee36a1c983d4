"""Who signed a request, and for which Region and service.

The signature itself is not verified: any secret key will do.

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
class Signer:
    """What the credential scope of a request names."""

    access_key: str
    region: str
    service: str


def signer_of(authorization: str | None) -> Signer:
    """Who signed.

    :raises AwsError: nobody did, or not with Signature Version 4.
    """
    if not authorization:
        raise errors.missing_authentication()
    match = _AUTHORIZATION.match(authorization)
    if match is None:
        raise errors.incomplete_signature("Authorization header is not a complete AWS Signature Version 4")
    return Signer(match["access_key"], match["region"], match["service"])


_GLACIER_PATH = re.compile(r"/(?:-|\d{12})/vaults(?:[/?]|$)")


def is_for_glacier(authorization: str | None, target: str) -> bool:
    """Whether a request is Glacier's: by its credential scope, and by its path where it has none."""
    if authorization and "/aws4_request" in authorization:
        return "/glacier/aws4_request" in authorization
    return _GLACIER_PATH.match(target) is not None
