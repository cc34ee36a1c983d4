"""The setup of every test: no real credentials, no connection to other machines, and a new Airflow home."""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.retries.standard
import pytest
import tenacity
from hypothesis import settings

from local_aws.client import Control
from local_aws.faulty_proxy import Fault, Proxy, faulty_proxy
from tests.credential_source import CredentialSource, credential_source
from tests.examples import DRILL, FEW, FEWEST

ROOT = Path(__file__).resolve().parent.parent
_HOME = Path(tempfile.mkdtemp(prefix="glacier-jobs-tests-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

# Set the environment before airflow or boto3 is imported: both read it only once.
for _name in list(os.environ):
    if _name.startswith(("AWS_", "AIRFLOW_", "BOTO_")):
        del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(_HOME / "logs"),
    "AWS_CONFIG_FILE": str(_HOME / "no-aws-config"),
    "AWS_SHARED_CREDENTIALS_FILE": str(_HOME / "no-aws-credentials"),
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
}

pytest_plugins = ["local_aws.pytest_plugin", "tests.drills.table"]

settings.register_profile("glacier_jobs", deadline=None, print_blob=True)
settings.register_profile(DRILL, settings.get_profile("glacier_jobs"))
settings.register_profile(FEW, settings.get_profile("glacier_jobs"), max_examples=FEWEST)
settings.load_profile("glacier_jobs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this version of Airflow cannot do; a skip would fail CI."""
    from glacier_jobs.compat import HAS_TASK_STATE_STORE

    left_out = [
        item for item in items if item.get_closest_marker("needs_task_state_store") and not HAS_TASK_STATE_STORE
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class ConnectedToAnotherMachine(AssertionError):
    """A test tried to connect to another machine."""


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse all connections except those to this machine."""
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse_others(address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and host not in ("localhost", "::1") and not str(host).startswith("127."):
            raise ConnectedToAnotherMachine(f"a test tried to connect to {address}")

    def connect(self: socket.socket, address: Any) -> None:
        refuse_others(address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        refuse_others(address)
        return real_connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


@pytest.fixture(autouse=True, scope="session")
def _quick_clients() -> Iterator[None]:
    """Speed up the creation of clients, which would otherwise take nine tenths of the tests' time.

    botocore reads each of its data files once, and looks once which services have one, not once for each session. The
    Amazon provider does not search the stack, which is deep under pytest, for the name of the calling class for the
    user agent.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    read = functools.cache(botocore.loaders.JSONFileLoader().load_file)
    find_services = botocore.loaders.Loader.list_available_services
    services: dict[tuple[str, ...], list[str]] = {}

    def list_available_services(self: Any, type_name: str) -> list[str]:
        key = (type_name, *self.search_paths)
        if key not in services:
            services[key] = find_services(self, type_name)
        return services[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.loaders.Loader, "list_available_services", list_available_services)
        patch.setattr(botocore.loaders.JSONFileLoader, "load_file", lambda self, file_path: read(file_path))
        patch.setattr(AwsGenericHook, "_get_caller", lambda self, target_function_name="execute": "Unknown")
        yield


@pytest.fixture
def connect(local_aws: Control, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that creates Airflow connections to the local AWS."""
    return Connect(local_aws, monkeypatch)


class Connect:
    """Creates an Airflow connection to the local AWS in an environment variable, and returns its id."""

    def __init__(self, local_aws: Control, monkeypatch: pytest.MonkeyPatch) -> None:
        self._local_aws = local_aws
        self._monkeypatch = monkeypatch

    def __call__(
        self,
        conn_id: str = "local_aws",
        *,
        region_name: str | None = "us-east-1",
        attempts: int | None = 3,
        access_key: str | None = "LOCALAWSACCESSKEY000",
        **extra: Any,
    ) -> str:
        """Create the connection.

        With ``attempts=None`` it sets no retries, so that the hook's defaults apply; with ``access_key=None`` it has no
        credentials, so that those of the environment apply.
        """
        extra = {"endpoint_url": self._local_aws.endpoint, **extra}
        if region_name is not None:
            extra["region_name"] = region_name
        if attempts is not None:
            extra["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": attempts}}
        connection: dict[str, Any] = {"conn_type": "aws", "extra": extra}
        if access_key is not None:
            connection |= {"login": access_key, "password": "local-aws-secret"}
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id


@dataclass(frozen=True, kw_only=True)
class IdsOnS3:
    """A text file with the ids ``a`` and ``b`` in a bucket, and the faulty proxy in front of S3."""

    uri: str
    proxy: Proxy

    def fail(self, fault: Fault, *, count: int | None = None) -> None:
        """Let the next ``count`` requests fail, or all if ``count`` is ``None``."""
        faults = repeat(fault) if count is None else repeat(fault, count)
        self.proxy.rule = lambda method, path: next(faults, None)


@pytest.fixture
def ids_on_s3(connect: Connect, local_aws: Control) -> Iterator[IdsOnS3]:
    """A file of ids on S3, behind a faulty proxy."""
    import boto3

    s3 = boto3.client("s3", **local_aws.boto3_arguments())
    s3.create_bucket(Bucket="ids")
    s3.put_object(Bucket="ids", Key="today.txt", Body=b"a\nb\n")
    with faulty_proxy(local_aws.endpoint) as proxy:
        # Use a new connection for each proxy: Airflow caches the file systems of a connection.
        conn_id = connect(f"ids_{secrets.token_hex(4)}", endpoint_url=proxy.endpoint, attempts=1)
        yield IdsOnS3(uri=f"s3://{conn_id}@ids/today.txt", proxy=proxy)


@pytest.fixture
def credentials() -> Iterator[CredentialSource]:
    """A source of credentials that can be away."""
    with credential_source() as source:
        yield source


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore and the hook retry a request without delay. Real delays would take minutes."""
    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda self, context: 0.0)
    monkeypatch.setattr(tenacity.wait_random_exponential, "__call__", lambda self, retry_state: 0.0)
