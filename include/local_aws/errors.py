"""The error responses of Glacier.

Source: Amazon Glacier API 2012-06-01, "Error responses". The messages for a missing vault, job and archive are as
reported by users.
"""

import json
from collections.abc import Mapping


class AwsError(Exception):
    """An error response: code, HTTP status and message."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status
        self.message = message

    def body(self) -> bytes:
        """Return the JSON body of the response."""
        kind = "Server" if self.status >= 500 else "Client"
        return json.dumps({"code": self.code, "message": self.message, "type": kind}).encode()


def invalid_parameter(message: str) -> AwsError:
    """Return the error for an invalid parameter."""
    return AwsError("InvalidParameterValueException", 400, message)


def missing_parameter(message: str) -> AwsError:
    """Return the error for a missing required parameter."""
    return AwsError("MissingParameterValueException", 400, message)


def vault_not_found(vault_arn: str) -> AwsError:
    """Return the error for a vault that does not exist in this account and Region."""
    return AwsError("ResourceNotFoundException", 404, f"Vault not found for ARN: {vault_arn}")


def job_not_found(job_id: str) -> AwsError:
    """Return the error for a job that does not exist in this vault, or has expired."""
    return AwsError("ResourceNotFoundException", 404, f"The job ID was not found: {job_id}")


def archive_not_found(archive_id: str) -> AwsError:
    """Return the error for an archive that does not exist in this vault."""
    return AwsError("ResourceNotFoundException", 404, f"The archive ID was not found: {archive_id}")


def not_available(job_id: str) -> AwsError:
    """Return the error for the output of a job that has not succeeded."""
    return invalid_parameter(f"The job is not currently available for download: {job_id}")


def limit_exceeded(message: str) -> AwsError:
    """Return the error for an exceeded limit."""
    return AwsError("LimitExceededException", 400, message)


def missing_authentication() -> AwsError:
    """Return the error for a request without a signature."""
    return AwsError("MissingAuthenticationTokenException", 403, "Missing Authentication Token")


def incomplete_signature(message: str) -> AwsError:
    """Return the error for a signature that is not in the format of Signature Version 4."""
    return AwsError("IncompleteSignatureException", 400, message)


def unknown_operation(method: str, path: str) -> AwsError:
    """Return the error for a request that matches no implemented operation."""
    return AwsError(
        "UnknownOperationException", 404, f"The local Glacier does not implement this operation: {method} {path}"
    )


# The error response of each of these faults: code, status and message. A message may contain {operation}, {resource}
# and {account_id}.
FAULT_ERRORS: Mapping[str, tuple[str, int, str]] = {
    "throttling": ("ThrottlingException", 400, "Rate exceeded"),
    "service_unavailable": ("ServiceUnavailableException", 500, "The service cannot complete the request."),
    "request_timeout": ("RequestTimeoutException", 408, "The request timed out."),
    "access_denied": (
        "AccessDeniedException",
        403,
        "User: arn:aws:iam::{account_id}:user/local is not authorized to perform: glacier:{operation}"
        " on resource: {resource}",
    ),
    "expired_token": ("ExpiredTokenException", 403, "The security token included in the request is expired"),
    "invalid_signature": (
        "InvalidSignatureException",
        403,
        "The request signature we calculated does not match the signature you provided.",
    ),
    "unrecognized_client": (
        "UnrecognizedClientException",
        400,
        "The security token included in the request is invalid.",
    ),
    "no_longer_supported": (
        "NoLongerSupportedException",
        400,
        "This API is no longer supported for new accounts. Please use Amazon S3 Glacier storage classes instead.",
    ),
    "policy_enforced": (
        "PolicyEnforcedException",
        400,
        "InitiateJob request denied by current data retrieval policy.",
    ),
    "insufficient_capacity": (
        "InsufficientCapacityException",
        503,
        "There is insufficient capacity to process this expedited request.",
    ),
    "vault_not_found": ("ResourceNotFoundException", 404, "Vault not found for ARN: {resource}"),
    "job_not_found": ("ResourceNotFoundException", 404, "The job ID was not found"),
    "limit_exceeded": ("LimitExceededException", 400, "A limit of the account was exceeded."),
}
