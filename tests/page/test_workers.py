from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from glacier_jobs.page import workers
from glacier_jobs.page.service import PageService
from glacier_jobs.page.workers import answered
from glacier_jobs.sql.engine import Engine


class Held:
    """A computation that ends only once it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, service: PageService) -> str:
        assert self.released.wait(30)
        return "done"


@pytest.fixture
def held() -> Iterator[Held]:
    """A computation that is released at the end, at the latest."""
    held = Held()
    yield held
    held.released.set()


def test_the_event_loop_is_not_blocked_while_an_answer_is_computed(held: Held) -> None:
    async def scenario() -> Any:
        pending = asyncio.create_task(answered(held))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not pending.done()
        held.released.set()
        return await asyncio.wait_for(pending, 30)

    assert asyncio.run(scenario()) == "done"


def test_too_many_requests_at_a_time_are_refused_and_the_others_answered(held: Held) -> None:
    async def scenario() -> list[Any]:
        pending = [asyncio.create_task(answered(held)) for _ in range(workers.AT_A_TIME + workers.WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(HTTPException) as refused:
            await answered(held)
        assert refused.value.status_code == 503
        held.released.set()
        answers = await asyncio.wait_for(asyncio.gather(*pending), 30)
        return [*answers, await answered(held)]

    assert set(asyncio.run(scenario())) == {"done"}


@pytest.mark.parametrize(
    ("name", "path", "lane"),
    [
        ("overview", "overview", "quick"),
        ("watch", "watch", "quick"),
        ("jobs", "jobs", "quick"),
        ("pictures", "pictures", "long"),
        # Reads every listing since the job was created.
        ("job", "job?vault_arn=a&job_id=b", "long"),
    ],
)
def test_each_request_uses_its_lane(
    viewer: TestClient, monkeypatch: pytest.MonkeyPatch, name: str, path: str, lane: str
) -> None:
    monkeypatch.setattr(PageService, name, lambda *_: threading.current_thread().name)

    assert f"-{lane}_" in viewer.get(f"api/{path}").json()


def test_long_requests_do_not_delay_quick_ones(held: Held) -> None:
    async def scenario() -> Any:
        pending = [asyncio.create_task(answered(held, lane="long")) for _ in range(workers.AT_A_TIME + 1)]
        quick = await asyncio.wait_for(answered(lambda _: "at once"), 30)
        held.released.set()
        await asyncio.gather(*pending)
        return quick

    assert asyncio.run(scenario()) == "at once"


def test_a_store_that_does_not_respond_blocks_no_request(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS", -4.9)

    async def scenario() -> None:
        try:
            await answered(held)
        finally:
            held.released.set()

    with pytest.raises(HTTPException) as refused:
        asyncio.run(scenario())

    assert (refused.value.status_code, refused.value.detail) == (503, "The dataset does not answer in time.")


def test_a_computation_that_takes_too_long_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS", 0.05)

    def count_for_long(service: PageService) -> Any:
        with Engine() as engine:
            return engine.query("SELECT count(*) FROM range(1000000000) a, range(1000000000) b")

    with pytest.raises(HTTPException) as refused:
        asyncio.run(answered(count_for_long))

    assert refused.value.status_code == 503
    assert "interrupted" in refused.value.detail
