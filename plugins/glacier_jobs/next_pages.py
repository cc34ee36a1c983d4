"""The pages of one listing, of which botocore's client makes the first request and shows how.

For each request, a client finds out anew where the service is and what the request must look like; of the pages of one
listing, only the marker differs. So each further page is asked for as the client asked for the one before: the same
address and headers, signed by the client's signer and sent over its connections. Whatever comes back other than a
page is put before the client as the outcome of its own first attempt, so that retries and errors are all botocore's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.hooks import first_non_none_response
from botocore.parsers import ResponseParserError

from glacier_jobs.exchanges import Decode, Outcome, Shown, ask

_ATTEMPT_ID = "amz-sdk-invocation-id"


class PagedListing:
    """The requests of one listing, which differ in their marker alone; made by one thread at a time.

    :param method: the client's.
    :param parameters: all but the marker.
    :param decode: reads the body of an answer.
    """

    def __init__(self, method: str, parameters: Mapping[str, str], decode: Decode) -> None:
        self._method = method
        self._parameters = parameters
        self._decode = decode
        self._way: _Way | None = None

    def page(self, client: Any, marker: str | None) -> dict[str, Any]:
        """Ask for one page and return the answer as ``decode`` reads it."""
        outcome = None
        if marker and self._way and self._way.client is client:
            outcome = self._way.ask(marker)
            if isinstance(outcome, AWSResponse) and outcome.status_code == 200:
                try:
                    content = self._decode(outcome.content)
                except ResponseParserError:
                    pass
                else:
                    self._way.tell(outcome)
                    return content
        position = {"marker": marker} if marker else {}
        answer = ask(client, self._method, {**self._parameters, **position}, self._decode, outcome)
        self._way = _Way(client, answer.shown) if answer.shown and _can_be_followed(client, answer.shown) else None
        return answer.content


def _can_be_followed(client: Any, shown: Shown) -> bool:
    """Tell whether a request like the one shown is all that botocore would do for the next page."""
    signed = _signed_headers(shown.request) is not None
    # Adaptive mode measures each answer, also the good ones, to find its rate.
    paced = client.meta.config.retries["mode"] == "adaptive"
    return signed and not paced and hasattr(shown.endpoint, "http_session")


def _signed_headers(request: AWSPreparedRequest) -> set[str] | None:
    authorization: Any = request.headers.get("Authorization", b"")
    found = re.search(rb"^AWS4-HMAC-SHA256 .*SignedHeaders=([^,]*)", authorization)
    return set(found[1].decode().split(";")) if found else None


class _Way:
    """How a client asked for a page, to ask for the next one likewise."""

    def __init__(self, client: Any, shown: Shown) -> None:
        self.client = client
        self._shown = shown
        self._event = f"glacier.{shown.operation.name}"
        address = urlsplit(shown.request.url)
        query = [part for part in address.query.split("&") if part and not part.startswith("marker=")]
        self._url = address._replace(query="&".join([*query, "marker="])).geturl()
        self._headers: dict[str, Any] = dict(shown.request.headers.items())
        signed = _signed_headers(shown.request) or set()
        self._signed = {name: value.decode() for name, value in self._headers.items() if name.lower() in signed}

    def ask(self, marker: str) -> Outcome:
        """Sign and send the request for a page, once."""
        request = AWSRequest("GET", self._url + quote(marker, safe="-._~"), headers=self._signed)
        request.context = dict(self._shown.context)
        self._shown.signer.sign(self._shown.operation.name, request)
        # A plain dict: botocore's own mapping would take a tenth of the time of a page.
        headers: Any = self._headers | {name: value.encode() for name, value in request.headers.items()}
        headers[_ATTEMPT_ID] = str(uuid.uuid4()).encode()
        prepared = AWSPreparedRequest("GET", request.url or "", headers, None, False)
        try:
            answers = self.client.meta.events.emit(f"before-send.{self._event}", request=prepared)
            response: AWSResponse = first_non_none_response(answers) or self._shown.endpoint.http_session.send(prepared)
        except Exception as error:
            return error
        return response

    def tell(self, response: AWSResponse) -> None:
        """Let botocore know of a good answer: in standard mode, each allows for a further retry."""
        self.client.meta.events.emit(
            f"after-call.{self._event}",
            http_response=response,
            parsed={},
            model=self._shown.operation,
            context=dict(self._shown.context),
        )
