"""A program that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog

log = structlog.get_logger()

Step = Callable[[], Awaitable[None]]


async def until_stopped(
    begin: Callable[[AsyncExitStack], Coroutine[Any, Any, Sequence[Step]]],
    stopping: Callable[[], None] = lambda: None,
    *,
    interruptible: bool = False,
) -> int:
    """Begin, do what comes then, serve until SIGINT or SIGTERM, stop cleanly. `interruptible`: also while it begins."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        beginning = asyncio.create_task(begin(stack))
        if not interruptible:
            await beginning
        work: asyncio.Task[Any] = asyncio.create_task(_all(beginning))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            await waiting
        else:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        stopping()
        log.info("stopping")
    return 0


def in_turn(steps: Sequence[Step]) -> Step:
    """As one step."""

    async def run() -> None:
        for step in steps:
            await step()

    return run


async def _all(beginning: Awaitable[Sequence[Step]]) -> None:
    await in_turn(await beginning)()
