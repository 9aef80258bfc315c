"""The stand-in for KurrentDB on a loop of its own, for tests that are not on one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.doubles.kurrentdb import Double
from tests.support.waiting import free_port

T = TypeVar("T")
WAIT_SECONDS = 60


class Running:
    def __init__(self, double: Double, loop: asyncio.AbstractEventLoop) -> None:
        self.double = double
        self._loop = loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_SECONDS)

    def do(self, work: Callable[[Double], T]) -> T:
        """On the double's loop, where its parts belong."""

        async def done() -> T:
            return work(self.double)

        return self.run(done())


@contextmanager
def running(nodes: int = 1) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="stand-in for KurrentDB")
    thread.start()

    async def begun() -> Double:
        double = Double(nodes)
        await double.start(free_port())
        return double

    here = Running(asyncio.run_coroutine_threadsafe(begun(), loop).result(WAIT_SECONDS), loop)
    try:
        yield here
    finally:
        here.run(here.double.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_SECONDS)
        loop.close()
