"""Runs services in one process, on eventlet's asyncio hub."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Coroutine, Sequence
from typing import Any

os.environ.setdefault("EVENTLET_HUB", "asyncio")  # before eventlet picks a hub
# eventlet is in maintenance; docs/adr says why it stays behind the chassis.
warnings.filterwarnings("ignore", module="nameko.extensions")

import eventlet
from eventlet.asyncio import spawn_for_awaitable

from services.chassis.container import AsyncContainer
from services.chassis.platform import Platform


class Services:
    """Service classes started and stopped together, in order."""

    def __init__(self, platform: Platform, classes: Sequence[type]) -> None:
        self._containers = [AsyncContainer(cls, config={"platform": platform}) for cls in classes]

    async def start(self) -> None:
        for container in self._containers:
            await eventlet.spawn(container.start)

    async def stop(self) -> None:
        """Stop taking calls, finish those that run, then let go of what they needed."""
        await asyncio.gather(*(eventlet.spawn(container.stop) for container in reversed(self._containers)))


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine as this process's whole life; returns its exit code."""
    code: int = spawn_for_awaitable(main).wait()
    return code
