"""Sources of credentials that can be away: on a socket, as ECS and EC2 offer one, and a process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from local_aws.http_server import Handler, serving

if TYPE_CHECKING:
    import pytest


class CredentialSource:
    """Answers requests for credentials. botocore requests them again before each call, because they expire soon."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests = 0
        self._away: Iterator[bool] = repeat(False)

    def is_away(self, *, skip: int = 0, count: int | None = None) -> None:
        """Answer with HTTP 500 after the next ``skip`` requests: to ``count`` requests, or to all further ones."""
        away = repeat(True) if count is None else repeat(True, count)
        self._away = chain(repeat(False, skip), away, repeat(False))

    def serve_a_container(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let botocore find this source as that of an ECS or EKS container."""
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{self.endpoint}/credentials")
        # botocore would wait a second between its three attempts.
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)

    def serve_an_instance(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let botocore find this source as the metadata service of an EC2 instance."""
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.endpoint)

    def answer(self, path: str) -> tuple[int, str]:
        """Return the status and the body of the answer to a request."""
        self.requests += 1
        if next(self._away):
            return 500, "away"
        if path.endswith("/api/token"):
            return 200, "token"
        if path.endswith("/security-credentials/"):
            return 200, "role"
        return 200, json.dumps({"Code": "Success", "Token": "local-aws-token", **soon_expired()})


def soon_expired() -> dict[str, str]:
    """Return credentials that botocore requests again before each call."""
    expires_at = datetime.now(timezone.utc) + timedelta(minutes=5)
    return {
        "AccessKeyId": "LOCALAWSACCESSKEY000",
        "SecretAccessKey": "local-aws-secret",
        "Expiration": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
    }


class CredentialProcess:
    """The profile ``archive``, whose credentials a process prints until it is broken."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._output = folder / "credentials.json"
        self._output.write_text(json.dumps({"Version": 1, "SessionToken": "local-aws-token", **soon_expired()}))
        (folder / "config").write_text(f"[profile archive]\ncredential_process = cat {self._output}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))

    def breaks(self) -> None:
        self._output.unlink()


@contextmanager
def credential_source() -> Iterator[CredentialSource]:
    """Run a source of credentials until the ``with`` block ends."""
    source = CredentialSource()

    class Bound(Handler):
        """The handler of this source."""

        def respond(self) -> None:
            status, text = source.answer(self.path)
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with serving(Bound) as source.endpoint:
        yield source
