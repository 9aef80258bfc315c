"""What every answer carries, and the files that never change under their address."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.chassis.pages import security_headers

_STATIC = Path(__file__).parent / "static"


class SecurityHeaders(security_headers.SecurityHeaders):
    # The camera reads QR codes.
    own: ClassVar = {
        "permissions-policy": security_headers.HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")
    }


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
