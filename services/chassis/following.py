"""Following the log for what is kept in memory alone: from a position on, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import structlog

from services.chassis.store.port import Batch, EventStore

PAUSE_SECONDS = 1.0

log = structlog.get_logger()


async def follow(
    store: EventStore, after: int, types: Sequence[str], take: Callable[[Batch], Awaitable[None]], name: str
) -> None:
    """Hand every batch to `take`, for ever; after a failure again from the last one taken."""
    while True:
        try:
            async with aclosing(store.subscribe(after, types)) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    await take(batch)
                    after = batch.position
        except Exception:
            log.exception("following stopped, trying again", follower=name)
        await asyncio.sleep(PAUSE_SECONDS)
