from __future__ import annotations

from typing import Any

import pytest

from glacier_jobs.alerts.notifier import parse_notifier
from glacier_jobs.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("slack", "not JSON"),
        ('{"notifier": "os.path.join", "arguments": {"a": "{{ glacier_jobs_alert.text }}"}}', "is not a notifier"),
        ('{"notifier": "no.such.Thing", "arguments": {"a": "glacier_jobs_alert"}}', "install its provider"),
        ('{"notifier": "a.B", "arguments": {"text": "hello"}}', "no argument of the notifier contains"),
        ({"notifier": "a.B", "arguments": {}, "to": "me"}, "not an object with these two keys"),
    ],
)
def test_an_object_that_is_no_notifier_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_notifier(given)
