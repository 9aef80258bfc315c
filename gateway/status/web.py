"""What every answer carries, and the files that never change under their address."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # The camera reads QR codes; nothing else is used.
    "permissions-policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
    # An address holds a dossier's code, which is nobody else's business.
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope.get("scheme") == "https":
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        await self.app(scope, receive, send_with_headers)


def etag(body: bytes) -> str:
    """Weak: the same content may travel compressed or not."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'


def unchanged(request: Request, tag: str) -> bool:
    known = {item.strip() for item in request.headers.get("if-none-match", "").split(",")}
    return tag in known or "*" in known


class Assets:
    """The folder `static`, read once. An address with the content's hash may be kept for ever."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(_STATIC.iterdir())}
        self._tags = {name: etag(body) for name, body in self._files.items()}

    def address(self, name: str) -> str:
        return f"/static/{name}?v={self._version(name)}"

    async def serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        kept = request.query_params.get("v") == self._version(name)
        headers = {
            "etag": self._tags[name],
            "cache-control": "public, max-age=31536000, immutable" if kept else "no-cache",
        }
        if unchanged(request, self._tags[name]):
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], media_type=mimetypes.guess_type(name)[0], headers=headers)

    def _version(self, name: str) -> str:
        return self._tags[name][3:15]
