"""A switch that makes a sandbox answer as if it were down."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/sandbox/outage"


class Outage:
    """PUT {"down": true} to /sandbox/outage, with the administrator's secret as bearer token."""

    def __init__(self, secret: str) -> None:
        self.down = False
        self._secret = secret

    @property
    def route(self) -> Route:
        return Route(PATH, self._switch, methods=["GET", "PUT"])

    async def _switch(self, request: Request) -> Response:
        if request.method == "PUT":
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self._secret}".encode()):
                return JSONResponse({"code": "unauthenticated"}, 401, {"www-authenticate": "Bearer"})
            try:
                wanted = (await request.json()).get("down")
            except (ValueError, AttributeError, RecursionError):
                wanted = None
            if not isinstance(wanted, bool):
                return JSONResponse({"code": "malformed", "detail": 'send {"down": true} or {"down": false}'}, 400)
            self.down = wanted
        return JSONResponse({"down": self.down})


class OutageMiddleware:
    def __init__(self, app: ASGIApp, outage: Outage) -> None:
        self._app = app
        self._outage = outage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._outage.down and not scope["path"].endswith(PATH):
            await JSONResponse({"code": "down"}, 503, {"retry-after": "30"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)
