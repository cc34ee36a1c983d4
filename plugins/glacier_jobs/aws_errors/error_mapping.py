"""The mapping of botocore's exceptions to this package's errors, applied where AWS is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
from botocore.parsers import ResponseParserError

from glacier_jobs.aws_errors.proxies import ProxyRefusedError, refusal, without_secrets
from glacier_jobs.errors import (
    AccessDenied,
    ArchiveNotFound,
    CredentialsUnavailable,
    GlacierJobsError,
    InsufficientCapacity,
    InvalidArgument,
    JobMayHaveStarted,
    JobNotFound,
    NotSupported,
    PolicyEnforced,
    ProxyDenied,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
    VaultNotFound,
)

_THROTTLED = {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
_UNAVAILABLE = {"ServiceUnavailableException", "RequestTimeoutException"}
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
    "InvalidSignatureException": "check the secret access key and this machine's clock",
    "UnrecognizedClientException": "check the access key id",
    "ExpiredTokenException": "the temporary credentials have expired and could not be renewed",
    "ExpiredToken": "the temporary credentials have expired and could not be renewed",
}

#: The credentials are configured wrongly, or a person must sign in again.
_UNUSABLE_CREDENTIALS = (
    botocore.exceptions.InvalidIMDSEndpointError,
    botocore.exceptions.InvalidIMDSEndpointModeError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.RefreshWithMFAUnsupportedError,
    botocore.exceptions.SSOError,
    botocore.exceptions.UnknownCredentialError,
)

#: The source of the credentials did not answer. botocore raises ``NoCredentialsError`` also where the metadata service
#: of an EC2 instance is away, which it cannot tell from an instance without credentials.
AWAY_CREDENTIALS = (
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.MetadataRetrievalError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.TokenRetrievalError,
)
_NO_ANSWER = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    ResponseParserError,
)

#: The request was not sent.
_NOT_CONNECTED = (
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ProxyConnectionError,
)

#: Answers that refuse a job, whatever their status is: the documents and botocore's model of the service differ.
_REFUSED_STARTS = {"InsufficientCapacityException", "PolicyEnforcedException"}


def is_expired(error: botocore.exceptions.ClientError) -> bool:
    """Tell whether the request failed because its credentials have expired."""
    return _code(error) in _EXPIRED


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Translate botocore's exceptions inside the block to errors of this package, with the original as the cause.

    :param action: the beginning of the messages: "List Jobs of vault photos in us-east-1".
    :raises GlacierJobsError: names what failed, AWS's answer, and what to do next.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        raise _from_answer(action, error) from error
    except _UNUSABLE_CREDENTIALS as error:
        raise AccessDenied(f"{action}: no usable credentials ({error}); check the Airflow connection") from error
    except AWAY_CREDENTIALS as error:
        raise CredentialsUnavailable(
            f"{action}: no credentials ({error}); check the Airflow connection, or if it names none, the source of the "
            "environment's credentials (ECS, EKS, EC2, profile). If they are set up, try again later"
        ) from error
    except botocore.exceptions.NoRegionError as error:
        raise InvalidArgument(
            f"{action}: the Region is not set; pass region_name, or set it in the Airflow connection's extra"
        ) from error
    except botocore.exceptions.ProxyConnectionError as error:
        if refused := refusal(error):
            raise _from_proxy(action, refused) from error
        raise _from_silence(action, error) from error
    except _NO_ANSWER as error:
        raise _from_silence(action, error) from error
    except ProxyRefusedError as error:
        raise _from_proxy(action, error) from error
    except botocore.exceptions.BotoCoreError as error:
        raise RequestRefused(f"{action}: the request could not be made ({error})") from error


@contextmanager
def started_or_not(action: str) -> Iterator[None]:
    """Tell a request to start a job that Glacier may have accepted from one that it has not.

    Inside :func:`translated`, which translates the other errors.

    :param action: the beginning of the message: "Initiate Job in vault photos in us-east-1".
    :raises JobMayHaveStarted: no answer, or one that says nothing about the job.
    """
    try:
        yield
    except botocore.exceptions.ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if _code(error) not in _REFUSED_STARTS and (status >= 500 or status == 408):
            raise uncertain(action, f"AWS answered {_code(error)} (HTTP {status})") from error
        raise
    except _NOT_CONNECTED:
        raise
    except _NO_ANSWER as error:
        raise uncertain(action, str(error)) from error


def uncertain(action: str, reason: str) -> JobMayHaveStarted:
    """Return the error of a request to start a job that Glacier may have accepted."""
    return JobMayHaveStarted(
        f"{action}: {reason}; Glacier may have started the job. Look for it in the vault's list before you repeat the "
        "request, because a second job is charged, too"
    )


def _from_proxy(action: str, error: ProxyRefusedError) -> ProxyDenied:
    return ProxyDenied(
        f"{action}: {error}; check the proxy and its login in the proxy settings of this machine, the connection's "
        "config_kwargs or botocore_config"
    )


def _from_silence(action: str, error: Exception) -> ServiceUnavailable:
    return ServiceUnavailable(f"{action}: no usable answer after all attempts ({error}); try again later")


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def _from_answer(action: str, error: botocore.exceptions.ClientError) -> GlacierJobsError:
    code = _code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    metadata = error.response.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode", 0)
    attempts = metadata.get("RetryAttempts", 0) + 1
    answer = f"{action}: AWS answered {code} (HTTP {status}): {message}"
    if code in _THROTTLED or status == 429:
        return Throttled(
            f"{answer}; this was attempt {attempts}. Try again later, make fewer concurrent requests, "
            "or increase 'retries' in the connection's config_kwargs or in botocore_config"
        )
    if 300 <= status < 400:
        location = without_secrets(metadata.get("HTTPHeaders", {}).get("location", "an unknown address"))
        return ProxyDenied(
            f"{answer}; it redirects to {location}, which AWS never does: a proxy or the login page of a network "
            "answered. Check this machine's proxy settings and the connection's endpoint_url"
        )
    if code == "InsufficientCapacityException":
        return InsufficientCapacity(f"{answer}; try again later, or use the tier Standard")
    if code == "PolicyEnforcedException":
        return PolicyEnforced(
            f"{answer}; the data retrieval policy of this account and Region does not admit the job now. Try again "
            "when jobs have completed, use the tier Bulk or Expedited, to which the policy does not apply, or change "
            "the policy"
        )
    # botocore puts the HTTP status in place of a missing code: the body was truncated, or it is not from Glacier.
    if code in _UNAVAILABLE or status >= 500 or code.isdigit():
        return ServiceUnavailable(f"{answer}; this was attempt {attempts}. Try again later")
    if code in _REFUSED_CREDENTIALS or status in (401, 403):
        advice = _ADVICE.get(code, f"check that the credentials are allowed to call {error.operation_name}")
        return AccessDenied(f"{answer}; {advice}")
    if code == "ResourceNotFoundException":
        if "archive id" in message.lower():
            return ArchiveNotFound(f"{answer}; check the archive's ID and the vault's name")
        if "job" in message.lower() and "vault not found" not in message.lower():
            return JobNotFound(f"{answer}; finished jobs are kept for about 24 hours")
        return VaultNotFound(f"{answer}; check the vault's name, the account and the Region")
    if code == "NoLongerSupportedException":
        return NotSupported(f"{answer}; this account has no vaults and cannot create any")
    return RequestRefused(f"{answer}; change the request, because the same request would be refused again")
