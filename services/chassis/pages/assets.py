"""Files of pages that never change under their address, and entity tags (RFC 9110, 8.8.3)."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


def etag(body: bytes) -> str:
    """Weak: the same content may travel compressed or not."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'


def unchanged(request: Request, tag: str) -> bool:
    tags = {item.strip() for item in request.headers.get("if-none-match", "").split(",")}
    return tag in tags or "*" in tags


class Assets:
    """A folder, read once. An address with the content's hash may be kept for ever."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self._tags = {name: etag(body) for name, body in self._files.items()}

    def address(self, name: str) -> str:
        return f"/static/{name}?v={self._version(name)}"

    async def serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        for_ever = request.query_params.get("v") == self._version(name)
        headers = {
            "etag": self._tags[name],
            "cache-control": "public, max-age=31536000, immutable" if for_ever else "no-cache",
        }
        if unchanged(request, self._tags[name]):
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], media_type=mimetypes.guess_type(name)[0], headers=headers)

    def _version(self, name: str) -> str:
        return self._tags[name][3:15]
