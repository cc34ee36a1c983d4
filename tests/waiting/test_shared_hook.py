"""The client that all polls of a connection share, while it is built and built again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.waiting.poll_threads import MOST_THREADS_PER_CLIENT, PollThreads
from glacier_jobs.waiting.shared_hook import ConnectionSettings, SharedHook
from tests.conftest import Connect


def settings_of(conn_id: str) -> ConnectionSettings:
    return ConnectionSettings.of(aws_conn_id=conn_id, region_name=None, verify=None, botocore_config=None)


def test_settings_are_equal_if_their_configurations_are() -> None:
    def settings(**config: int) -> ConnectionSettings:
        return ConnectionSettings.of(aws_conn_id="a", region_name="b", verify=False, botocore_config=config)

    assert settings(read_timeout=1, connect_timeout=2) == settings(connect_timeout=2, read_timeout=1)
    assert settings(read_timeout=1) != settings(read_timeout=2)


def test_the_connection_pool_is_as_large_as_the_number_of_threads(connect: Connect) -> None:
    assert settings_of(connect()).hook().get_conn().meta.config.max_pool_connections == MOST_THREADS_PER_CLIENT


def test_a_client_that_was_refused_is_used_by_others_while_another_is_built(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = threading.Event()
    real_hook = ConnectionSettings.hook

    def slow(self: ConnectionSettings) -> GlacierJobsHook:
        assert built.wait(30)
        return real_hook(self)

    async def test() -> None:
        settings = settings_of(connect())
        shared = SharedHook(settings, PollThreads().share_of(settings))
        refused = await shared.get(None)
        assert isinstance(refused, GlacierJobsHook)
        monkeypatch.setattr(ConnectionSettings, "hook", slow)

        first, second = (asyncio.ensure_future(shared.get(refused)) for _ in range(2))
        await asyncio.sleep(0)
        assert await asyncio.wait_for(shared.get(None), 5) is refused
        first.cancel()
        built.set()

        another = await asyncio.wait_for(second, 5)
        assert another is not refused
        assert another is await shared.get(refused) is await shared.get(None)

    asyncio.run(asyncio.wait_for(test(), 60))
