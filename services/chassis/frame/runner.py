"""Runs services in one process, on eventlet's asyncio hub."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Coroutine, Sequence
from typing import Any

os.environ.setdefault("EVENTLET_HUB", "asyncio")  # before eventlet picks a hub
os.environ.setdefault(
    "EVENTLET_NO_GREENDNS", "yes"
)  # nothing is monkey-patched: a resolver of its own is only slow to load
# eventlet is in maintenance; docs/adr/0002 says why it stays behind the chassis.
warnings.filterwarnings("ignore", message="\nEventlet is deprecated")

import eventlet  # noqa: E402
from eventlet import hubs  # noqa: E402
from eventlet.asyncio import spawn_for_awaitable  # noqa: E402
from eventlet.hubs import asyncio as asyncio_hub  # noqa: E402

from services.chassis.frame.container import AsyncContainer  # noqa: E402
from services.chassis.platform.platform import Platform  # noqa: E402

# The hub would give asyncio fresh copies of ssl, socket and others, in case they were monkey-patched. Nothing is, and asyncio's
# copy of ssl would take no TLS context of the program for one: every TLS connection of the loop would fail.
asyncio_hub._unmonkey_patch_asyncio_all = lambda: None


class Services:
    """Service classes started and stopped together, in order."""

    def __init__(self, platform: Platform, classes: Sequence[type]) -> None:
        self._containers = [AsyncContainer(cls, platform) for cls in classes]

    async def start(self) -> None:
        hub = hubs.get_hub()
        # What a service's start raises is raised here; the hub need not print it as well, once for each green thread it left.
        # Those that are left behind raise after the first: after a failed start nothing is printed any more.
        printing, hub.debug_exceptions = hub.debug_exceptions, False
        for container in self._containers:
            await eventlet.spawn(container.start)
        hub.debug_exceptions = printing

    async def stop(self) -> None:
        """Stop taking calls, finish those that run, then let go of what they needed."""
        await asyncio.gather(*(eventlet.spawn(container.stop) for container in reversed(self._containers)))


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine as the whole life of this thread's loop; returns its exit code. Raises what it raises."""

    async def outcome() -> int | BaseException:
        # An error that leaves a green thread is printed by the hub; this one is the caller's.
        try:
            return await main
        except BaseException as error:
            return error

    result: int | BaseException = spawn_for_awaitable(outcome()).wait()
    # The loop's own task ends with the hub, and with it the worker threads that libraries tied to it.
    hubs.get_hub().abort(wait=True)
    if isinstance(result, BaseException):
        raise result
    return result
