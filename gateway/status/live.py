"""Server-sent events: a dossier's page as it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from gateway.status.model import DossierPage
from gateway.status.reader import Reader

MEDIA_TYPE = "text/event-stream"
# How long a browser waits before it connects again.
_RETRY = "retry: 3000\n\n"


def resume_point(last_event_id: str) -> int:
    """The revision that the browser has; -1 where it says nothing usable, so that it gets the page anew."""
    return int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else -1


async def frames(
    reader: Reader,
    code: str,
    after: int,
    render: Callable[[DossierPage], Awaitable[str]],
    heartbeat_seconds: float,
) -> AsyncGenerator[str]:
    """`dossier` frames with the revision as their id, and `freshness` frames as heartbeats."""
    yield _RETRY
    yield await _freshness(reader)
    changes = reader.changes(code, after)
    pending: asyncio.Task[DossierPage | None] | None = None
    try:
        while True:
            # A cancelled anext would end the generator: it is kept waiting across heartbeats.
            pending = pending or asyncio.create_task(_next(changes))
            done, _ = await asyncio.wait({pending}, timeout=heartbeat_seconds)
            if done:
                page, pending = pending.result(), None
                if page is None:
                    return
                yield _frame("dossier", await render(page), str(page.revision))
            yield await _freshness(reader)
    finally:
        if pending:
            pending.cancel()
            await asyncio.wait({pending})
        await changes.aclose()


async def _next(changes: AsyncIterator[DossierPage]) -> DossierPage | None:
    return await anext(changes, None)


async def _freshness(reader: Reader) -> str:
    fresh = await reader.freshness()
    return _frame("freshness", json.dumps({"number": fresh.event_number, "at": fresh.at.isoformat()}))


def _frame(event: str, data: str, identity: str | None = None) -> str:
    lines = [f"event: {event}"]
    if identity is not None:
        lines.append(f"id: {identity}")
    lines += [f"data: {line}" for line in data.splitlines()]
    return "\n".join(lines) + "\n\n"
