from __future__ import annotations

import json
from typing import Any

from glacier_jobs.waiting.description import from_event, to_event


def test_a_description_comes_back_from_an_event_as_it_was() -> None:
    """Also with half of a surrogate pair and with a number that takes more than 64 bits."""
    description = {"JobId": "a", "JobDescription": "caf\u00e9 \ud800", "ArchiveSizeInBytes": 2**70}

    stored = to_event(description)

    assert stored.isascii()
    assert from_event(json.loads(json.dumps({"description": stored}))) == {"a": description}


def test_an_event_without_a_description_holds_none() -> None:
    events: list[dict[str, Any]] = [{}, {"description": None}]

    assert [from_event(event) for event in events] == [{}, {}]
