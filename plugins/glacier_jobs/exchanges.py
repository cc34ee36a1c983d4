"""One request through botocore's client: its whole answer, and what botocore shows of it on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.endpoint import Endpoint
    from botocore.model import OperationModel
    from botocore.signers import RequestSigner

#: How often a page is asked for whose body cannot be read. botocore does not repeat such a request by itself.
BODY_ATTEMPTS = 3

#: Reads a body; raises ``ResponseParserError`` where it cannot.
Decode: TypeAlias = Callable[[bytes], dict[str, Any]]

#: How the sending of a request ended.
Outcome: TypeAlias = AWSResponse | Exception


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How botocore made, signed and sent a request, at its first attempt."""

    operation: OperationModel
    request: AWSPreparedRequest
    context: Mapping[str, Any]
    signer: RequestSigner
    endpoint: Endpoint


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that an answer says, and how botocore asked for it; a stubbed client sends nothing and shows nothing."""

    content: dict[str, Any]
    shown: Shown | None


class _Exchange:
    """One call of a client that :func:`watch` watches.

    :param outcome: how the first attempt ended, where it has been made already; botocore then takes this for its own.
    """

    def __init__(self, outcome: Outcome | None = None) -> None:
        self._outcome = outcome
        self._shown: dict[str, Any] = {}
        self.body: bytes | None = None

    @property
    def shown(self) -> Shown | None:
        return Shown(**self._shown) if self._shown.keys() == Shown.__dataclass_fields__.keys() else None

    def call(self, client: Any, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call a method of the client and return what it returns; a successful answer's body is in :attr:`body`."""
        token = _exchange.set(self)
        try:
            answer: dict[str, Any] = getattr(client, method)(**parameters)
        finally:
            _exchange.reset(token)
        return answer

    def before_sign(self, request: Any, request_signer: RequestSigner) -> None:
        self._shown.setdefault("context", dict(request.context))
        self._shown.setdefault("signer", request_signer)

    def before_send(self, request: AWSPreparedRequest) -> AWSResponse | None:
        self._shown.setdefault("request", request)
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def before_parse(self, response: dict[str, Any]) -> None:
        self.body = None
        if response["status_code"] < 300:
            self.body = response["body"]
            response["body"] = b""

    def needs_retry(self, endpoint: Endpoint, operation: OperationModel) -> None:
        self._shown.setdefault("endpoint", endpoint)
        self._shown.setdefault("operation", operation)


_exchange: ContextVar[_Exchange | None] = ContextVar("glacier_jobs_exchange", default=None)


def watch(client: Any) -> None:
    """Let exchanges take part in the calls of a client; it answers all others as boto3's do."""
    for event, handler in {
        "before-sign": _before_sign,
        "before-send": _before_send,
        "before-parse": _before_parse,
        "needs-retry": _needs_retry,
    }.items():
        client.meta.events.register(f"{event}.glacier", handler)


def _before_sign(request: Any, request_signer: RequestSigner, **_: Any) -> None:
    if exchange := _exchange.get():
        exchange.before_sign(request, request_signer)


def _before_send(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
    exchange = _exchange.get()
    return exchange.before_send(request) if exchange else None


def _before_parse(response_dict: dict[str, Any], **_: Any) -> None:
    if exchange := _exchange.get():
        exchange.before_parse(response_dict)


def _needs_retry(endpoint: Endpoint, operation: OperationModel, **_: Any) -> None:
    if exchange := _exchange.get():
        exchange.needs_retry(endpoint, operation)


def decoded_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    :raises ResponseParserError: it is none.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise ResponseParserError(f"a body of {len(body)} bytes is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ResponseParserError(f"a body of {len(body)} bytes is not a JSON object")
    return answer


def ask(
    client: Any,
    method: str,
    parameters: Mapping[str, str],
    decode: Decode = decoded_json,
    outcome: Outcome | None = None,
) -> Answer:
    """Make a request and return its answer with all that its body says.

    botocore drops what its service model does not know, and takes a body that is not JSON for an empty answer.
    So the body is taken before botocore parses it, through an event that botocore offers for that.

    :param client: one that :func:`watch` watches.
    :param outcome: how the first attempt ended, where it has been made already.
    """
    for attempt in range(1, BODY_ATTEMPTS + 1):
        exchange = _Exchange(outcome)
        answer = exchange.call(client, method, parameters)
        try:
            content = answer if exchange.body is None else decode(exchange.body)
        except ResponseParserError:
            if attempt == BODY_ATTEMPTS:
                raise
            outcome = None
        else:
            return Answer(content=content, shown=exchange.shown)
    raise AssertionError("unreachable")
