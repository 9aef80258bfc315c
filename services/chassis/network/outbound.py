"""HTTP to other systems, where the operator configured: never where an answer redirects to, never more than is expected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

LARGEST_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """Raises ValueError, also for what is nested without end."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("it is nested too deep") from None


async def ask(http: httpx.AsyncClient, method: str, url: str, **given: Any) -> Answer:
    """Raises httpx.HTTPError, and ValueError for an answer that is too large."""
    async with http.stream(method, url, follow_redirects=False, **given) as reply:
        content = bytearray()
        async for part in reply.aiter_bytes():
            content += part
            if len(content) > LARGEST_ANSWER_BYTES:
                raise ValueError(f"the answer exceeds {LARGEST_ANSWER_BYTES} bytes")
        return Answer(reply.status_code, bytes(content))


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError("it is no address") from error
    return parsed.scheme, parsed.host, parsed.port
