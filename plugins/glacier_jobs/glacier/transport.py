"""Requests through botocore's client: the whole answer, and a cheap way to request the further pages of a listing.

botocore drops fields that its service model does not know. So the body is taken through the event ``before-parse``.

For each request, a client determines the endpoint and builds the request anew; among the pages of one listing, only the
marker differs. So a further page is requested as the client requested the page before: the same address and headers,
signed by the client's signer and sent over its connections. An answer other than a page is passed to the client as the
outcome of its own first attempt, so that retries and errors are botocore's.

That relies on parts of botocore that are not documented. They are used in this module and in
:mod:`glacier_jobs.glacier.deadlines` only. Where one of them is not as expected, one warning is logged, and every page
is requested through the client's public methods. Errors that a handler of the events raises are raised as botocore
raises them.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlsplit

import botocore
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.endpoint import Endpoint
    from botocore.model import OperationModel
    from botocore.signers import RequestSigner

#: How often a page is requested whose body cannot be read. botocore does not repeat such a request by itself.
BODY_ATTEMPTS = 3

#: Reads a body; raises ``ResponseParserError`` where it cannot.
Decode: TypeAlias = Callable[[bytes], dict[str, Any]]

#: How an attempt ended.
Outcome: TypeAlias = "AWSResponse | Exception"

#: What Python raises where a module, an attribute, an argument or a key is not as expected.
_NOT_AS_EXPECTED = (ImportError, AttributeError, TypeError, LookupError)

_ATTEMPT_ID = "amz-sdk-invocation-id"

_public_methods_only = threading.Event()
_bodies_are_lost = threading.Event()
_warning = threading.Lock()

log = logging.getLogger(__name__)


def _use_public_methods_only(reason: object) -> None:
    _warn_once(
        _public_methods_only,
        reason,
        "Every page of a listing is requested through the client's public methods, which takes more CPU time",
    )


def _warn_once(happened: threading.Event, reason: object, consequence: str) -> None:
    with _warning:
        if not happened.is_set():
            happened.set()
            log.warning("botocore %s is not as expected (%s). %s", botocore.__version__, reason, consequence)


@dataclass(frozen=True, kw_only=True)
class SentRequest:
    """How botocore built, signed and sent a request, at its first attempt."""

    operation: OperationModel
    request: AWSPreparedRequest
    context: Mapping[str, Any]
    signer: RequestSigner
    endpoint: Endpoint


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The whole content of an answer, and how it was requested (``None`` for a stubbed client, which sends nothing)."""

    content: dict[str, Any]
    sent: SentRequest | None


class _Call:
    """One call of a client, observed through botocore's events.

    :param outcome: how the first attempt ended, if it has been made already; botocore then uses it as its own attempt.
    """

    def __init__(self, outcome: Outcome | None = None) -> None:
        self._outcome = outcome
        self._observed: dict[str, Any] = {}
        self.body: bytes | None = None

    @property
    def sent(self) -> SentRequest | None:
        missing = SentRequest.__dataclass_fields__.keys() - self._observed.keys()
        if missing and self.body is not None:
            _use_public_methods_only(f"its events do not show {', '.join(sorted(missing))}")
        return None if missing else SentRequest(**self._observed)

    def run(self, client: Any, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Call a method of the client and return what it returns; a successful answer's body is in :attr:`body`."""
        token = _current_call.set(self)
        try:
            answer: dict[str, Any] = getattr(client, method)(**parameters)
        finally:
            _current_call.reset(token)
        return answer

    def before_sign(self, event: Mapping[str, Any]) -> None:
        context = getattr(event.get("request"), "context", None)
        if isinstance(context, Mapping) and "request_signer" in event:
            self._observed.setdefault("context", dict(context))
            self._observed.setdefault("signer", event["request_signer"])

    def before_send(self, event: Mapping[str, Any]) -> AWSResponse | None:
        if "request" in event:
            self._observed.setdefault("request", event["request"])
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def before_parse(self, event: Mapping[str, Any]) -> None:
        self.body = None
        try:
            response = event["response_dict"]
            if response["status_code"] < 300:
                self.body, response["body"] = response["body"], b""
        except _NOT_AS_EXPECTED as error:
            _warn_once(
                _bodies_are_lost,
                f"its event before-parse: {type(error).__name__}: {error}",
                "Its own parsed answers are used: fields that it does not know are not recorded, and an answer that "
                "cannot be read is not requested again",
            )

    def needs_retry(self, event: Mapping[str, Any]) -> None:
        for name in ("endpoint", "operation"):
            if name in event:
                self._observed.setdefault(name, event[name])


_current_call: ContextVar[_Call | None] = ContextVar("glacier_jobs_call", default=None)


def register_handlers(client: Any) -> None:
    """Let :func:`call_operation` observe the client's events. The answers to all other calls stay as boto3's."""
    for event, handler in {
        "before-sign": _Call.before_sign,
        "before-send": _Call.before_send,
        "before-parse": _Call.before_parse,
        "needs-retry": _Call.needs_retry,
    }.items():
        client.meta.events.register(f"{event}.glacier", _handler_of_current_call(handler))


def _handler_of_current_call(handle: Callable[[_Call, Mapping[str, Any]], Any]) -> Callable[..., Any]:
    def handler(**event: Any) -> Any:
        call = _current_call.get()
        return handle(call, event) if call else None

    return handler


def decoded_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    :raises ResponseParserError: the body is not a JSON object.
    """
    try:
        # NaN and Infinity are not JSON, although Python reads and writes them.
        answer = json.loads(body, parse_constant=str)
    except ValueError as error:
        raise ResponseParserError(f"a body of {len(body)} bytes is not JSON: {error}") from error
    except RecursionError as error:
        raise ResponseParserError(f"a body of {len(body)} bytes is nested too deeply") from error
    if not isinstance(answer, dict):
        raise ResponseParserError(f"a body of {len(body)} bytes is not a JSON object")
    return answer


def call_operation(
    client: Any,
    method: str,
    parameters: Mapping[str, str],
    decode: Decode = decoded_json,
    outcome: Outcome | None = None,
) -> Answer:
    """Make a request and return its answer, with all fields of its body.

    :param client: a client that was passed to :func:`register_handlers`.
    :param outcome: how the first attempt ended, if it has been made already.
    :raises ResponseParserError: the body could not be read, :data:`BODY_ATTEMPTS` times. botocore by itself would treat
        a body that is not JSON as an empty answer.
    """
    for attempt in range(1, BODY_ATTEMPTS + 1):
        call = _Call(outcome)
        answer = call.run(client, method, parameters)
        try:
            content = answer if call.body is None else decode(call.body)
        except ResponseParserError:
            if attempt == BODY_ATTEMPTS:
                raise
            outcome = None
        else:
            return Answer(content=content, sent=call.sent)
    raise AssertionError("unreachable")


class PagedListing:
    """The requests of one listing, which differ only in their marker. Not safe to use from several threads at once.

    :param method: the client's method.
    :param parameters: all parameters but the marker.
    :param decode: reads the body of an answer.
    """

    def __init__(self, method: str, parameters: Mapping[str, str], decode: Decode) -> None:
        self._method = method
        self._parameters = parameters
        self._decode = decode
        self._next_page: _NextPageRequest | None = None
        self._sign_by_client = False

    def page(self, client: Any, marker: str | None) -> dict[str, Any]:
        """Request one page and return the answer, decoded by ``decode``."""
        if not marker:
            return self._page_of_the_client(client, {})
        outcome, body = self._first_attempt(client, marker)
        if self._next_page is not None and body is not None:
            try:
                content = self._decode(body)
            except ResponseParserError:
                pass
            else:
                self._next_page.report(outcome)
                return content
        return self._page_of_the_client(client, {"marker": marker}, outcome)

    def _first_attempt(self, client: Any, marker: str) -> tuple[Outcome | None, bytes | None]:
        """Return how an attempt ended that was not made by the client, if there was one, and the body of a page."""
        if self._next_page is None or self._next_page.client is not client:
            return None, None
        try:
            outcome = self._next_page.send(marker)
            if isinstance(outcome, Exception) or outcome.status_code != 200:
                return outcome, None
            return outcome, outcome.content
        except _NOT_AS_EXPECTED as error:
            if _raised_here(error):
                _use_public_methods_only(f"{type(error).__name__}: {error}")
            else:
                # The credentials, a handler of before-sign, or botocore's signer. The client now signs by itself.
                self._sign_by_client = True
                log.warning(
                    "A request could not be signed (%s). The client signs it, and those for the further pages of this "
                    "listing",
                    type(error).__name__,
                )
            return None, None

    def _page_of_the_client(
        self, client: Any, position: Mapping[str, str], outcome: Outcome | None = None
    ) -> dict[str, Any]:
        answer = call_operation(client, self._method, {**self._parameters, **position}, self._decode, outcome)
        self._next_page = None if self._sign_by_client else _next_page_request(client, answer.sent)
        return answer.content


def _raised_here(error: BaseException) -> bool:
    """Return whether a line of this module raised an error, and not what it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals is globals()


def _next_page_request(client: Any, sent: SentRequest | None) -> _NextPageRequest | None:
    """Return how to request the next page without the client's method; ``None`` if the method must be used."""
    if sent is None or _public_methods_only.is_set():
        return None
    try:
        # Adaptive mode measures every answer, including successful ones, to adapt its rate.
        if client.meta.config.retries["mode"] == "adaptive" or _signed_headers(sent.request) is None:
            return None
        return _NextPageRequest(client, sent)
    except _NOT_AS_EXPECTED as error:
        _use_public_methods_only(f"{type(error).__name__}: {error}")
        return None


def _signed_headers(request: AWSPreparedRequest) -> set[str] | None:
    authorization: Any = request.headers.get("Authorization", b"")
    found = re.search(rb"^AWS4-HMAC-SHA256 .*SignedHeaders=([^,]*)", authorization)
    return set(found[1].decode().split(";")) if found else None


class _NextPageRequest:
    """The request for a page, built from the client's request for an earlier page of the same listing."""

    def __init__(self, client: Any, sent: SentRequest) -> None:
        from botocore.awsrequest import AWSPreparedRequest, AWSRequest, HeadersDict

        self.client = client
        self._new_request, self._new_headers = AWSRequest, HeadersDict
        self._new_prepared_request: Any = AWSPreparedRequest
        self._send = sent.endpoint.http_session.send
        self._sign = sent.signer.sign
        self._sent = sent
        self._event = f"glacier.{sent.operation.name}"
        address = urlsplit(sent.request.url)
        query = [part for part in address.query.split("&") if part and not part.startswith("marker=")]
        self._url = address._replace(query="&".join([*query, "marker="])).geturl()
        self._headers: dict[str, Any] = dict(sent.request.headers.items())
        signed = _signed_headers(sent.request) or set()
        self._signed = {name: value.decode() for name, value in self._headers.items() if name.lower() in signed}

    def send(self, marker: str) -> Outcome:
        """Sign and send the request for the page that begins at a marker, once."""
        request = self._new_request("GET", self._url + quote(marker, safe="-._~"), headers=self._signed)
        request.context = dict(self._sent.context)
        self._sign(self._sent.operation.name, request)
        headers = self._headers | {name: value.encode() for name, value in request.headers.items()}
        headers[_ATTEMPT_ID] = str(uuid.uuid4()).encode()
        prepared: Any = self._new_prepared_request("GET", request.url, self._new_headers(headers), None, False)
        # Not an argument in all versions.
        prepared.context = request.context
        try:
            answers = self.client.meta.events.emit(f"before-send.{self._event}", request=prepared)
            answered = next((answer for _, answer in answers if answer is not None), None)
            response: AWSResponse = answered or self._send(prepared)
        except Exception as error:
            if isinstance(error, _NOT_AS_EXPECTED) and _raised_here(error):
                raise
            return error
        return response

    def report(self, response: Outcome | None) -> None:
        """Report a successful answer to botocore: in standard mode, each one refills the retry quota."""
        self.client.meta.events.emit(
            f"after-call.{self._event}",
            http_response=response,
            parsed={},
            model=self._sent.operation,
            context=dict(self._sent.context),
        )
