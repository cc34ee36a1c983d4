from __future__ import annotations

from typing import Any

import pytest

from glacier_jobs.alerts.notifier import parse_notifier
from glacier_jobs.errors import InvalidArgument


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("slack", "not JSON"),
        ('{"notifier": "os.path.join", "arguments": {"a": "{{ glacier_jobs_alert.text }}"}}', "is not a notifier"),
        ('{"notifier": "no.such.Thing", "arguments": {"a": "glacier_jobs_alert"}}', "install its provider"),
        ('{"notifier": "a.B", "arguments": {"text": "hello"}}', "no argument of the notifier contains"),
        ({"notifier": "a.B", "arguments": {}, "to": "me"}, "not an object with these two keys"),
    ],
)
def test_something_else_than_a_notifier_is_refused(given: Any, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        parse_notifier(given)
