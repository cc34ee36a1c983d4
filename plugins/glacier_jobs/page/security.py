"""Who may see the page, and what a browser may do with it: holds for every route."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_asset, requires_access_view
from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Airflow's sign-in (else 401), its permission to see plugins' pages, and that to read assets (else 403): what is shown
#: is the content of the asset ``glacier_jobs``.
SIGNED_IN_AND_PERMITTED = [
    Depends(requires_access_view(AccessView.PLUGINS)),
    Depends(requires_access_asset("GET")),
]

_HEADERS = {
    # Nothing comes from elsewhere, and nothing runs but our own files: should a text from AWS ever become markup, it
    # does nothing.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class GuardingHeaders:
    """ASGI middleware: adds the headers that tell a browser what it may do with an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_guarded)
