from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from glacier_jobs.glacier.initiation import LONGEST_DESCRIPTION, JobRequest
from glacier_jobs.retrieval.tokens import LONGEST_OWN_DESCRIPTION, PREFIX, has_token, token_of, with_token

REQUEST = JobRequest.checked(vault_name="photos", job_type="archive-retrieval", archive_id="a1", tier="Bulk")
ORIGIN: dict[str, Any] = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "deployment": None}


def test_a_token_is_the_same_for_the_same_request_of_the_same_task() -> None:
    token = token_of(REQUEST, ORIGIN)

    assert token == token_of(replace(REQUEST), dict(reversed(ORIGIN.items())))
    assert token.startswith(PREFIX)
    assert len(token) == 39


@pytest.mark.parametrize("changed", [{name: "x"} for name in ORIGIN])
def test_another_task_has_another_token(changed: dict[str, Any]) -> None:
    assert token_of(REQUEST, {**ORIGIN, **changed}) != token_of(REQUEST, ORIGIN)


@pytest.mark.parametrize(
    "changed",
    [
        {"vault_name": "music"},
        {"account_id": "123456789012"},
        {"archive_id": "a2"},
        {"retrieval_byte_range": (0, 5)},
        {"tier": "Standard"},
        {"tier": None},
    ],
)
def test_another_request_has_another_token(changed: dict[str, Any]) -> None:
    assert token_of(replace(REQUEST, **changed), ORIGIN) != token_of(REQUEST, ORIGIN)


def test_description_and_topic_do_not_change_the_token() -> None:
    assert token_of(replace(REQUEST, description="d", sns_topic="t"), ORIGIN) == token_of(REQUEST, ORIGIN)


def test_the_longest_description_has_room_for_the_token() -> None:
    token = token_of(REQUEST, ORIGIN)

    assert len(with_token("d" * LONGEST_OWN_DESCRIPTION, token)) <= LONGEST_DESCRIPTION


@pytest.mark.parametrize("description", [None, "", "weekly restore", "ends with a space "])
def test_a_description_with_the_token_is_recognised(description: str | None) -> None:
    token = token_of(REQUEST, ORIGIN)

    assert has_token({"JobDescription": with_token(description, token)}, token)


@pytest.mark.parametrize("found", [None, "", "weekly", 7, "TOKEN later", "xTOKEN", "TOKENx"])
def test_another_description_is_not_recognised(found: object) -> None:
    token = token_of(REQUEST, ORIGIN)
    described = found.replace("TOKEN", token) if isinstance(found, str) else found

    assert not has_token({"JobDescription": described}, token)
