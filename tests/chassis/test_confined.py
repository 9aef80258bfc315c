"""Work of unknown cost is done elsewhere, ended in time, and sees neither files nor network nor secrets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.chassis.decider import Rejected
from services.chassis.work import confined
from services.chassis.work.confined import Confined, WorkExhausted
from tests.support.spending import spending
from tests.support.waiting import eventually_here

SECRET = "the service's secret"


def doubled(number: int) -> int:
    return 2 * number


def whole(text: str) -> int:
    return len(text)


def parent(_: int) -> int:
    return os.getppid()


def endless(_: int) -> None:
    while True:
        pass


def greedy(megabytes: int) -> int:
    return len(bytearray(megabytes * 1024 * 1024))


def deep(_: int) -> Any:
    return deep(_)


def curious(what: str, at: int) -> str:
    try:
        match what:
            case "file":
                return Path(__file__).read_text()
            case "network":
                socket.create_connection(("127.0.0.1", at)).close()
                return "connected"
            case _:
                return str(dict(os.environ))
    except OSError as error:
        return type(error).__name__


def failing(secret: str) -> None:
    raise ValueError(secret)


@asynccontextmanager
async def working(function: Callable[..., Any], processes: int = 1) -> AsyncIterator[Confined]:
    work = Confined(function, processes)
    try:
        yield work
    finally:
        await work.close()


async def test_an_answer_comes_back_and_the_program_is_kept() -> None:
    async with working(doubled) as work:
        assert [await work(number) for number in (1, 2)] == [2, 4]
    async with working(whole) as work:
        assert await work("đ" * 4_000_000) == 4_000_000
    async with working(parent, 2) as work:
        assert len({await work(0) for _ in range(4)}) == 1
        assert len(set(await asyncio.gather(*(work(0) for _ in range(8))))) == 2


async def test_what_does_not_end_is_ended_by_its_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with working(endless) as work:
        with pytest.raises(WorkExhausted), spending() as spent:
            await work(0)
        assert spent.seconds < 1  # of the loop's
    monkeypatch.setattr(confined, "SECONDS", 0.2)
    async with working(endless) as work:
        with pytest.raises(WorkExhausted):
            await work(0)


async def test_memory_has_an_end() -> None:
    async with working(greedy) as work:
        assert await work(16) == 16 * 1024 * 1024
        with pytest.raises(WorkExhausted):
            await work(2_000)
        assert await work(16) == 16 * 1024 * 1024


async def test_who_gives_up_takes_the_work_along() -> None:
    async with working(endless) as work:
        task = asyncio.create_task(work(0))
        await eventually_here(_workers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually_here(lambda: not _workers())


async def test_many_wait_and_more_are_told_so() -> None:
    async with working(endless) as work:
        waiting = [asyncio.create_task(work(0)) for _ in range(confined.MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Rejected, match="OVERLOADED"):
            await work(0)
        for task in waiting:
            task.cancel()
        assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} == {
            asyncio.CancelledError
        }


@pytest.mark.parametrize("what", ["file", "network"])
async def test_nothing_can_be_opened(what: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert curious(what, server.getsockname()[1]) not in ("OSError", "")
        async with working(curious) as work:
            assert await work(what, server.getsockname()[1]) == "OSError"


async def test_the_settings_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTCUA_SERVICE_SECRET", SECRET)
    async with working(curious) as work:
        assert SECRET not in await work("environment", 0)


async def test_a_failure_is_named_without_what_was_worked_on(capfd: pytest.CaptureFixture[str]) -> None:
    async with working(failing) as work:
        with pytest.raises(RuntimeError, match="ValueError") as failed:
            await work(SECRET)
    async with working(deep) as work:
        with pytest.raises(RuntimeError, match="RecursionError"):
            await work(0)
    assert SECRET not in f"{failed.value!r}{capfd.readouterr()}"


def _workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if any("services.chassis.work.confined" in part for part in _command(each))]


def _command(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except psutil.Error:
        return []
