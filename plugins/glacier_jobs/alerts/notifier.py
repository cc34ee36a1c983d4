"""The notifier that an Airflow Variable configures."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from glacier_jobs.alerts.rules import Message
from glacier_jobs.errors import InvalidArgument

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The name under which a notifier's templates find the message: ``{{ glacier_jobs_alert.text }}``.
TEMPLATE_NAME = "glacier_jobs_alert"

_EXPECTED = (
    'expected {"notifier": "<module>.<class>", "arguments": {…}}, where an argument holds '
    f"{{{{ {TEMPLATE_NAME}.text }}}} or {{{{ {TEMPLATE_NAME}.subject }}}}"
)


def parse_notifier(given: object) -> BaseNotifier:
    """Return the notifier that an object, or JSON text of one, describes.

    :param given: ``{"notifier": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
        "arguments": {"text": "{{ glacier_jobs_alert.text }}"}}``. The arguments are those of the class.
    :raises InvalidArgument: names what was found and what was expected.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InvalidArgument(f"the notifier is not JSON ({error}); {_EXPECTED}") from error
    if not isinstance(given, Mapping) or not given.keys() <= {"notifier", "arguments"}:
        raise InvalidArgument(f"the notifier is not an object with these two keys; {_EXPECTED}")
    arguments = given.get("arguments", {})
    if not isinstance(arguments, Mapping) or TEMPLATE_NAME not in json.dumps(arguments):
        raise InvalidArgument(f"no argument of the notifier contains the message; {_EXPECTED}")
    notifier_class = _loaded(given.get("notifier"))
    try:
        return notifier_class(**arguments)
    except TypeError as error:
        raise InvalidArgument(f"{given['notifier']} does not take these arguments: {error}") from error


def notify_with(notifier: BaseNotifier, message: Message, context: Context) -> None:
    """Send a message with a notifier. What the notifier raises is raised.

    :param context: the context of the task that sends it.
    """
    values: Any = {**context, TEMPLATE_NAME: asdict(message)}
    errors: list[Exception] = []
    notify = notifier.notify

    def notify_or_keep_error(context: Context) -> None:
        try:
            notify(context)
        except Exception as error:
            errors.append(error)
            raise

    # Airflow 3.0 logs what a notifier raises, and goes on.
    notifier.notify = notify_or_keep_error  # type: ignore[method-assign]
    notifier(values)
    if errors:
        raise errors[0]


def _loaded(path: object) -> type[BaseNotifier]:
    module_name, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    try:
        found = getattr(importlib.import_module(module_name), name) if module_name else None
    except (ImportError, AttributeError) as error:
        raise InvalidArgument(f"the notifier {path!r} cannot be imported ({error}); install its provider") from error
    if not isinstance(found, type) or not issubclass(found, BaseNotifier):
        raise InvalidArgument(f"{path!r} is not a notifier (a subclass of airflow.sdk.BaseNotifier); {_EXPECTED}")
    return found
