"""The tests notice whoever keeps a loop to themselves."""

from __future__ import annotations

import asyncio
import gc
import time
from types import CodeType, FunctionType
from typing import Any

from tests.conftest import loops
from tests.support.loops import MOST_SECONDS, ONCE_SECONDS, PRODUCT, slowness
from tests.support.spending import spending


async def busy(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


async def littering() -> None:
    for _ in range(4):
        gc.collect()


def of_product(function: Any) -> Any:
    """As if it stood there."""
    code: CodeType = function.__code__
    return FunctionType(code.replace(co_filename=f"{PRODUCT[0]}x.py"), function.__globals__)


async def test_whoever_works_too_long_is_named() -> None:
    with loops.apart() as slow:
        await asyncio.create_task(of_product(busy)(3 * MOST_SECONDS))
    (found,) = slow
    assert found.callback == "services/x.py:busy"
    assert 3 * MOST_SECONDS <= found.seconds < 6 * MOST_SECONDS


async def test_whom_a_test_awaits_is_seen_at_work() -> None:
    async def waiting() -> None:
        await of_product(busy)(5 * MOST_SECONDS)

    with loops.apart() as slow:
        await asyncio.create_task(waiting())
    (found,) = slow
    assert "services/x.py:busy" in {place for stack in found.seen for place in stack}


async def test_what_is_short_or_the_tests_own_or_waits_is_no_fault() -> None:
    with loops.apart() as slow:
        await asyncio.create_task(of_product(busy)(MOST_SECONDS / 5))
        await asyncio.create_task(busy(2 * MOST_SECONDS))
        await asyncio.create_task(of_product(littering)())
        await asyncio.create_task(asyncio.to_thread(time.sleep, 2 * MOST_SECONDS))
    assert slow == []


async def test_slow_once_may_be_the_machine_and_slow_twice_or_very_slow_is_the_product() -> None:
    with loops.apart():
        await asyncio.create_task(of_product(busy)(1.5 * MOST_SECONDS))
        assert loops.taken() == []
    with loops.apart():
        for _ in range(2):
            await asyncio.create_task(of_product(busy)(3 * MOST_SECONDS))
        assert len(loops.taken()) == 2
    with loops.apart():
        await asyncio.create_task(of_product(busy)(2 * ONCE_SECONDS * slowness()))
        assert len(loops.taken()) == 1


async def test_looking_costs_next_to_nothing() -> None:
    loop, ends = asyncio.get_running_loop(), asyncio.Event()
    left = 20_000

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            ends.set()

    with spending() as spent:
        loop.call_soon(again)
        await ends.wait()
    assert spent.seconds / 20_000 < 50e-6
