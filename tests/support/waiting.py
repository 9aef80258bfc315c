"""Waiting for what happens by itself: in another thread, in another process, a moment later."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Much longer than anything takes, also on a machine that does much else: who has waited so long waits in vain.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.03


def eventually(
    probe: Callable[[], T | None], seconds: float = PATIENCE_SECONDS, why: Callable[[], object] = lambda: ""
) -> T:
    """What `probe` answers once it is true; its last answer and `why` are told when time is over."""
    ends = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {found!r} {why()}"
        time.sleep(PAUSE_SECONDS)
    return found


async def eventually_here(probe: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The same on a loop that goes on meanwhile; `probe` may be a coroutine function."""
    ends = time.monotonic() + seconds
    while True:
        answer = probe()
        found = await answer if isinstance(answer, Awaitable) else answer
        if found:
            return found
        assert time.monotonic() < ends, f"not within {seconds:g} s: {found!r}"
        await asyncio.sleep(PAUSE_SECONDS)


def free_port() -> int:
    """On which nobody listens, until somebody else takes it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
