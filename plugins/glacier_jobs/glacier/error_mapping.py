"""What botocore raises, translated into this package's errors, once, where AWS is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
from botocore.parsers import ResponseParserError

from glacier_jobs.errors import (
    AccessDenied,
    GlacierJobsError,
    InvalidArgument,
    JobNotFound,
    NotSupported,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
    VaultNotFound,
)

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
_UNAVAILABLE = {"ServiceUnavailableException", "RequestTimeoutException", "InsufficientCapacityException"}
_REFUSED_CREDENTIALS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException"}

_ADVICE = {
    "InvalidSignatureException": "check the secret access key, and this machine's clock",
    "UnrecognizedClientException": "check the access key id",
    "ExpiredTokenException": "the session's credentials have run out and could not be renewed",
    "ExpiredToken": "the session's credentials have run out and could not be renewed",
}

_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.SSOError,
)
_NO_ANSWER = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    ResponseParserError,
)


def is_expired(error: botocore.exceptions.ClientError) -> bool:
    """Tell whether fresh credentials might help."""
    return _code(error) in _EXPIRED


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise what botocore raises inside as an error of this package, with the original as its cause.

    :param action: what was being done, as a message shall begin: "List Jobs of vault photos in us-east-1".
    :raises GlacierJobsError: says what failed, what AWS answered, and what to do next.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _from_answer(action, error) from error
    except _NO_CREDENTIALS as error:
        raise AccessDenied(f"{action}: no usable credentials ({error}); check the Airflow connection") from error
    except botocore.exceptions.NoRegionError as error:
        raise InvalidArgument(
            f"{action}: no Region is known; give region_name, or set it in the Airflow connection's extra"
        ) from error
    except _NO_ANSWER as error:
        raise ServiceUnavailable(f"{action}: no usable answer after all attempts ({error}); try again later") from error
    except botocore.exceptions.BotoCoreError as error:
        raise RequestRefused(f"{action}: the request could not be made ({error})") from error


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def _from_answer(action: str, error: botocore.exceptions.ClientError) -> GlacierJobsError:
    code = _code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    attempts = metadata.get("RetryAttempts", 0) + 1
    said = f"{action}: AWS answered {code} (HTTP {status}): {message}"
    if code in _THROTTLED or status == 429:
        return Throttled(
            f"{said}; this was attempt {attempts}. Try again later, make fewer requests at a time, "
            "or raise 'retries' in the connection's config_kwargs or in botocore_config"
        )
    # botocore gives the status for a code where it finds none: the body was cut, or is not Glacier's.
    if code in _UNAVAILABLE or status >= 500 or code.isdigit():
        return ServiceUnavailable(f"{said}; this was attempt {attempts}. Try again later")
    if code in _REFUSED_CREDENTIALS or status in (401, 403):
        advice = _ADVICE.get(code, f"check that the credentials may call it: {error.operation_name}")
        return AccessDenied(f"{said}; {advice}")
    if code == "ResourceNotFoundException":
        if "job" in message.lower() and "vault not found" not in message.lower():
            return JobNotFound(f"{said}; finished jobs are kept for about 24 hours")
        return VaultNotFound(f"{said}; check the vault's name, the account and the Region")
    if code == "NoLongerSupportedException":
        return NotSupported(f"{said}; this account has no vaults and cannot make any")
    return RequestRefused(f"{said}; change the request, it would be refused again")
