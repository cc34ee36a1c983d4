"""The token in a job's description, by which the task that started the job finds it again. All pure.

Initiate Job has no token of its own that tells a repeated request from a new one. List Jobs shows descriptions.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from glacier_jobs.glacier.initiation import LONGEST_DESCRIPTION, JobRequest

#: What each token begins with.
PREFIX = "glacier-jobs/"

_DIGEST_BYTES = 16

#: How many characters a description may have that a token is added to. With a space and the token, which has 39, it
#: is within Glacier's limit.
LONGEST_OWN_DESCRIPTION = 980


def token_of(request: JobRequest, origin: Mapping[str, Any]) -> str:
    """Return the token of a job: the same for the same request of the same origin, in each of its tries.

    The description and the topic of the request do not matter.

    Example::

        token = token_of(request, {"dag_id": "restore", "run_id": "manual__1", "task_id": "start", "map_index": -1})

    :param origin: what the job is started for; values of JSON.
    :return: 39 printable ASCII characters, without spaces.
    """
    parameters = request.parameters()
    for name in ("Description", "SNSTopic"):
        parameters.pop(name, None)
    identity = [dict(origin), request.vault_name, request.account_id, parameters]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()[:_DIGEST_BYTES]
    return PREFIX + base64.b32encode(digest).decode().rstrip("=").lower()


def with_token(description: str | None, token: str) -> str:
    """Return the description of a job with a token."""
    described = f"{description} {token}" if description else token
    if len(described) > LONGEST_DESCRIPTION:
        raise AssertionError(f"a description of {len(described)} characters")
    return described


def has_token(job: Mapping[str, Any], token: str) -> bool:
    """Tell whether the description of a job has the token, as its last word."""
    description = job.get("JobDescription")
    return isinstance(description, str) and description.rpartition(" ")[2] == token
