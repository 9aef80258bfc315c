"""Waiting for what happens by itself: in another thread, in another process, a moment later."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Much longer than anything takes, also on a machine that does much else: who has waited so long waits in vain.
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.03
# Below Linux's net.ipv4.ip_local_port_range.
PORTS = range(12_000, 32_000)


def eventually(
    probe: Callable[[], T | None], seconds: float = PATIENCE_SECONDS, why: Callable[[], object] = lambda: ""
) -> T:
    """What `probe` answers once it is true; its last answer and `why` are told when time is over."""
    ends = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if found := probe():
            return found
        assert time.monotonic() < ends, f"not within {seconds:g} s: {found!r} {why()}"
        time.sleep(_pause(asked))


async def eventually_here(probe: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The same on a loop that goes on meanwhile; `probe` may be a coroutine function."""
    ends = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        answer = probe()
        found = await answer if isinstance(answer, Awaitable) else answer
        if found:
            return found
        assert time.monotonic() < ends, f"not within {seconds:g} s: {found!r}"
        await asyncio.sleep(_pause(asked))


def _pause(asked: float) -> float:
    """Who asks for much leaves the processor to what is waited for, at least half of the time."""
    return max(PAUSE_SECONDS, time.monotonic() - asked)


def free_port() -> int:
    """On which nobody listens. None of those that the kernel gives to whoever asks for any: a server that is away for a moment
    has it again afterwards.
    """
    while True:
        # Not from `random`: tests seed it, and others that run beside them would draw the same.
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port
